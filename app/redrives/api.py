"""HTTP routes of re-drives."""

from uuid import UUID

from litestar import Response, Router, post

from app.auth.callers import Caller
from app.auth.model import Scope
from app.datasets.catalog import Catalogs
from app.executions.queue_limit import QueueLimit
from app.executions.refs import parse_group
from app.http.authorization import needs
from app.http.bodies import AnyRequest, parse_datetime, read_json, read_query
from app.http.idempotency import idempotency_key_of
from app.http.methods import get
from app.idempotency.model import Repeated
from app.limits import MAX_SMALL_BODY_BYTES
from app.pagination import Page
from app.progress.responses import respond_with_acceptance, respond_with_resource
from app.progress.waiters import WaiterRegistry
from app.redrives import reference, service
from app.redrives.model import CreateRedrive, Redrive, RedriveListFilter, RedrivePlan
from app.redrives.refs import parse_redrive_id
from app.redrives.responses import progress_of
from app.resources import Resources


@post(
    "/redrives",
    status_code=202,
    operation_class=reference.CREATE_REDRIVE,
    **needs(Scope.READ),
)
async def create_redrive(
    request: AnyRequest, resources: Resources, catalogs: Catalogs, caller: Caller
) -> Response[RedrivePlan | Redrive]:
    """Re-drive failed work.

    Tries again what has failed: dead letters of a pipe, failed records of a run, or failed
    executions, whichever the filter names. What matches now is marked as this re-drive's own, and
    tried once. With `dry_run` nothing is forwarded or stored: the response counts what matches and
    has the outcomes of the first ten, which are run for it. A key also needs the scope
    `pipes:write` for a pipe, `executions:write` for executions, and `executions:write` and
    `datasets:write` for a run.
    """
    key = idempotency_key_of(request)
    queue_limit: QueueLimit = request.app.state.queue_limit
    wanted = await read_json(request, CreateRedrive, max_bytes=MAX_SMALL_BODY_BYTES)
    if wanted.dry_run:
        plan = await service.plan(resources, catalogs.cache, caller, wanted)
        return Response(plan, status_code=200)
    is_replay = False
    try:
        redrive = await service.create(resources, caller, wanted, key=key, queue_limit=queue_limit)
    except Repeated as earlier:
        redrive = await service.show(resources, caller.tenant, UUID(earlier.resource))
        is_replay = True
    return respond_with_acceptance(redrive, url=redrive.url, is_replay=is_replay)


@get("/redrives", operation_class=reference.LIST_REDRIVES, **needs(Scope.READ))
async def list_redrives(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Redrive]:
    """List re-drives.

    Newest first, a page at a time. A re-drive is listed if it matches every filter.
    """
    choices = read_query(request, reference.RedriveListQuery)
    return await service.list_redrives(
        resources,
        tenant,
        RedriveListFilter(
            status=choices.status or None,
            run_id=parse_group("run", choices.run),
            created_from=parse_datetime("created_from", choices.created_from),
            created_before=parse_datetime("created_before", choices.created_before),
        ),
        pipe=choices.pipe or None,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/redrives/{redrive:str}", operation_class=reference.SHOW_REDRIVE, **needs(Scope.READ))
async def show_redrive(
    redrive: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> Response[Redrive]:
    """Show a re-drive.

    How many have been moved, how many have failed again and how many remain. Poll until
    `finished_at` is set, preferably with `?wait=30`: the response then comes when the re-drive has
    ended, or after that many seconds.
    """
    choices = read_query(request, reference.RedriveQuery)
    progress = progress_of(resources, tenant, parse_redrive_id(redrive))
    return await respond_with_resource(request, waiters, tenant, progress, wait=choices.wait)


@post(
    "/redrives/{redrive:str}/cancel",
    status_code=200,
    operation_class=reference.CANCEL_REDRIVE,
    **needs(Scope.READ),
)
async def cancel_redrive(redrive: str, resources: Resources, caller: Caller) -> Redrive:
    """Cancel a re-drive.

    What it has not tried is free for another one. A batch that is under way is still counted, so
    `moved` can grow once more. Cancelling it again changes nothing; one that has ended is a 409. It
    takes the scopes that creating it took.
    """
    return await service.cancel(resources, caller, parse_redrive_id(redrive))


router = Router(
    path="/",
    tags=["redrives"],
    route_handlers=[create_redrive, list_redrives, show_redrive, cancel_redrive],
)
