"""Respond with batches, also to clients that wait for their end or follow their progress."""

from functools import partial
from typing import Final
from uuid import UUID

from litestar import Response
from msgspec import UNSET
from msgspec.structs import replace

from app.batches import service
from app.batches.model import Batch, BatchState, QueuedBatch
from app.progress.responses import Events, Progress, respond_with_acceptance
from app.resources import Resources

# By the items that have ended.
EVENTS: Final = Events[Batch](
    number=lambda batch: batch.ended,
    state=lambda batch: BatchState(id=batch.id, ended=batch.ended, final=False),
    told=lambda batch: replace(batch, callback_url=UNSET),
)


def progress_of(resources: Resources, tenant: UUID, batch_id: UUID) -> Progress[Batch]:
    """Return how a batch is read, as `service.show` does."""
    return Progress(
        batch_id,
        read=partial(service.show, resources, tenant, batch_id),
        is_final=lambda batch: batch.finished_at is not None,
    )


def respond_to_submission(
    batch: Batch | QueuedBatch, *, is_replay: bool = False
) -> Response[QueuedBatch]:
    """Respond with an accepted batch, or with that of an earlier request with the same key."""
    url = f"/batches/{batch.id}"
    queued = QueuedBatch(id=batch.id, status=batch.status, items=batch.items, url=url)
    return respond_with_acceptance(queued, url=url, is_replay=is_replay)
