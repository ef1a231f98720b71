"""Respond to clients that wait for a run: with its end, or events of its progress."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import ASGIApp
from msgspec.structs import replace

from app.executions.responses import seconds_to_wait
from app.executions.waiting.states import KEEP_ALIVE_SECONDS
from app.executions.waiting.waiters import MAX_WAIT_SECONDS, Waiter, WaiterRegistry
from app.http.authorization import caller_of, is_still_authorized
from app.http.bodies import AnyRequest
from app.http.idempotency import replayed
from app.http.methods import is_head
from app.http.prefer_header import preferred_wait
from app.http.sse import (
    KEEP_ALIVE,
    EventStream,
    encode_event,
    head_of_events,
    nothing_more,
    on_leave,
)
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.runs import service
from app.runs.model import QueuedRun, Run, RunState, RunStatus

RETRY_AFTER: Final = {"Retry-After": "1"}
# Each follower reads the progress at this interval at least: one row.
_PROGRESS_SECONDS: Final = 1.0
# Whether a status comes before another with as many parts done.
_ORDER: Final = {RunStatus.QUEUED: 0, RunStatus.RUNNING: 1}


async def respond_to_submission(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    queued: QueuedRun,
    *,
    is_replay: bool = False,
) -> Response[QueuedRun | Run]:
    """Respond with an accepted run, or with that of an earlier request with the same key.

    The response is a 200 with a run that ends while the client prefers to wait, else a 202.
    """
    caller = caller_of(request)
    seconds = seconds_to_wait(request, caller)
    headers = {"Location": queued.url, **replayed(is_replay=is_replay)}
    with waiters.waiter(caller.tenant, final_only=True) as waiter:
        if seconds:
            waiter.register_if_possible(queued.id)
        if waiter.registered or seconds == 0:
            headers["Preference-Applied"] = f"wait={seconds}"
        if waiter.registered:
            run = await service.show(resources, caller.tenant, queued.id)
            if not run.status.final:
                with on_leave(request.receive, waiter.leave):
                    run = await _await_end(resources, waiter, run, seconds or 0)
            if run.status.final:
                return Response(run, status_code=200, headers=headers)
            queued = replace(queued, status=run.status)
    return Response(queued, status_code=202, headers={**headers, **RETRY_AFTER})


async def respond_with_run(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    run_id: UUID,
    *,
    wait: float | None,
) -> Response[Run]:
    """Respond with a run, after waiting for its end where the client wants that.

    `wait` is the query parameter, in seconds; without it, the Prefer header counts. Raises
    RunNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    if is_head(request):
        wait = 0
    wait = None if wait is None else min(wait, MAX_WAIT_SECONDS)
    preferred = preferred_wait(request, max_seconds=MAX_WAIT_SECONDS) if wait is None else None
    with waiters.waiter(tenant, final_only=True) as waiter:
        if wait:
            waiter.register(run_id)
        elif preferred:
            waiter.register_if_possible(run_id)
        run = await service.show(resources, tenant, run_id)
        if waiter.registered and not run.status.final:
            with on_leave(request.receive, waiter.leave):
                run = await _await_end(resources, waiter, run, wait or preferred or 0)
    headers = {} if run.status.final else RETRY_AFTER
    if preferred is not None and (waiter.registered or preferred == 0):
        headers = {**headers, "Preference-Applied": f"wait={preferred}"}
    return Response(run, headers=headers)


async def respond_with_events(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    run_id: UUID,
) -> ASGIApp:
    """Stream the events of a run, from the one after Last-Event-ID on.

    Raises RunNotFound, TooManyWaiting, NoRoomToWait.
    """
    seen = request.headers.get("last-event-id", "")
    if is_head(request):
        run = await service.show(resources, tenant, run_id, is_single=False)
        return nothing_more if _all_seen(run, seen) else head_of_events
    with ExitStack() as stack:
        waiter = stack.enter_context(waiters.waiter(tenant, final_only=False))
        waiter.register(run_id)
        run = await service.show(resources, tenant, run_id, is_single=False)
        if _all_seen(run, seen):
            return nothing_more
        events = _encoded(request, _follow(resources, waiter, run, seen=seen))
        return EventStream(events, leave=waiter.leave, held=stack.pop_all())


async def _await_end(resources: Resources, waiter: Waiter, run: Run, seconds: float) -> Run:
    read = partial(service.show, resources, waiter.tenant, run.id)
    deadline = asyncio.get_running_loop().time() + seconds
    while await waiter.wait(until=deadline) and not waiter.stopped:
        with suppress(DatabaseUnavailable):
            run = await read()
            if run.status.final:
                return run
    return await read()


async def _follow(
    resources: Resources, waiter: Waiter, run: Run, *, seen: str
) -> AsyncIterator[Run | None]:
    """Yield each state that is read, to the final one; None after a while without a change."""
    loop = asyncio.get_running_loop()
    told_at = loop.time()
    while True:
        if _event_id(run) != seen:
            seen, told_at = _event_id(run), loop.time()
            yield run
        elif loop.time() - told_at >= KEEP_ALIVE_SECONDS:
            told_at = loop.time()
            yield None
        if run.status.final:
            return
        parts_done = run.progress.parts_done
        waiter.known = RunState(id=run.id, status=run.status, parts_done=parts_done)
        await waiter.wait(until=loop.time() + _PROGRESS_SECONDS)
        if waiter.stopped:
            return
        with suppress(DatabaseUnavailable):
            run = await service.show(resources, waiter.tenant, run.id, is_single=False)


async def _encoded(
    request: AnyRequest, states: AsyncIterator[Run | None]
) -> AsyncGenerator[bytes, None]:
    async for run in states:
        if not await is_still_authorized(request):
            return
        if run is None:
            yield KEEP_ALIVE
        else:
            yield encode_event("status", _event_id(run), msgspec.json.encode(run))


def _event_id(run: Run) -> str:
    """Number the states of a run in their order: by the parts that are done, and the status."""
    return str(3 * run.progress.parts_done + _ORDER.get(run.status, 2))


def _all_seen(run: Run, seen: str) -> bool:
    return run.status.final and _event_id(run) == seen
