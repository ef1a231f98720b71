"""Expire the payloads and receipts of executions.

Statements here serve all tenants: age alone decides.
"""

from collections.abc import Sequence
from typing import Final

from app.db import Connection, from_row
from app.payloads.model import ExpiredBatch, Expiry, MaintenanceTask, PayloadOwner
from app.payloads.store import ensure_task
from app.progress.expiry import deleted, due

# One batch, one short transaction. A worker that finds the task's row locked returns at once. Each
# batch starts at the cursor where the last one ended, so erased payloads are not scanned again.
# The cursor is read by scalar subqueries, constants to the planner: an index gives the order.
EXPIRE_PAYLOADS = """
WITH task AS MATERIALIZED (
    SELECT duty, finished_at, id
    FROM retention_duties
    WHERE duty = 'payloads'
    FOR UPDATE SKIP LOCKED
),
due AS MATERIALIZED (
    SELECT e.id, e.finished_at
    FROM executions AS e
    WHERE (e.finished_at, e.id)
          > ((SELECT task.finished_at FROM task), (SELECT task.id FROM task))
      AND e.finished_at < now() - make_interval(days => $1)
    ORDER BY e.finished_at, e.id
    LIMIT $2
),
stored AS MATERIALIZED (
    SELECT p.execution_id, p.kind, p.blob_key
    FROM due
    JOIN payloads AS p ON p.execution_id = due.id
    WHERE p.erased_at IS NULL
    ORDER BY p.execution_id, p.kind
    FOR UPDATE OF p
),
erased AS (
    UPDATE payloads AS p
    SET body = NULL, blob_key = NULL, erased_at = clock_timestamp()
    FROM stored
    WHERE p.execution_id = stored.execution_id AND p.kind = stored.kind
    RETURNING stored.blob_key
),
moved AS (
    UPDATE retention_duties AS d
    SET finished_at = last.finished_at, id = last.id
    FROM (SELECT finished_at, id FROM due ORDER BY finished_at DESC, id DESC LIMIT 1) AS last
    WHERE d.duty = 'payloads'
)
SELECT (SELECT count(*) FROM due) AS items,
       (SELECT count(*) FROM erased) AS rows,
       ARRAY(SELECT blob_key FROM erased WHERE blob_key IS NOT NULL) AS blob_keys
"""


async def expire_payloads(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Erase the payloads of up to `limit` executions that finished more than `days` ago."""
    await ensure_task(conn, MaintenanceTask.PAYLOADS)
    return from_row(ExpiredBatch, *await conn.fetch(EXPIRE_PAYLOADS, days, limit))


DELETE_EXECUTIONS = f"""
WITH {due("executions", "e", subject="execution")},
deleted_payloads AS (
    DELETE FROM payloads AS p
    USING due
    WHERE p.execution_id = due.id
    RETURNING p.blob_key
),
{deleted("executions", "e")}
SELECT (SELECT count(*) FROM deleted) AS items,
       (SELECT count(*) FROM deleted_payloads) AS rows,
       ARRAY(SELECT blob_key FROM deleted_payloads WHERE blob_key IS NOT NULL) AS blob_keys
"""  # noqa: S608 - put together from constants


async def delete_executions(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete up to `limit` executions that finished more than `days` ago, with their receipts."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_EXECUTIONS, days, limit))


SELECT_REFERENCED_KEYS = """
SELECT blob_key
FROM payloads
WHERE blob_key = ANY ($1)
UNION ALL
SELECT blob_key
FROM batch_inputs
WHERE blob_key = ANY ($1)
"""


async def select_referenced_keys(conn: Connection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that a payload, or an input of an upload under way, references."""
    return {row["blob_key"] for row in await conn.fetch(SELECT_REFERENCED_KEYS, keys)}


# Receipts first: a deleted execution needs no erasure.
PAYLOAD_OWNER: Final = PayloadOwner(
    name="executions",
    folders=frozenset({"inputs", "results"}),
    select_referenced_keys=select_referenced_keys,
    expiries=(
        Expiry(
            days=lambda settings: settings.keep_receipts_days,
            expire_batch=delete_executions,
            event="retention.receipts_deleted",
        ),
        Expiry(
            days=lambda settings: settings.keep_payloads_days,
            expire_batch=expire_payloads,
            event="retention.payloads_erased",
        ),
    ),
)
