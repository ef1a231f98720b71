"""HTTP routes of comparisons."""

from uuid import UUID

from litestar import Response, Router, post

from app.auth.callers import Caller
from app.auth.model import Scope
from app.comparisons import reference, service
from app.comparisons.model import Comparison, CreateComparison
from app.comparisons.refs import parse_comparison_id
from app.comparisons.responses import progress_of, respond_to_creation
from app.executions.queue_limit import QueueLimit
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.idempotency import idempotency_key_of
from app.http.methods import get
from app.idempotency.model import Repeated
from app.limits import MAX_SMALL_BODY_BYTES
from app.progress.responses import respond_with_resource
from app.progress.waiters import WaiterRegistry
from app.resources import Resources
from app.scripts.refs import parse_script


@post(
    "/scripts/{script:str}/comparisons",
    status_code=202,
    operation_class=reference.CREATE_COMPARISON,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def create_comparison(
    script: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Comparison]:
    """Compare two versions of a script.

    Runs both versions over the inputs of earlier executions of the script, with the same params,
    labels, limits, seed and clock, and reports which results differ and where. The runs are
    replays: executions that count for the quotas, with the lowest priority unless another is
    chosen. Inputs that are erased are counted and left out. Poll the comparison; an alias can be
    moved on condition that it is clean.
    """
    key = idempotency_key_of(request)
    queue_limit: QueueLimit = request.app.state.queue_limit
    wanted = await read_json(request, CreateComparison, max_bytes=MAX_SMALL_BODY_BYTES)
    try:
        created = await service.create(
            resources, caller, parse_script(script), wanted, key=key, queue_limit=queue_limit
        )
    except Repeated as earlier:
        found = await service.show(resources, caller.tenant, UUID(earlier.resource))
        if Scope.READ not in caller.scopes:
            # What an earlier request has led to is for readers only.
            found = service.without_verdict(found)
        return respond_to_creation(found, is_replay=True)
    return respond_to_creation(created)


@get(
    "/comparisons/{comparison:str}",
    operation_class=reference.SHOW_COMPARISON,
    **needs(Scope.READ),
)
async def show_comparison(
    comparison: str,
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
) -> Response[Comparison]:
    """Show a comparison.

    Poll until `state` is `finished`, preferably with `?wait=30`. Then it has the counts and the
    first 100 differences, each with the execution that recorded the input, the executions of both
    versions and the places where the results differ, as JSON pointers with the values before and
    after.
    """
    choices = read_query(request, reference.ComparisonQuery)
    progress = progress_of(resources, tenant, parse_comparison_id(comparison))
    return await respond_with_resource(request, waiters, tenant, progress, wait=choices.wait)


router = Router(path="/", tags=["comparisons"], route_handlers=[create_comparison, show_comparison])
