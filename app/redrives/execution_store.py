"""Mark failed executions that a re-drive replays, and count what their batch has come to."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row, optional_from_row
from app.limits import Limits
from app.payloads.model import StoredPayload
from app.sandbox.outcomes import Io
from app.schemas.pinned import SchemaKey, key_of

# A row stands for a replay that is under way, or that has succeeded. Another re-drive that has
# marked the same execution is waited for.
MARK_EXECUTIONS = """
INSERT INTO redrive_executions (execution_id, redrive_id, tenant_id)
SELECT execution_id, $2, $1
FROM unnest($3::uuid[]) AS e (execution_id)
ON CONFLICT (execution_id) DO NOTHING
RETURNING execution_id
"""


async def mark_executions(
    conn: Connection, tenant: UUID, redrive_id: UUID, executions: Sequence[UUID]
) -> list[UUID]:
    """Mark executions as a re-drive's own, in its transaction; return those that were free."""
    rows = await conn.fetch(MARK_EXECUTIONS, tenant, redrive_id, executions)
    return sorted(row["execution_id"] for row in rows)


SELECT_FREE = """
SELECT execution_id
FROM unnest($2::uuid[]) AS e (execution_id)
WHERE NOT EXISTS (
    SELECT FROM redrive_executions AS x
    WHERE x.tenant_id = $1 AND x.execution_id = e.execution_id
)
ORDER BY execution_id DESC
"""


async def select_free(conn: Connection, tenant: UUID, executions: Sequence[UUID]) -> list[UUID]:
    """Return those that no re-drive replays or has moved, newest first."""
    return [row["execution_id"] for row in await conn.fetch(SELECT_FREE, tenant, executions)]


class BatchCounts(Struct, frozen=True, kw_only=True):
    """The items of a batch by their status, whether all are final, and whether it was cancelled."""

    succeeded: int
    failed: int
    cancelled: int
    is_finished: bool
    is_cancelled: bool


SELECT_BATCH_COUNTS = """
SELECT succeeded, failed, cancelled, finished_at IS NOT NULL AS is_finished,
       cancelled_at IS NOT NULL AS is_cancelled
FROM batches
WHERE tenant_id = $1 AND id = $2
"""


async def select_batch_counts(conn: Connection, tenant: UUID, batch_id: UUID) -> BatchCounts | None:
    """Count the replays of a re-drive; None: the batch has been deleted."""
    return optional_from_row(
        BatchCounts, await conn.fetchrow(SELECT_BATCH_COUNTS, tenant, batch_id)
    )


SET_COUNTS = """
UPDATE redrives
SET moved = $3, failed_again = $4, left_out = $5, trouble = NULL
WHERE tenant_id = $1 AND id = $2
"""


async def set_counts(conn: Connection, tenant: UUID, redrive_id: UUID, counts: BatchCounts) -> None:
    """Take the counts of a batch as those of its re-drive.

    Items that were cancelled one by one are left out; those of a cancelled batch remain.
    """
    left_out = 0 if counts.is_cancelled else counts.cancelled
    await conn.execute(SET_COUNTS, tenant, redrive_id, counts.succeeded, counts.failed, left_out)


# What has not succeeded may be tried by another.
FREE_EXECUTIONS = """
DELETE FROM redrive_executions AS x
WHERE x.tenant_id = $1 AND x.redrive_id = $2
  AND NOT EXISTS (
      SELECT
      FROM executions AS e
      JOIN replays AS r ON r.tenant_id = e.tenant_id AND r.execution_id = e.id
      WHERE e.tenant_id = $1 AND e.batch_id = $3 AND e.status = 'succeeded'
        AND r.replay_of = x.execution_id
  )
"""


async def free_executions(conn: Connection, tenant: UUID, redrive_id: UUID, batch_id: UUID) -> None:
    """Free the executions whose replay has not succeeded, once the batch has ended."""
    await conn.execute(FREE_EXECUTIONS, tenant, redrive_id, batch_id)


async def settle_cancelled(
    conn: Connection, tenant: UUID, redrive_id: UUID, batch_id: UUID
) -> None:
    """Take the counts of a batch that was cancelled, whose items are all final."""
    counts = await select_batch_counts(conn, tenant, batch_id)
    if counts is not None:
        await set_counts(conn, tenant, redrive_id, counts)
    await free_executions(conn, tenant, redrive_id, batch_id)


class RecordedExecution(Struct, frozen=True, kw_only=True):
    """What an execution has run, for a run on trial with a version."""

    script: str
    version: int
    source: bytes
    io: Io
    params: bytes | None
    labels: dict[str, str]
    seed: int
    clock_ms: int
    limits: Limits
    input: StoredPayload | None
    input_schema: SchemaKey | None
    output_schema: SchemaKey | None


SELECT_RECORDED = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id, $2::uuid AS id, $3::uuid AS script_id, $4::integer AS version
)
SELECT s.name AS script, v.version, v.source, v.io, p.body AS params, e.labels, e.seed, e.clock_ms,
       e.wall_ms, e.max_cpu_ms, e.memory_bytes, e.max_output_bytes,
       i.sha256, i.size_bytes, i.body, i.blob_key, i.media_type, i.erased_at,
       v.input_schema_id, v.input_schema_version, v.output_schema_id, v.output_schema_version
FROM parameters
JOIN executions AS e ON e.tenant_id = parameters.tenant_id AND e.id = parameters.id
JOIN script_versions AS v
  ON v.tenant_id = e.tenant_id AND v.script_id = coalesce(parameters.script_id, e.script_id)
 AND v.version = coalesce(parameters.version, e.version)
JOIN scripts AS s ON s.tenant_id = v.tenant_id AND s.id = v.script_id
JOIN payloads AS i ON i.tenant_id = e.tenant_id AND i.execution_id = e.id AND i.kind = 'input'
LEFT JOIN payloads AS p
       ON p.tenant_id = e.tenant_id AND p.execution_id = e.id AND p.kind = 'params'
"""


async def select_recorded(
    conn: Connection,
    tenant: UUID,
    execution_id: UUID,
    *,
    script: tuple[UUID, int] | None,
) -> RecordedExecution | None:
    """Read an execution, to be run with its own version or another; None: it is deleted."""
    script_id, version = script or (None, None)
    row = await conn.fetchrow(SELECT_RECORDED, tenant, execution_id, script_id, version)
    if row is None:
        return None
    members: dict[str, Any] = {
        **row,
        "limits": from_row(Limits, row),
        "input": None,
        "input_schema": key_of(row, "input"),
        "output_schema": key_of(row, "output"),
    }
    if row["erased_at"] is None:
        members["input"] = from_row(StoredPayload, row)
    return from_row(RecordedExecution, members)
