"""Respond about what takes a while: with its acceptance, its end, or events of its progress.

For resources whose notices report the end only, such as batches and runs; each follower reads the
progress itself.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import Final, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import ASGIApp
from msgspec import UNSET, UnsetType

from app.auth.authenticator import Authenticator
from app.auth.callers import Caller
from app.auth.event_tokens import EventsToken
from app.auth.model import Scope
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
from app.progress.waiters import (
    KEEP_ALIVE_SECONDS,
    MAX_WAIT_SECONDS,
    Waiter,
    WaiterRegistry,
    WatchedState,
)


class Accepted(Protocol):
    """What is said of a submission that is accepted."""

    @property
    def url(self) -> str:
        """The address of the resource."""


T = TypeVar("T")
QueuedT = TypeVar("QueuedT", bound=Accepted)

# How long a client should wait before it asks again, in seconds.
RETRY_AFTER: Final = {"Retry-After": "1"}
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

    `number` tells a state from the one before, and mostly rises; it is the id of the event. `state`
    is what waiters compare, `told` what the event has.
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


def seconds_to_wait(request: AnyRequest, caller: Caller) -> int | None:
    """Read for how long a submission prefers to wait; None without a preference.

    A key that may not read cannot wait for a result: its preference is ignored.
    """
    seconds = preferred_wait(request, max_seconds=MAX_WAIT_SECONDS)
    return seconds if seconds == 0 or Scope.READ in caller.scopes else None


def apply_preference(waiter: Waiter, resource_id: UUID, seconds: int | None) -> dict[str, str]:
    """Register a waiter if a preference for seconds can be met; return the headers that say so."""
    if seconds:
        waiter.register_if_possible(resource_id)
    if seconds is None or (seconds and not waiter.registered):
        return {}
    return {"Preference-Applied": f"wait={seconds}"}


def register_wait(
    request: AnyRequest, waiter: Waiter, resource_id: UUID, wait: float | UnsetType
) -> tuple[float, dict[str, str]]:
    """Register a waiter if the client wants to wait; return the seconds, and headers about them.

    `wait` is the query parameter; without it, the Prefer header counts. Both are cut to
    MAX_WAIT_SECONDS, and a HEAD does not wait. With `wait` it raises TooManyWaiting and
    NoRoomToWait, which a mere preference does not.
    """
    if is_head(request):
        return 0, {}
    if wait is UNSET:
        preferred = preferred_wait(request, max_seconds=MAX_WAIT_SECONDS)
        return preferred or 0, apply_preference(waiter, resource_id, preferred)
    if wait:
        waiter.register(resource_id)
    return min(wait, MAX_WAIT_SECONDS), {}


def respond_with_acceptance(accepted: T, *, url: str, is_replay: bool = False) -> Response[T]:
    """Respond at once with what is accepted, or was by an earlier request with the same key."""
    headers = {"Location": url, **RETRY_AFTER, **replayed(is_replay=is_replay)}
    return Response(accepted, status_code=202, headers=headers)


async def respond_to_submission(
    request: AnyRequest,
    waiters: WaiterRegistry,
    progress: Progress[T],
    queued: QueuedT,
    *,
    queued_as: Callable[[T], QueuedT],
    is_replay: bool = False,
) -> Response[QueuedT | T]:
    """Respond with what is accepted, or was by an earlier request with the same key.

    The response is a 200 with a resource that ends while the client prefers to wait, else a 202;
    `queued_as` describes one that has not ended by then.
    """
    caller = caller_of(request)
    seconds = seconds_to_wait(request, caller)
    headers = {"Location": queued.url, **replayed(is_replay=is_replay)}
    with waiters.waiter(caller.tenant, final_only=True) as waiter:
        headers |= apply_preference(waiter, progress.id, seconds)
        if waiter.registered:
            found = await progress.read()
            if not progress.is_final(found):
                found = await _await_end(request, waiter, progress, seconds=seconds or 0)
            if progress.is_final(found):
                return Response(found, status_code=200, headers=headers)
            queued = queued_as(found)
    return Response(queued, status_code=202, headers={**headers, **RETRY_AFTER})


async def respond_to_repetition(
    request: AnyRequest,
    waiters: WaiterRegistry,
    progress: Progress[T],
    *,
    queued_as: Callable[[T], QueuedT],
) -> Response[QueuedT | T]:
    """Respond as to the earlier request with the same key. Raises what `read` raises."""
    queued = queued_as(await progress.read())
    return await respond_to_submission(
        request, waiters, progress, queued, queued_as=queued_as, is_replay=True
    )


async def respond_with_resource(
    request: AnyRequest,
    waiters: WaiterRegistry,
    tenant: UUID,
    progress: Progress[T],
    *,
    wait: float | UnsetType,
) -> Response[T]:
    """Respond with a resource, after waiting for its end where the client wants that.

    `wait` is the query parameter, in seconds; without it, the Prefer header counts. Raises what
    `read` raises; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    with waiters.waiter(tenant, final_only=True) as waiter:
        seconds, applied = register_wait(request, waiter, progress.id, wait)
        found = await progress.read()
        if waiter.registered and not progress.is_final(found):
            found = await _await_end(request, waiter, progress, seconds=seconds)
    headers = {} if progress.is_final(found) else RETRY_AFTER
    return Response(found, headers={**headers, **applied})


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


async def respond_with_events_token(
    request: AnyRequest, caller: Caller, resource_id: UUID
) -> Response[EventsToken]:
    """Respond with a token for the events of a resource, which the caller may read."""
    authenticator: Authenticator = request.app.state.authenticator
    token = await authenticator.create_events_token(caller.key_id, resource_id)
    return Response(token, status_code=201, headers={"Cache-Control": "no-store"})


async def _await_end(
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
