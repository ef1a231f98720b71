"""Show, list and cancel batches."""

from uuid import UUID

import structlog

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.batches import store
from app.batches.item_cancellations import cancel_unfinished
from app.batches.model import Batch, BatchStatus
from app.batches.problems import BatchFinished, BatchNotFound
from app.metrics import count_batch
from app.pagination import Page, Paginator
from app.resources import Resources

log = structlog.get_logger(__name__)


async def show(resources: Resources, tenant: UUID, batch_id: UUID) -> Batch:
    """Return a batch in its current state. Raises BatchNotFound."""
    async with resources.pool.acquire() as conn:
        batch = await store.select_batch(conn, tenant, batch_id)
    if batch is None:
        raise BatchNotFound(f"no batch {batch_id}; GET /batches lists them")
    return batch


async def list_batches(
    resources: Resources, tenant: UUID, *, cursor: str | None, limit: int
) -> Page[Batch]:
    """Return a page of batches, newest first. Raises InvalidRequest."""
    paginator = Paginator("batches")
    below = paginator.below(cursor)
    async with resources.pool.acquire() as conn:
        batches = await store.select_batch_page(conn, tenant, below=below, limit=limit + 1)
    return paginator.page(batches, [batch.id for batch in batches], limit=limit)


async def cancel(resources: Resources, caller: Caller, batch_id: UUID) -> Batch:
    """Cancel what has not finished, and return once it is. Repeating it changes nothing.

    The cancellation is committed first: if this process is killed, a worker completes it. Raises
    BatchNotFound, BatchFinished.
    """
    before = await show(resources, caller.tenant, batch_id)
    if before.finished_at is None:
        async with resources.pool.acquire() as conn, conn.transaction():
            unfinished = await store.mark_cancelled(conn, caller.tenant, batch_id)
            if unfinished is not None:
                target = f"/batches/{batch_id}"
                details = {"items": unfinished}
                await log_action(conn, caller, Action.BATCH_CANCELLED, target, details=details)
        stopped = await cancel_unfinished(resources.pool, caller.tenant, batch_id)
        if unfinished is not None:
            count_batch("cancelled", items=unfinished)
            log.info("batch.cancelled", id=str(batch_id), items=unfinished)
        # Waiters of queued items are woken by the next resync.
        resources.publisher.ended(*stopped)
    batch = await show(resources, caller.tenant, batch_id)
    if batch.status is not BatchStatus.CANCELLED:
        raise BatchFinished(
            f"all {batch.items} items had finished; GET {batch.results_url} has their results"
        )
    return batch
