"""Show, list and cancel batches."""

from contextlib import suppress
from uuid import UUID

import structlog

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.batches import store
from app.batches.acceptance import ALL_ITEMS_SECONDS
from app.batches.model import Batch, BatchStatus
from app.batches.problems import BatchFinished, BatchNotFound
from app.executions import cancellations
from app.metrics import count_batch
from app.outages import DatabaseUnavailable
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
    """Cancel what has not finished, in one transaction. Repeating it changes nothing.

    Raises BatchNotFound, BatchFinished.
    """
    before = await show(resources, caller.tenant, batch_id)
    if before.finished_at is None:
        async with resources.pool.acquire() as conn:
            async with conn.transaction():
                cancelled = await store.cancel_items(
                    conn, caller.tenant, batch_id, timeout_seconds=ALL_ITEMS_SECONDS
                )
                if cancelled.items:
                    await store.mark_cancelled(conn, caller.tenant, batch_id)
                    details = {"items": cancelled.items}
                    target = f"/batches/{batch_id}"
                    await log_action(conn, caller, Action.BATCH_CANCELLED, target, details=details)
            if cancelled.items:
                count_batch("cancelled", items=cancelled.items)
                log.info("batch.cancelled", id=str(batch_id), items=cancelled.items)
                # Waiters of queued items are woken by the next resync.
                resources.publisher.ended(*cancelled.running)
            # Committed already: a worker that is not notified notices when it renews its leases.
            with suppress(DatabaseUnavailable):
                for execution in cancelled.running:
                    await cancellations.notify_workers(conn, execution)
    batch = await show(resources, caller.tenant, batch_id)
    if batch.status is not BatchStatus.CANCELLED:
        raise BatchFinished(
            f"all {batch.items} items had finished; GET {batch.results_url} has their results"
        )
    return batch
