"""Erase what runs have kept of records, and delete old runs.

Statements here serve all tenants: age alone decides.
"""

from typing import Final

from app.db import Connection, from_row
from app.executions.retention import select_referenced_keys
from app.payloads.model import ExpiredBatch, Expiry, PayloadOwner

# By the age of their runs, as results by that of their executions.
ERASE_ERRORS = """
WITH due AS MATERIALIZED (
    SELECT e.execution_id, e.lease_token, e.number
    FROM runs AS r
    JOIN run_errors AS e ON e.run_id = r.id
    WHERE r.finished_at < clock_timestamp() - make_interval(days => $1)
    LIMIT $2
    FOR UPDATE OF e SKIP LOCKED
),
deleted AS (
    DELETE FROM run_errors AS e
    USING due
    WHERE e.execution_id = due.execution_id AND e.lease_token = due.lease_token
      AND e.number = due.number
    RETURNING e.run_id
)
SELECT (SELECT count(*) FROM deleted) AS items,
       (SELECT count(*) FROM deleted) AS rows,
       ARRAY[]::text[] AS blob_keys
"""


async def erase_errors(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete up to `limit` failed records of runs that ended more than `days` ago."""
    return from_row(ExpiredBatch, *await conn.fetch(ERASE_ERRORS, days, limit))


# A few at a time: each may have 100,000 parts. These are deleted before, as executions; a callback
# that is still tried keeps a run.
DELETE_RUNS = """
WITH due AS MATERIALIZED (
    SELECT r.id
    FROM runs AS r
    WHERE r.finished_at < clock_timestamp() - make_interval(days => $1)
      AND NOT EXISTS (SELECT FROM executions AS e WHERE e.run_id = r.id)
      AND (
          r.callback_url IS NULL
          OR r.finished_at < clock_timestamp() - make_interval(days => $1 + 4)
          OR (
              SELECT c.status
              FROM callbacks AS c
              WHERE c.tenant_id = r.tenant_id AND c.subject = 'run' AND c.subject_id = r.id
          ) IS DISTINCT FROM 'pending'
      )
    ORDER BY r.finished_at, r.id
    LIMIT least($2, 10)
    FOR UPDATE OF r SKIP LOCKED
),
deleted AS (
    DELETE FROM runs AS r
    USING due
    WHERE r.id = due.id
    RETURNING r.id
)
SELECT (SELECT count(*) FROM deleted) AS items,
       (SELECT count(*) FROM deleted) AS rows,
       ARRAY[]::text[] AS blob_keys
"""


async def delete_runs(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete up to `limit` runs that ended more than `days` ago and have no parts left."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_RUNS, days, limit))


# After the executions: their receipts are deleted first.
RUN_OWNER: Final = PayloadOwner(
    name="runs",
    # What they write is in the folders of datasets, their results are those of executions.
    folders=frozenset(),
    select_referenced_keys=select_referenced_keys,
    expiries=(
        Expiry(
            days=lambda settings: settings.keep_payloads_days,
            expire_batch=erase_errors,
            event="retention.failed_records_erased",
        ),
        Expiry(
            days=lambda settings: settings.keep_receipts_days,
            expire_batch=delete_runs,
            event="retention.runs_deleted",
        ),
    ),
)
