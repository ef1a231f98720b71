"""Delete old batches and abandoned uploads, and finish interrupted cancellations.

Statements here serve all tenants: age alone decides.
"""

from typing import Final

from app.batches.item_cancellations import finish_cancellations
from app.batches.staging_store import delete_abandoned
from app.db import Connection, from_row
from app.executions.retention import select_referenced_keys
from app.payloads.model import ExpiredBatch, Expiry, PayloadOwner

# Items finish before their batch does, and expire by the same number of days. A callback that is
# still tried keeps its batch as it does an execution.
DELETE_BATCHES = """
WITH due AS MATERIALIZED (
    SELECT b.id
    FROM batches AS b
    WHERE b.finished_at < clock_timestamp() - make_interval(days => $1)
      AND NOT EXISTS (SELECT FROM executions AS e WHERE e.batch_id = b.id)
      AND (
          b.callback_url IS NULL
          OR b.finished_at < clock_timestamp() - make_interval(days => $1 + 4)
          OR (
              SELECT c.status
              FROM callbacks AS c
              WHERE c.tenant_id = b.tenant_id AND c.subject = 'batch' AND c.subject_id = b.id
          ) IS DISTINCT FROM 'pending'
      )
    ORDER BY b.finished_at, b.id
    LIMIT $2
    FOR UPDATE OF b SKIP LOCKED
),
deleted AS (
    DELETE FROM batches AS b
    USING due
    WHERE b.id = due.id
    RETURNING b.id
)
SELECT (SELECT count(*) FROM deleted) AS items,
       (SELECT count(*) FROM deleted) AS rows,
       ARRAY[]::text[] AS blob_keys
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
