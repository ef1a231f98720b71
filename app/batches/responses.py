"""Respond to clients that wait for a batch: with its end, or events of its progress."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import ASGIApp
from msgspec import UNSET
from msgspec.structs import replace

from app.batches import service
from app.batches.model import Batch, BatchState, QueuedBatch
from app.executions.waiting.states import KEEP_ALIVE_SECONDS
from app.executions.waiting.waiters import MAX_WAIT_SECONDS, Waiter, WaiterRegistry
from app.http.authorization import is_still_authorized
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

RETRY_AFTER: Final = {"Retry-After": "1"}
# Notices report the end only. Each follower reads the counts at this interval: one row.
_PROGRESS_SECONDS: Final = 1.0


def respond_to_submission(
    batch: Batch | QueuedBatch, *, is_replay: bool = False
) -> Response[QueuedBatch]:
    """Respond with an accepted batch, or with that of an earlier request with the same key."""
    url = f"/batches/{batch.id}"
    return Response(
        QueuedBatch(id=batch.id, status=batch.status, items=batch.items, url=url),
        status_code=202,
        headers={"Location": url, **RETRY_AFTER, **replayed(is_replay=is_replay)},
    )


async def respond_with_batch(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    batch_id: UUID,
    *,
    wait: float | None,
) -> Response[Batch]:
    """Respond with a batch, after waiting for its end where the client wants that.

    `wait` is the query parameter, in seconds; without it, the Prefer header counts. Raises
    BatchNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    if is_head(request):
        wait = 0
    wait = None if wait is None else min(wait, MAX_WAIT_SECONDS)
    preferred = preferred_wait(request, max_seconds=MAX_WAIT_SECONDS) if wait is None else None
    with waiters.waiter(tenant, final_only=True) as waiter:
        if wait:
            waiter.register(batch_id)
        elif preferred:
            waiter.register_if_possible(batch_id)
        batch = await service.show(resources, tenant, batch_id)
        if waiter.registered and batch.finished_at is None:
            with on_leave(request.receive, waiter.leave):
                batch = await _await_end(resources, waiter, batch, wait or preferred or 0)
    headers = {} if batch.finished_at is not None else RETRY_AFTER
    if preferred is not None and (waiter.registered or preferred == 0):
        headers = {**headers, "Preference-Applied": f"wait={preferred}"}
    return Response(batch, headers=headers)


async def respond_with_events(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    batch_id: UUID,
) -> ASGIApp:
    """Stream the events of a batch, from the one after Last-Event-ID on.

    Raises BatchNotFound, TooManyWaiting, NoRoomToWait.
    """
    seen = request.headers.get("last-event-id", "")
    if is_head(request):
        batch = await service.show(resources, tenant, batch_id)
        return nothing_more if _all_seen(batch, seen) else head_of_events
    with ExitStack() as stack:
        waiter = stack.enter_context(waiters.waiter(tenant, final_only=False))
        waiter.register(batch_id)
        batch = await service.show(resources, tenant, batch_id)
        if _all_seen(batch, seen):
            return nothing_more
        events = _encoded(request, _follow(resources, waiter, batch, seen=seen))
        return EventStream(events, leave=waiter.leave, held=stack.pop_all())


async def _await_end(resources: Resources, waiter: Waiter, batch: Batch, seconds: float) -> Batch:
    read = partial(service.show, resources, waiter.tenant, batch.id)
    deadline = asyncio.get_running_loop().time() + seconds
    while await waiter.wait(until=deadline) and not waiter.stopped:
        with suppress(DatabaseUnavailable):
            batch = await read()
            if batch.finished_at is not None:
                return batch
    return await read()


async def _follow(
    resources: Resources, waiter: Waiter, batch: Batch, *, seen: str
) -> AsyncIterator[Batch | None]:
    """Yield each state that is read, to the final one; None after a while without a change."""
    loop = asyncio.get_running_loop()
    told_at = loop.time()
    while True:
        if _event_id(batch) != seen:
            seen, told_at = _event_id(batch), loop.time()
            yield batch
        elif loop.time() - told_at >= KEEP_ALIVE_SECONDS:
            told_at = loop.time()
            yield None
        if batch.finished_at is not None:
            return
        waiter.known = BatchState(id=batch.id, ended=batch.ended, final=False)
        await waiter.wait(until=loop.time() + _PROGRESS_SECONDS)
        if waiter.stopped:
            return
        with suppress(DatabaseUnavailable):
            batch = await service.show(resources, waiter.tenant, batch.id)


async def _encoded(
    request: AnyRequest, states: AsyncIterator[Batch | None]
) -> AsyncGenerator[bytes, None]:
    async for batch in states:
        if not await is_still_authorized(request):
            return
        if batch is None:
            yield KEEP_ALIVE
        else:
            told = replace(batch, callback_url=UNSET)
            yield encode_event("status", _event_id(batch), msgspec.json.encode(told))


def _event_id(batch: Batch) -> str:
    """Number the states of a batch: by the items that have ended."""
    return str(batch.ended)


def _all_seen(batch: Batch, seen: str) -> bool:
    return batch.finished_at is not None and _event_id(batch) == seen
