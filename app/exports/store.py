"""Read exports as their clients see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from app.db import Connection, from_row, optional_from_row
from app.executions.model import ScriptVersionRef
from app.exports.model import (
    Export,
    ExportColumnInfo,
    ExportFilter,
    ExportPartition,
    ExportProgress,
    ExportReceipt,
    ExportStage,
    ExportState,
    ExportStatus,
)
from app.exports.plan.model import Column, Plan
from app.exports.written import columns_in, folder_of
from app.limits import MAX_LISTED_PARTITIONS
from app.progress.filters import matching
from app.runs.model import SnapshotRef
from app.sql_parameters import in_order

# What of tasks under way was read counts, too: one can take minutes. Reads the CTE `parameters`:
# tenant_id, is_single and what the statement's own conditions name.
_EXPORTS = """
SELECT e.id, e.status, e.dataset, e.snapshot, e.since, e.request, e.plan, e.labels, e.stage,
       e.tasks, e.tasks_done, e.raw_bytes, e.rows_in, e.duplicates, e.rows_failed, e.rows_out,
       e.rows_dropped, e.script_rows_failed, e.script_id, e.script_version,
       s.name AS script_name, encode(v.sha256, 'hex') AS script_sha256,
       e.files, e.bytes, e.nulls, e.level_nulls, e.error, e.engine, troubled.trouble,
       troubled.trouble_since,
       e.duckdb_versions, e.run_id, e.cpu_ms, e.peak_memory_bytes,
       e.created_at, e.started_at, e.finished_at, e.files_deleted_at, e.partitions,
       e.raw_bytes_done + coalesce(
           (SELECT sum(t.raw_bytes_done)
            FROM export_tasks AS t
            WHERE t.tenant_id = e.tenant_id AND t.export_id = e.id AND t.done_token IS NULL
              AND t.stage IN ('whole', 'map') AND e.finished_at IS NULL),
           0
       )::bigint AS raw_bytes_done,
       encode(e.input_sha256, 'hex') AS input_sha256,
       encode(e.output_sha256, 'hex') AS output_sha256,
       CASE WHEN parameters.is_single THEN e.columns END AS columns,
       CASE WHEN parameters.is_single THEN e.callback_url END AS callback_url
FROM parameters
JOIN exports AS e ON e.tenant_id = parameters.tenant_id
LEFT JOIN scripts AS s ON s.tenant_id = e.tenant_id AND s.id = e.script_id
LEFT JOIN script_versions AS v
       ON v.tenant_id = e.tenant_id AND v.script_id = e.script_id AND v.version = e.script_version
LEFT JOIN LATERAL (
    SELECT t.trouble, t.trouble_since
    FROM export_tasks AS t
    WHERE t.tenant_id = e.tenant_id AND t.export_id = e.id AND t.trouble IS NOT NULL
      AND e.finished_at IS NULL
    ORDER BY t.trouble_since
    LIMIT 1
) AS troubled ON true
"""

SELECT_EXPORT = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id, $2::uuid AS id, $3::boolean AS is_single
)
{_EXPORTS}
WHERE e.id = parameters.id
"""

SELECT_USAGE = """
SELECT count(*) AS tasks, coalesce(sum(attempts), 0) AS attempts
FROM export_tasks
WHERE tenant_id = $1 AND export_id = $2
"""

SELECT_PARTITIONS = """
SELECT min(name) AS name, sum(rows)::bigint AS rows, count(*) AS files,
       sum(bytes)::bigint AS bytes
FROM export_files
WHERE tenant_id = $1 AND export_id = $2 AND published
GROUP BY partition
ORDER BY min(name)
"""


async def select_export(
    conn: Connection, tenant: UUID, export_id: UUID, *, is_single: bool = True
) -> Export | None:
    """Find one export; `is_single`: with what a list or an event leaves out."""
    row = await conn.fetchrow(SELECT_EXPORT, tenant, export_id, is_single)
    if row is None:
        return None
    export = _export(row)
    if not is_single or not export.status.final:
        return export
    usage = await conn.fetchrow(SELECT_USAGE, tenant, export_id)
    assert usage is not None  # noqa: S101 - an aggregate has a row
    export = replace(export, receipt=_receipt(row, export, usage))
    is_there = export.status is ExportStatus.SUCCEEDED and not export.files_deleted_at
    if not is_there or row["partitions"] > MAX_LISTED_PARTITIONS:
        return export
    rows = await conn.fetch(SELECT_PARTITIONS, tenant, export_id)
    return replace(export, partitions=[_partition(each) for each in rows])


SELECT_EXPORT_PAGE = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::boolean AS is_single,
           $3::uuid AS below,
           $4::text AS dataset,
           $5::integer AS snapshot,
           $6::text AS status,
           $7::jsonb AS labels,
           $8::timestamptz AS created_from,
           $9::timestamptz AS created_before
)
{_EXPORTS}
WHERE e.id < parameters.below
AND e.labels @> parameters.labels
{matching("e", "dataset", "snapshot", "status")}
ORDER BY e.id DESC
LIMIT $10
"""


async def select_export_page(
    conn: Connection, tenant: UUID, wanted: ExportFilter, *, below: UUID, limit: int
) -> list[Export]:
    """List exports, newest first."""
    values = in_order(
        SELECT_EXPORT_PAGE,
        tenant_id=tenant,
        is_single=False,
        below=below,
        limit=limit,
        **msgspec.structs.asdict(wanted),
    )
    return [_export(row) for row in await conn.fetch(SELECT_EXPORT_PAGE, *values)]


class Output(Struct, frozen=True, kw_only=True):
    """Whether an export has files and bad rows that can be read, and a script before it."""

    status: ExportStatus
    has_script: bool
    files_deleted_at: datetime | None
    errors_deleted_at: datetime | None


SELECT_OUTPUT = """
SELECT status, script_id IS NOT NULL AS has_script, files_deleted_at, errors_deleted_at
FROM exports
WHERE tenant_id = $1 AND id = $2
"""


async def select_output(conn: Connection, tenant: UUID, export_id: UUID) -> Output | None:
    """Return what has become of the output of an export; None if there is no such export."""
    return optional_from_row(Output, await conn.fetchrow(SELECT_OUTPUT, tenant, export_id))


# Across tenants: the ids are those that readers wait for, each found under its own tenant.
SELECT_STATES = """
SELECT id, status, tasks_done
FROM exports
WHERE id = ANY ($1)
"""


async def select_states(conn: Connection, ids: Sequence[UUID]) -> list[ExportState]:
    """Read the states of several exports."""
    return [from_row(ExportState, row) for row in await conn.fetch(SELECT_STATES, ids)]


def _export(row: asyncpg.Record) -> Export:
    export_id = row["id"]
    return Export(
        id=export_id,
        status=ExportStatus(row["status"]),
        input=SnapshotRef(dataset=row["dataset"], snapshot=row["snapshot"]),
        since=row["since"],
        request=Raw(row["request"]),
        labels=row["labels"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        progress=ExportProgress(
            stage=ExportStage(row["stage"]),
            tasks=row["tasks"],
            tasks_done=row["tasks_done"],
            bytes=row["raw_bytes"],
            bytes_done=row["raw_bytes_done"],
        ),
        trouble=row["trouble"],
        trouble_since=row["trouble_since"],
        rows_in=row["rows_in"],
        duplicates=row["duplicates"],
        rows_failed=row["rows_failed"],
        rows_dropped=row["rows_dropped"],
        script_rows_failed=row["script_rows_failed"],
        rows_out=row["rows_out"],
        files=row["files"],
        bytes=row["bytes"],
        errors_url=f"/exports/{export_id}/errors",
        files_url=f"/exports/{export_id}/files",
        script=UNSET if row["script_name"] is None else _script(row),
        columns=UNSET if row["columns"] is None else _columns(row),
        error=UNSET if row["error"] is None else Raw(row["error"]),
        run=row["run_id"] or UNSET,
        files_deleted_at=row["files_deleted_at"] or UNSET,
        run_errors_url=f"/runs/{row['run_id']}/errors" if row["run_id"] else UNSET,
        callback_url=row["callback_url"] or UNSET,
    )


def _script(row: asyncpg.Record) -> ScriptVersionRef:
    return ScriptVersionRef(
        id=row["script_id"],
        name=row["script_name"],
        version=row["script_version"],
        sha256=row["script_sha256"],
    )


def _columns(row: asyncpg.Record) -> Sequence[ExportColumnInfo]:
    plan = msgspec.json.decode(row["plan"], type=Plan)
    # Of an export in stages, they are known in part before.
    columns = msgspec.json.decode(row["columns"], type=list[Column])
    if row["status"] != ExportStatus.SUCCEEDED:
        return columns_in(plan, columns)
    return columns_in(plan, columns, row["nulls"], row["level_nulls"])


def _partition(row: asyncpg.Record) -> ExportPartition:
    return ExportPartition(
        path=folder_of(row["name"]),
        rows=row["rows"],
        files=row["files"],
        bytes=row["bytes"],
    )


def _receipt(row: asyncpg.Record, export: Export, usage: asyncpg.Record) -> ExportReceipt:
    assert export.finished_at is not None  # noqa: S101 - it has ended
    members: dict[str, Any] = dict(usage)
    finished_at: datetime = export.finished_at
    return ExportReceipt(
        input=export.input,
        input_sha256=row["input_sha256"],
        output_sha256=row["output_sha256"],
        engine=row["engine"] or "local",
        duckdb_versions=row["duckdb_versions"],
        created_at=export.created_at,
        started_at=export.started_at,
        finished_at=finished_at,
        cpu_ms=round(row["cpu_ms"], 3),
        peak_memory_bytes=row["peak_memory_bytes"],
        **members,
    )
