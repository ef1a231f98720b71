"""Respond with comparisons, to clients that wait for their end among others."""

import asyncio
from contextlib import suppress
from uuid import UUID

from litestar import Response

from app.comparisons import service
from app.comparisons.model import Comparison, ComparisonState
from app.executions.service import RETRY_AFTER
from app.executions.waiting.waiters import MAX_WAIT_SECONDS, Waiter, WaiterRegistry
from app.http.bodies import AnyRequest
from app.http.idempotency import replayed
from app.http.methods import is_head
from app.http.prefer_header import preferred_wait
from app.http.sse import on_leave
from app.outages import DatabaseUnavailable
from app.resources import Resources


def respond_to_creation(comparison: Comparison, *, is_replay: bool = False) -> Response[Comparison]:
    """Respond with a new comparison, or with that of an earlier request with the same key."""
    location = {"Location": f"/comparisons/{comparison.id}"}
    headers = {**location, **RETRY_AFTER, **replayed(is_replay=is_replay)}
    return Response(comparison, status_code=202, headers=headers)


async def respond_with_comparison(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    comparison_id: UUID,
    *,
    wait: float | None,
) -> Response[Comparison]:
    """Respond with a comparison, after waiting for its end where the client wants that.

    `wait` is the query parameter, in seconds; without it, the Prefer header counts. Raises
    ComparisonNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    if is_head(request):
        wait = 0
    wait = None if wait is None else min(wait, MAX_WAIT_SECONDS)
    preferred = preferred_wait(request, max_seconds=MAX_WAIT_SECONDS) if wait is None else None
    with waiters.waiter(tenant, final_only=True) as waiter:
        if wait:
            waiter.register(comparison_id)
        elif preferred:
            waiter.register_if_possible(comparison_id)
        comparison = await service.show(resources, tenant, comparison_id)
        if waiter.registered and comparison.state is not ComparisonState.FINISHED:
            with on_leave(request.receive, waiter.leave):
                comparison = await _await_end(
                    resources, waiter, comparison_id, wait or preferred or 0
                )
    headers = {} if comparison.state is ComparisonState.FINISHED else RETRY_AFTER
    if preferred is not None and (waiter.registered or preferred == 0):
        headers = {**headers, "Preference-Applied": f"wait={preferred}"}
    return Response(comparison, headers=headers)


async def _await_end(
    resources: Resources, waiter: Waiter, comparison_id: UUID, seconds: float
) -> Comparison:
    deadline = asyncio.get_running_loop().time() + seconds
    while await waiter.wait(until=deadline) and not waiter.stopped:
        with suppress(DatabaseUnavailable):
            comparison = await service.show(resources, waiter.tenant, comparison_id)
            if comparison.state is ComparisonState.FINISHED:
                return comparison
    return await service.show(resources, waiter.tenant, comparison_id)
