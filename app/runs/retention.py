"""Erase what runs have kept of records, and delete old runs.

Statements here serve all tenants: age alone decides.
"""

from typing import Final

from app.db import Connection, from_row
from app.executions.retention import select_referenced_keys
from app.payloads.model import ExpiredBatch, Expiry, PayloadOwner
from app.progress.expiry import COUNTED, deleted, due

# By the age of their runs, as results by that of their executions.
ERASE_ERRORS = f"""
WITH due AS MATERIALIZED (
    SELECT e.execution_id, e.lease_token, e.number
    FROM runs AS r
    JOIN run_errors AS e ON e.run_id = r.id
    WHERE r.finished_at < now() - make_interval(days => $1)
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
SELECT
{COUNTED}
"""  # noqa: S608 - put together from constants


async def erase_errors(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete up to `limit` failed records of runs that ended more than `days` ago."""
    return from_row(ExpiredBatch, *await conn.fetch(ERASE_ERRORS, days, limit))


# Each may have 100,000 parts.
_RUNS_AT_ONCE: Final = 10
# These are deleted before, as executions.
_WITH_PARTS: Final = "SELECT FROM executions AS e WHERE e.run_id = r.id"
DELETE_RUNS = f"""
WITH {due("runs", "r", subject="run", unless=_WITH_PARTS, at_once=_RUNS_AT_ONCE)},
{deleted("runs", "r")}
SELECT
{COUNTED}
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
