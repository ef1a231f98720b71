"""End a run: record how, cancel what is left of it, drop what nothing will use."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from app.datasets.blob_cleanup import delete_blobs
from app.db import Connection
from app.executions import cancellations
from app.metrics import count_run, count_run_rows
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.runs.model import RunStatus
from app.sql_parameters import in_order


class Ended(Struct, frozen=True, kw_only=True):
    """What is to be done after the commit: rows to count, blobs to delete, executions to stop."""

    run_id: UUID
    status: RunStatus
    rows: Mapping[str, int]
    blob_keys: Sequence[str]
    running: Sequence[UUID]
    cancelled: Sequence[UUID]


END_RUN = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS id,
           $3::text AS status,
           $4::bytea AS error,
           $5::uuid AS result_of,
           $6::integer AS output_snapshot,
           $7::bytea AS output_sha256
)
UPDATE runs AS r
SET status = p.status, error = p.error, result_of = p.result_of,
    output_snapshot = p.output_snapshot, output_sha256 = p.output_sha256,
    finished_at = clock_timestamp()
FROM parameters AS p
WHERE r.tenant_id = p.tenant_id AND r.id = p.id
RETURNING r.rows_in, r.rows_out, r.rows_failed
"""

# In the order of ids, as outcomes are recorded.
CANCEL_EXECUTIONS = """
WITH before AS MATERIALIZED (
    SELECT id, status
    FROM executions
    WHERE tenant_id = $1 AND run_id = $2 AND status IN ('queued', 'running')
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE executions AS e
SET status = 'cancelled',
    finished_at = clock_timestamp(),
    lease_token = -e.lease_token,
    lease_expires_at = NULL
FROM before
WHERE e.tenant_id = $1 AND e.id = before.id AND e.status IN ('queued', 'running')
RETURNING e.id, before.status = 'running' AS was_running
"""

# What was published is not here any more.
DELETE_OUTPUTS = """
DELETE FROM run_outputs
WHERE tenant_id = $1 AND run_id = $2
RETURNING blob_key, index_key
"""

# Of attempts whose outcome was not recorded.
DELETE_LOST_ERRORS = """
DELETE FROM run_errors AS e
WHERE e.tenant_id = $1 AND e.run_id = $2
  AND NOT EXISTS (
      SELECT
      FROM run_parts AS p
      WHERE p.tenant_id = e.tenant_id AND p.execution_id = e.execution_id
        AND p.lease_token = e.lease_token
  )
"""

# A statement about all parts of a large run takes seconds.
_ALL_PARTS_SECONDS: Final = 300.0

# Says that a run has ended to what goes on with its output.
CHANNEL: Final = "crivo_runs"
NOTIFY: Final = "SELECT pg_notify('crivo_executions', $1), pg_notify('crivo_runs', '')"


async def end(
    conn: Connection,
    tenant: UUID,
    run_id: UUID,
    status: RunStatus,
    *,
    error: bytes | None = None,
    result_of: UUID | None = None,
    snapshot: int | None = None,
    output_sha256: bytes | None = None,
) -> Ended:
    """End a run whose row is locked; call `after_commit` once the transaction has committed.

    Readers and others that wait are notified by the commit.
    """
    values = in_order(
        END_RUN,
        tenant_id=tenant,
        id=run_id,
        status=status,
        error=error,
        result_of=result_of,
        output_snapshot=snapshot,
        output_sha256=output_sha256,
    )
    rows = await conn.fetchrow(END_RUN, *values)
    assert rows is not None  # noqa: S101 - its row is locked
    cancelled = await conn.fetch(CANCEL_EXECUTIONS, tenant, run_id)
    outputs = await conn.fetch(DELETE_OUTPUTS, tenant, run_id, timeout=_ALL_PARTS_SECONDS)
    await conn.execute(DELETE_LOST_ERRORS, tenant, run_id, timeout=_ALL_PARTS_SECONDS)
    await conn.execute(NOTIFY, msgspec.json.encode({"ended": [run_id]}).decode())
    return Ended(
        run_id=run_id,
        status=status,
        rows=dict(rows),
        blob_keys=[key for row in outputs for key in row if key is not None],
        running=[row["id"] for row in cancelled if row["was_running"]],
        cancelled=[row["id"] for row in cancelled],
    )


async def after_commit(resources: Resources, ended: Ended) -> None:
    """Stop the parts that still run, notify their readers, and delete blobs.

    What fails is done later: by heartbeats, by resyncs and by retention.
    """
    count_run(ended.status)
    count_run_rows(**ended.rows)
    try:
        async with resources.pool.acquire() as conn:
            for execution in ended.running:
                await cancellations.notify_workers(conn, execution)
    except DatabaseUnavailable:
        pass
    resources.publisher.ended(*ended.cancelled)
    await delete_blobs(resources.blobs, ended.blob_keys)
