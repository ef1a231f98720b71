"""Respond with batches, also to clients that wait for their end or follow their progress."""

from functools import partial
from uuid import UUID

from litestar import Response
from litestar.types import ASGIApp
from msgspec import UNSET
from msgspec.structs import replace

from app.batches import service
from app.batches.model import Batch, BatchState, QueuedBatch
from app.executions import progress_responses
from app.executions.progress_responses import Events, Progress
from app.executions.service import RETRY_AFTER
from app.executions.waiting.waiters import WaiterRegistry
from app.http.bodies import AnyRequest
from app.http.idempotency import replayed
from app.resources import Resources

# By the items that have ended.
_EVENTS = Events[Batch](
    number=lambda batch: batch.ended,
    state=lambda batch: BatchState(id=batch.id, ended=batch.ended, final=False),
    told=lambda batch: replace(batch, callback_url=UNSET),
)


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

    Raises BatchNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    progress = _progress(resources, tenant, batch_id)
    return await progress_responses.respond_with_resource(
        request, waiters, tenant, progress, wait=wait
    )


async def respond_with_events(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    batch_id: UUID,
) -> ASGIApp:
    """Stream the events of a batch. Raises BatchNotFound, TooManyWaiting, NoRoomToWait."""
    progress = _progress(resources, tenant, batch_id)
    return await progress_responses.respond_with_events(request, waiters, tenant, progress, _EVENTS)


def _progress(resources: Resources, tenant: UUID, batch_id: UUID) -> Progress[Batch]:
    return Progress(
        batch_id,
        read=partial(service.show, resources, tenant, batch_id),
        is_final=lambda batch: batch.finished_at is not None,
    )
