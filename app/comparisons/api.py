"""HTTP routes of comparisons."""

import asyncio
from typing import Final
from uuid import UUID

from litestar import Response, Router, post
from msgspec import UnsetType

from app.auth.callers import Caller
from app.auth.model import Scope
from app.comparisons import reference, service
from app.comparisons.model import Comparison, ComparisonState, CreateComparison
from app.comparisons.refs import parse_comparison_id
from app.executions.queue_limit import QueueLimit
from app.executions.service import RETRY_AFTER
from app.executions.waiting.waiters import MAX_WAIT_SECONDS, Waiter, WaiterRegistry
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get, is_head
from app.http.prefer_header import preferred_wait
from app.http.sse import on_leave
from app.idempotency.model import Repeated
from app.limits import MAX_SMALL_BODY_BYTES
from app.resources import Resources
from app.scripts.refs import parse_script

# A lost notice delays a response by this much.
_REREAD_SECONDS: Final = 5.0


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
    await queue_limit.require_room(resources.pool)
    wanted = await read_json(request, CreateComparison, max_bytes=MAX_SMALL_BODY_BYTES)
    headers = dict(RETRY_AFTER)
    try:
        comparison = await service.create(resources, caller, parse_script(script), wanted, key=key)
    except Repeated as earlier:
        comparison = await service.show(resources, caller.tenant, UUID(earlier.resource))
        headers |= replayed(is_replay=True)
    headers["Location"] = f"/comparisons/{comparison.id}"
    if Scope.READ not in caller.scopes:
        # What an earlier request has led to is for readers only.
        comparison = service.without_verdict(comparison)
    return Response(comparison, status_code=202, headers=headers)


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
    wait = None if isinstance(choices.wait, UnsetType) else choices.wait
    if is_head(request):
        wait = 0
    preferred = preferred_wait(request, max_seconds=MAX_WAIT_SECONDS) if wait is None else None
    comparison_id = parse_comparison_id(comparison)
    with waiters.waiter(tenant, final_only=True) as waiter:
        if wait:
            waiter.register(comparison_id)
        elif preferred:
            waiter.register_if_possible(comparison_id)
        found = await service.show(resources, tenant, comparison_id)
        if waiter.registered and found.state is not ComparisonState.FINISHED:
            seconds = min(wait or preferred or 0, MAX_WAIT_SECONDS)
            with on_leave(request.receive, waiter.leave):
                found = await _await_end(resources, tenant, comparison_id, waiter, seconds)
    headers = {} if found.state is ComparisonState.FINISHED else dict(RETRY_AFTER)
    if preferred is not None and (waiter.registered or preferred == 0):
        headers["Preference-Applied"] = f"wait={preferred}"
    return Response(found, headers=headers)


async def _await_end(
    resources: Resources, tenant: UUID, comparison_id: UUID, waiter: Waiter, seconds: float
) -> Comparison:
    """Wait up to `seconds` for the end; return the comparison as it is by then."""
    now = asyncio.get_running_loop().time
    deadline = now() + seconds
    while True:
        await waiter.wait(until=min(deadline, now() + _REREAD_SECONDS))
        found = await service.show(resources, tenant, comparison_id)
        if found.state is ComparisonState.FINISHED or waiter.stopped or now() >= deadline:
            return found


router = Router(path="/", tags=["comparisons"], route_handlers=[create_comparison, show_comparison])
