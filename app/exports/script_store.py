"""Find exports whose records a run takes through a script first, and what it has published."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row, optional_from_row
from app.exports.model import ExportStage
from app.runs.model import RunStatus
from app.sql_parameters import in_order

_AT_ONCE: Final = 100


class DueExport(Struct, frozen=True, kw_only=True):
    """An export whose run has ended."""

    tenant_id: UUID
    export_id: UUID


SELECT_DUE = """
SELECT e.tenant_id, e.id AS export_id
FROM exports AS e
LEFT JOIN runs AS r ON r.tenant_id = e.tenant_id AND r.id = e.run_id
WHERE e.finished_at IS NULL AND e.stage = 'script'
  AND (r.id IS NULL OR r.finished_at IS NOT NULL)
-- Those that cannot go on do not keep their places.
ORDER BY random()
LIMIT $1
"""


async def select_due(conn: Connection) -> list[DueExport]:
    """Find exports that can go on, of any tenant."""
    return [from_row(DueExport, row) for row in await conn.fetch(SELECT_DUE, _AT_ONCE)]


class ScriptedExport(Struct, frozen=True, kw_only=True):
    """A locked export, its run, and the snapshot that this has published, if it is there.

    Without a run, which has been deleted, what is of it is None. `run_error` is ASCII JSON.
    """

    tenant_id: UUID
    export_id: UUID
    run_id: UUID
    run_status: RunStatus | None
    run_error: bytes | None
    run_rows_in: int | None
    run_rows_out: int | None
    run_rows_failed: int | None
    output_dataset_id: UUID | None
    output_snapshot: int | None


LOCK_SCRIPTED = """
SELECT e.tenant_id, e.id AS export_id, e.run_id, r.status AS run_status,
       r.error AS run_error, r.rows_in AS run_rows_in, r.rows_out AS run_rows_out,
       r.rows_failed AS run_rows_failed, d.id AS output_dataset_id, r.output_snapshot
FROM exports AS e
LEFT JOIN runs AS r ON r.tenant_id = e.tenant_id AND r.id = e.run_id
LEFT JOIN datasets AS d ON d.tenant_id = r.tenant_id AND d.id = r.output_dataset_id
WHERE e.tenant_id = $1 AND e.id = $2 AND e.finished_at IS NULL AND e.stage = 'script'
FOR NO KEY UPDATE OF e
"""


async def lock_scripted(conn: Connection, tenant: UUID, export_id: UUID) -> ScriptedExport | None:
    """Lock an export that waits for its run; None: it has gone on, or ended."""
    row = await conn.fetchrow(LOCK_SCRIPTED, tenant, export_id)
    return optional_from_row(ScriptedExport, row)


# Rows that the script dropped or failed at are not in what it has made.
BEGIN_READING = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS id,
           $3::text AS stage,
           $4::integer AS tasks,
           $5::bigint AS raw_bytes,
           $6::bigint AS failed,
           $7::bigint AS dropped
)
UPDATE exports AS e
SET stage = p.stage, tasks = p.tasks, raw_bytes = p.raw_bytes, rows_failed = p.failed,
    script_rows_failed = p.failed, rows_dropped = p.dropped, rows_in = p.failed + p.dropped
FROM parameters AS p
WHERE e.tenant_id = p.tenant_id AND e.id = p.id
"""


async def begin_reading(
    conn: Connection, export: ScriptedExport, *, stage: ExportStage, tasks: int, raw_bytes: int
) -> None:
    """Let an export read what its run has published, and count what that went on without."""
    failed = export.run_rows_failed or 0
    # A run of `map` or `process` writes a row for each record at most.
    dropped = (export.run_rows_in or 0) - (export.run_rows_out or 0) - failed
    values = in_order(
        BEGIN_READING,
        tenant_id=export.tenant_id,
        id=export.export_id,
        stage=stage,
        tasks=tasks,
        raw_bytes=raw_bytes,
        failed=failed,
        dropped=dropped,
    )
    await conn.execute(BEGIN_READING, *values)


class Output(Struct, frozen=True, kw_only=True):
    """A dataset that a run has made for an export that has ended."""

    tenant_id: UUID
    dataset_id: UUID
    name: str


# A worker that stood still for a day leaves it to those who see the dataset.
SELECT_OUTPUTS = """
SELECT d.tenant_id, d.id AS dataset_id, d.name
FROM exports AS e
JOIN runs AS r ON r.tenant_id = e.tenant_id AND r.id = e.run_id
JOIN datasets AS d ON d.tenant_id = r.tenant_id AND d.id = r.output_dataset_id
WHERE e.finished_at > now() - interval '1 day' AND e.run_id IS NOT NULL
  AND r.finished_at IS NOT NULL
LIMIT $1
"""


async def select_outputs(conn: Connection) -> list[Output]:
    """Find outputs that no export reads any more, of any tenant."""
    return [from_row(Output, row) for row in await conn.fetch(SELECT_OUTPUTS, _AT_ONCE)]


SELECT_RUN = """
SELECT r.id
FROM exports AS e
JOIN runs AS r ON r.tenant_id = e.tenant_id AND r.id = e.run_id AND r.finished_at IS NULL
WHERE e.tenant_id = $1 AND e.id = $2
"""


async def find_unfinished_run(conn: Connection, tenant: UUID, export_id: UUID) -> UUID | None:
    """Return the run of an export, if it has not ended."""
    run_id: UUID | None = await conn.fetchval(SELECT_RUN, tenant, export_id)
    return run_id
