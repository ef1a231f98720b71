"""Cancel what has not finished of a batch, in short transactions."""

from contextlib import suppress
from typing import Final
from uuid import UUID

from app.batches import store
from app.db import Connection, Pool
from app.executions import cancellations
from app.executions.model import Status
from app.outages import DatabaseUnavailable
from app.payloads.model import ExpiredBatch

_ITEMS_AT_ONCE: Final = 1_000


async def cancel_unfinished(pool: Pool, tenant: UUID, batch_id: UUID) -> list[UUID]:
    """Cancel running items first, then queued ones; return those that were running.

    Items that are claimed meanwhile are found by another round. Workers are notified after each
    commit; one that is not notices when it renews its leases.
    """
    stopped: list[UUID] = []
    while True:
        async with pool.acquire() as conn:
            running = await _cancel_all(conn, tenant, batch_id, Status.RUNNING)
            with suppress(DatabaseUnavailable):
                for execution in running:
                    await cancellations.notify_workers(conn, execution)
        stopped += running
        async with pool.acquire() as conn:
            queued = await _cancel_all(conn, tenant, batch_id, Status.QUEUED)
        if not running and not queued:
            return stopped


async def _cancel_all(conn: Connection, tenant: UUID, batch_id: UUID, status: Status) -> list[UUID]:
    """Cancel the items of a status, in the order of their lines; return their ids."""
    above, ids = 0, list[UUID]()
    while items := await store.cancel_items(
        conn, tenant, batch_id, status, above=above, limit=_ITEMS_AT_ONCE
    ):
        above = max(each.batch_line for each in items)
        ids += [each.id for each in items]
    return ids


async def finish_cancellations(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Cancel the rest of batches whose cancellation was cut off, as by a kill of its API."""
    del days
    rows = 0
    found = await store.select_uncancelled(conn, limit)
    for tenant, batch_id in found:
        for status in (Status.RUNNING, Status.QUEUED):
            cancelled = await _cancel_all(conn, tenant, batch_id, status)
            rows += len(cancelled)
            for execution in cancelled if status is Status.RUNNING else ():
                await cancellations.notify_workers(conn, execution)
    return ExpiredBatch(items=len(found) if rows else 0, rows=rows, blob_keys=[])
