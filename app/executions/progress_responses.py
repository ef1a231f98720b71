"""Respond about what takes a while: with its end, or with events of its progress.

For resources whose notices report the end only, such as batches and runs; each follower reads the
progress itself.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import Final, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import ASGIApp

from app.executions.service import RETRY_AFTER
from app.executions.waiting.states import KEEP_ALIVE_SECONDS
from app.executions.waiting.waiters import (
    MAX_WAIT_SECONDS,
    Waiter,
    WaiterRegistry,
    WatchedState,
)
from app.http.authorization import is_still_authorized
from app.http.bodies import AnyRequest
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

T = TypeVar("T")

# Each follower reads the progress at this interval at least: one row.
_PROGRESS_SECONDS: Final = 1.0


class Progress(Generic[T]):
    """How a resource is read, and what tells one state of it from the next."""

    def __init__(
        self,
        resource_id: UUID,
        *,
        read: Callable[[], Awaitable[T]],
        is_final: Callable[[T], bool],
    ) -> None:
        """Take the id that notices have, and how the resource is read."""
        self.id = resource_id
        self.read = read
        self.is_final = is_final


class Events(Generic[T]):
    """What events say of a resource.

    `number` orders the states of a resource; it is the id of the event. `state` is what waiters
    compare, `told` what the event has.
    """

    def __init__(
        self,
        *,
        number: Callable[[T], int],
        state: Callable[[T], WatchedState],
        told: Callable[[T], object],
    ) -> None:
        """Take the three."""
        self.number = number
        self.state = state
        self.told = told


async def respond_with_resource(
    request: AnyRequest,
    waiters: WaiterRegistry,
    tenant: UUID,
    progress: Progress[T],
    *,
    wait: float | None,
) -> Response[T]:
    """Respond with a resource, after waiting for its end where the client wants that.

    `wait` is the query parameter, in seconds; without it, the Prefer header counts. Raises what
    `read` raises; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    if is_head(request):
        wait = 0
    wait = None if wait is None else min(wait, MAX_WAIT_SECONDS)
    preferred = preferred_wait(request, max_seconds=MAX_WAIT_SECONDS) if wait is None else None
    with waiters.waiter(tenant, final_only=True) as waiter:
        if wait:
            waiter.register(progress.id)
        elif preferred:
            waiter.register_if_possible(progress.id)
        found = await progress.read()
        if waiter.registered and not progress.is_final(found):
            found = await await_end(request, waiter, progress, seconds=wait or preferred or 0)
    headers = {} if progress.is_final(found) else RETRY_AFTER
    if preferred is not None and (waiter.registered or preferred == 0):
        headers = {**headers, "Preference-Applied": f"wait={preferred}"}
    return Response(found, headers=headers)


async def await_end(
    request: AnyRequest, waiter: Waiter, progress: Progress[T], *, seconds: float
) -> T:
    """Wait up to `seconds` for the end, and return the resource as it is by then.

    While PostgreSQL is away it keeps waiting, and raises only at the end.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    with on_leave(request.receive, waiter.leave):
        while await waiter.wait(until=deadline) and not waiter.stopped:
            with suppress(DatabaseUnavailable):
                found = await progress.read()
                if progress.is_final(found):
                    return found
        return await progress.read()


async def respond_with_events(
    request: AnyRequest,
    waiters: WaiterRegistry,
    tenant: UUID,
    progress: Progress[T],
    events: Events[T],
) -> ASGIApp:
    """Stream the events of a resource, from the one after Last-Event-ID on.

    Raises what `read` raises, TooManyWaiting, NoRoomToWait.
    """
    seen = request.headers.get("last-event-id", "")

    def all_seen(found: T) -> bool:
        return progress.is_final(found) and str(events.number(found)) == seen

    if is_head(request):
        return nothing_more if all_seen(await progress.read()) else head_of_events
    with ExitStack() as stack:
        waiter = stack.enter_context(waiters.waiter(tenant, final_only=False))
        waiter.register(progress.id)
        found = await progress.read()
        if all_seen(found):
            return nothing_more
        states = _follow(waiter, found, progress, events, seen=seen)
        encoded = _encoded(request, states, events)
        return EventStream(encoded, leave=waiter.leave, held=stack.pop_all())


async def _follow(
    waiter: Waiter, found: T, progress: Progress[T], events: Events[T], *, seen: str
) -> AsyncIterator[T | None]:
    """Yield each state that is read, to the final one; None after a while without a change."""
    loop = asyncio.get_running_loop()
    told_at = loop.time()
    while True:
        number = str(events.number(found))
        if number != seen:
            seen, told_at = number, loop.time()
            yield found
        elif loop.time() - told_at >= KEEP_ALIVE_SECONDS:
            told_at = loop.time()
            yield None
        if progress.is_final(found):
            return
        waiter.known = events.state(found)
        await waiter.wait(until=loop.time() + _PROGRESS_SECONDS)
        if waiter.stopped:
            return
        with suppress(DatabaseUnavailable):
            found = await progress.read()


async def _encoded(
    request: AnyRequest, states: AsyncIterator[T | None], events: Events[T]
) -> AsyncGenerator[bytes, None]:
    async for found in states:
        if not await is_still_authorized(request):
            return
        if found is None:
            yield KEEP_ALIVE
        else:
            told = msgspec.json.encode(events.told(found))
            yield encode_event("status", str(events.number(found)), told)
