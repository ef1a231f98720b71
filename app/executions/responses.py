"""Respond to clients that wait for an execution: with its final state, or an event per state."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import ASGIApp
from msgspec import UnsetType
from msgspec.structs import replace

from app.auth.callers import Caller
from app.auth.model import Scope
from app.executions import service
from app.executions.model import Execution, Queued, Status
from app.executions.waiting.states import await_final, event_id, follow
from app.http.authorization import caller_of, is_still_authorized
from app.http.bodies import AnyRequest
from app.http.idempotency import replayed
from app.http.methods import is_head
from app.http.sse import (
    KEEP_ALIVE,
    EventStream,
    encode_event,
    head_of_events,
    nothing_more,
    on_leave,
)
from app.idempotency.model import Repeated
from app.progress.responses import RETRY_AFTER, apply_preference, register_wait
from app.progress.waiters import (
    Waiter,
    WaiterRegistry,
)
from app.resources import Resources


async def accept_and_respond(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    accept: Callable[[Callable[[UUID], None]], Awaitable[UUID]],
    *,
    seconds: int | None,
) -> Response[Queued | Execution]:
    """Accept an execution; respond with it, or with the one that its idempotency key created.

    `accept` calls its argument with the id before the execution exists, so that no notice about it
    is missed. The response is a 200 with an execution that finishes while the client waits, else a
    202.
    """
    caller = caller_of(request)
    try:
        with waiters.waiter(caller.tenant, final_only=True) as waiter:
            on_id = waiter.register_if_possible if seconds else _ignore
            execution_id = await accept(on_id)
            return await _respond_to_submission(
                request, resources, caller, execution_id, waiter, seconds=seconds
            )
    except Repeated as earlier:
        return await _respond_to_repetition(
            request, resources, waiters, caller, UUID(earlier.resource), seconds=seconds
        )


def _ignore(_execution_id: UUID) -> None:
    """Register no waiter."""


async def _respond_to_submission(
    request: AnyRequest,
    resources: Resources,
    caller: Caller,
    execution_id: UUID,
    waiter: Waiter,
    *,
    seconds: int | None,
) -> Response[Queued | Execution]:
    """Respond with a new execution; wait only if the waiter is registered."""
    if not waiter.registered:
        return _accepted(execution_id, Status.QUEUED, _applied(0 if seconds == 0 else None))
    with on_leave(request.receive, waiter.leave):
        read = partial(service.show, resources, caller.tenant, execution_id)
        execution = await await_final(waiter, read, seconds=seconds or 0)
    if execution.status.final:
        headers = {"Location": _url_of(execution_id), **_applied(seconds)}
        return Response(execution, status_code=200, headers=headers)
    return _accepted(execution_id, execution.status, _applied(seconds))


async def _respond_to_repetition(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    caller: Caller,
    execution_id: UUID,
    *,
    seconds: int | None,
) -> Response[Queued | Execution]:
    """Respond with the execution of an earlier request, in its state by now or after waiting.

    Raises ExecutionNotFound if it has been deleted since.
    """
    read = partial(service.show, resources, caller.tenant, execution_id)
    with waiters.waiter(caller.tenant, final_only=True) as waiter:
        applied = apply_preference(waiter, execution_id, seconds)
        execution = await _read_or_await_final(request, waiter, read, seconds=seconds or 0)
    headers = {**applied, **replayed(is_replay=True)}
    if execution.status.final and Scope.READ in caller.scopes:
        headers["Location"] = _url_of(execution_id)
        return Response(execution, status_code=200, headers=headers)
    return _accepted(execution_id, execution.status, headers)


async def respond_with_execution(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    execution_id: UUID,
    *,
    wait: float | UnsetType,
) -> Response[Execution]:
    """Respond with an execution, after waiting for its final state where the client wants that.

    `wait` is the query parameter, in seconds; without it, the Prefer header counts. Raises
    ExecutionNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    read = partial(service.show, resources, tenant, execution_id)
    with waiters.waiter(tenant, final_only=True) as waiter:
        seconds, applied = register_wait(request, waiter, execution_id, wait)
        execution = await _read_or_await_final(request, waiter, read, seconds=seconds)
    headers = {} if execution.status.final else RETRY_AFTER
    return Response(execution, headers={**headers, **applied})


async def respond_with_events(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    execution_id: UUID,
) -> ASGIApp:
    """Stream the events of an execution, from the one after Last-Event-ID on.

    A HEAD registers no waiter; it has the headers with which a stream would begin. Raises
    ExecutionNotFound, TooManyWaiting, NoRoomToWait.
    """
    seen = request.headers.get("last-event-id", "")
    read = partial(service.show, resources, tenant, execution_id, with_result=False)
    if is_head(request):
        return nothing_more if _all_seen(await read(), seen) else head_of_events
    with ExitStack() as stack:
        waiter = stack.enter_context(waiters.waiter(tenant, final_only=False))
        waiter.register(execution_id)
        execution = await read()
        if _all_seen(execution, seen):
            return nothing_more
        events = _encoded(request, follow(waiter, execution, read, seen=seen))
        return EventStream(events, leave=waiter.leave, held=stack.pop_all())


async def _encoded(
    request: AnyRequest, states: AsyncIterator[Execution | None]
) -> AsyncGenerator[bytes, None]:
    async for execution in states:
        if not await is_still_authorized(request):
            return
        if execution is None:
            yield KEEP_ALIVE
        else:
            yield encode_event("status", event_id(execution), msgspec.json.encode(execution))


def _all_seen(execution: Execution, seen: str) -> bool:
    return execution.status.final and event_id(execution) == seen


async def _read_or_await_final(
    request: AnyRequest,
    waiter: Waiter,
    read: Callable[[], Awaitable[Execution]],
    *,
    seconds: float,
) -> Execution:
    """Read an execution; if the waiter is registered, wait for its final state."""
    execution = await read()
    if waiter.registered and not execution.status.final:
        with on_leave(request.receive, waiter.leave):
            final = await await_final(waiter, read, seconds=seconds)
            # The outcome that comes with a notice does not name the run.
            execution = replace(final, run=execution.run)
    return execution


def _accepted(
    execution_id: UUID, status: Status, headers: dict[str, str]
) -> Response[Queued | Execution]:
    url = _url_of(execution_id)
    return Response(
        Queued(id=execution_id, status=status, url=url),
        status_code=202,
        headers={"Location": url, **RETRY_AFTER, **headers},
    )


def _applied(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}


def _url_of(execution_id: UUID) -> str:
    return f"/executions/{execution_id}"
