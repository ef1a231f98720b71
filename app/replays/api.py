"""HTTP route of replays by filter."""

from uuid import UUID

from litestar import Response, Router, post

from app.auth.callers import Caller
from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.batches import service as batches
from app.executions.queue_limit import QueueLimit
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json
from app.http.idempotency import idempotency_key_of
from app.idempotency.model import Repeated
from app.limits import MAX_SMALL_BODY_BYTES
from app.progress.responses import respond_with_acceptance
from app.replays import reference, service
from app.replays.model import CreateReplays, QueuedReplays, ReplayPlan
from app.resources import Resources


@post(
    "/replays",
    status_code=202,
    operation_class=reference.CREATE_REPLAYS,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def create_replays(
    request: AnyRequest, resources: Resources, caller: Caller
) -> Response[ReplayPlan | QueuedReplays]:
    """Replay executions by filter.

    Runs all finished executions that match again, as a batch: each with the same input, params,
    labels, limits, seed and clock, and with its own version or the one in `script`. With `dry_run`
    nothing runs: the response counts what matches and shows the ten newest, for which a key needs
    the scope `read`, too. Executions whose input is erased are counted and left out, and replays
    never match. An empty filter is refused.
    """
    key = idempotency_key_of(request)
    queue_limit: QueueLimit = request.app.state.queue_limit
    wanted = await read_json(request, CreateReplays, max_bytes=MAX_SMALL_BODY_BYTES)
    if wanted.dry_run:
        if Scope.READ not in caller.scopes:
            raise MissingScope(Scope.READ)
        return Response(await service.plan(resources, caller.tenant, wanted), status_code=200)
    is_replay = False
    try:
        queued = await service.create(resources, caller, wanted, key=key, queue_limit=queue_limit)
    except Repeated as earlier:
        batch = await batches.show(resources, caller.tenant, UUID(earlier.resource))
        url, is_replay = f"/batches/{batch.id}", True
        queued = QueuedReplays(id=batch.id, status=batch.status, items=batch.items, url=url)
    return respond_with_acceptance(queued, url=queued.url, is_replay=is_replay)


router = Router(path="/", tags=["executions"], route_handlers=[create_replays])
