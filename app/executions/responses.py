"""What clients are answered that wait for an execution: its end, or an event for each change."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import ASGIApp

from app.auth.callers import Caller
from app.auth.model import Scope
from app.executions import service
from app.executions.model import Execution, Queued, Status
from app.executions.waiting.waiters import (
    LONGEST_SECONDS,
    WaiterRegistry,
    await_end,
    event_id,
    follow,
)
from app.http.authorization import is_still_authorized
from app.http.bodies import AnyRequest
from app.http.methods import is_head
from app.http.prefer_header import preferred_wait
from app.http.sse import (
    HEARTBEAT,
    EventStream,
    encode_event,
    head_of_events,
    nothing_more,
    on_leave,
)
from app.resources import Resources


async def respond_to_submission(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    who: Caller,
    *,
    submit: Callable[[Callable[[UUID], None]], Awaitable[UUID]],
) -> Response[Queued | Execution]:
    """Submit, then wait for the end where the client prefers that.

    200 with the execution when it has ended in time, else 202. Whether there is room to wait
    is found out once the input is there: a preference is no reason to refuse a submission.
    """
    seconds = preferred_wait(request, max_seconds=LONGEST_SECONDS)
    if seconds == 0 or seconds is None or Scope.READ not in who.scopes:
        return _accepted(
            await submit(_nobody), Status.QUEUED, _applied(0 if seconds == 0 else None)
        )
    with waiters.waiter(who.tenant, to_the_end=True) as waiter:
        execution_id = await submit(waiter.take_if_there_is_room)
        if not waiter.taken:
            return _accepted(execution_id, Status.QUEUED, {})
        with on_leave(request.receive, waiter.leave):
            read = partial(service.show, resources, who.tenant, execution_id)
            found = await await_end(waiter, read, seconds=seconds)
    if found.status.final:
        headers = {"Location": _url_of(execution_id), **_applied(seconds)}
        return Response(found, status_code=200, headers=headers)
    return _accepted(execution_id, found.status, _applied(seconds))


async def respond_with_execution(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    execution_id: UUID,
    *,
    wait: float | None,
) -> Response[Execution]:
    """Give an execution, its end where it comes within `wait` seconds, or those of Prefer.

    Both are cut to LONGEST_SECONDS. A HEAD is answered at once.

    Raises ExecutionNotFound; TooManyWaiting and NoRoomToWait for `wait`, as Prefer only prefers.
    """
    if is_head(request):
        wait = 0
    wait = None if wait is None else min(wait, LONGEST_SECONDS)
    preferred = preferred_wait(request, max_seconds=LONGEST_SECONDS) if wait is None else None
    read = partial(service.show, resources, tenant, execution_id)
    with waiters.waiter(tenant, to_the_end=True) as waiter:
        if wait:
            waiter.take(execution_id)
        elif preferred:
            waiter.take_if_there_is_room(execution_id)
        found = await read()
        if waiter.taken and not found.status.final:
            with on_leave(request.receive, waiter.leave):
                found = await await_end(waiter, read, seconds=wait or preferred or 0)
    headers = {} if found.status.final else service.RETRY_AFTER
    applied = _applied(preferred if waiter.taken or preferred == 0 else None)
    return Response(found, headers={**headers, **applied})


async def respond_with_events(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    execution_id: UUID,
) -> ASGIApp:
    """Give the events of an execution, those after Last-Event-ID where the client names it.

    HEAD registers no waiter; its headers are those that a stream would begin with.

    Raises ExecutionNotFound, TooManyWaiting, NoRoomToWait.
    """
    seen = request.headers.get("last-event-id", "")
    read = partial(service.show, resources, tenant, execution_id, with_result=False)
    if is_head(request):
        found = await read()
        return nothing_more if found.status.final and event_id(found) == seen else head_of_events
    with ExitStack() as stack:
        waiter = stack.enter_context(waiters.waiter(tenant, to_the_end=False))
        waiter.take(execution_id)
        found = await read()
        if found.status.final and event_id(found) == seen:
            return nothing_more
        events = _encoded(request, follow(waiter, found, read, seen=seen))
        return EventStream(events, leave=waiter.leave, held=stack.pop_all())


async def _encoded(
    request: AnyRequest, states: AsyncIterator[Execution | None]
) -> AsyncGenerator[bytes, None]:
    async for found in states:
        if not await is_still_authorized(request):
            return
        if found is None:
            yield HEARTBEAT
        else:
            yield encode_event("status", event_id(found), msgspec.json.encode(found))


def _accepted(
    execution_id: UUID, status: Status, headers: dict[str, str]
) -> Response[Queued | Execution]:
    url = _url_of(execution_id)
    return Response(
        Queued(id=execution_id, status=status, url=url),
        status_code=202,
        headers={"Location": url, **service.RETRY_AFTER, **headers},
    )


def _applied(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}


def _url_of(execution_id: UUID) -> str:
    return f"/executions/{execution_id}"


def _nobody(_: UUID) -> None:
    """Nobody waits."""
