"""Delete old batches and abandoned uploads, and finish interrupted cancellations.

Statements here serve all tenants: age alone decides.
"""

from typing import Final

from app.batches.item_cancellations import finish_cancellations
from app.batches.staging_store import delete_abandoned
from app.db import Connection, from_row
from app.executions.retention import select_referenced_keys
from app.payloads.model import ExpiredBatch, Expiry, PayloadOwner
from app.progress.expiry import COUNTED, deleted, due

# Items finish before their batch does, and expire by the same number of days.
_WITH_ITEMS: Final = "SELECT FROM executions AS e WHERE e.batch_id = b.id"
DELETE_BATCHES = f"""
WITH {due("batches", "b", subject="batch", unless=_WITH_ITEMS)},
{deleted("batches", "b")}
SELECT
{COUNTED}
"""


async def delete_batches(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete up to `limit` batches that finished more than `days` ago and have no items left."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_BATCHES, days, limit))


# After the executions: their receipts are deleted first.
BATCH_OWNER: Final = PayloadOwner(
    name="batches",
    # Their blobs are the inputs of executions.
    folders=frozenset(),
    select_referenced_keys=select_referenced_keys,
    expiries=(
        Expiry(
            days=lambda settings: settings.keep_receipts_days,
            expire_batch=delete_batches,
            event="retention.batches_deleted",
        ),
        Expiry(
            days=lambda _: 1,
            expire_batch=finish_cancellations,
            event="retention.cancellations_finished",
        ),
        Expiry(
            days=lambda _: 1,
            expire_batch=delete_abandoned,
            event="retention.uploads_abandoned",
        ),
    ),
)
