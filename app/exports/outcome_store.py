"""Record what an attempt of a task has done, beside the token of its lease."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from app.datasets.upload_store import require_stored_bytes
from app.db import Connection
from app.exports import ending
from app.exports.model import ExportStage
from app.exports.plan.model import BadRow, Report
from app.exports.task_store import ClaimedTask, LeaseLost
from app.exports.work import Outcome, base_deleted
from app.limits import EXPORT_STATEMENT_SECONDS, MIN_COUNTED_PART_BYTES
from app.sql_parameters import in_order

# Of bad rows, each of which has up to 1 KiB and a pointer.
_ERRORS_AT_ONCE: Final = 500


LOCK_LEASED = """
SELECT true
FROM export_tasks
WHERE tenant_id = $1 AND export_id = $2 AND stage = $3 AND number = $4 AND lease_token = $5
FOR NO KEY UPDATE
"""


async def require_lease(conn: Connection, task: ClaimedTask) -> None:
    """Lock an export and a task of it that is still this worker's. Raises LeaseLost."""
    # The export first, as what ends or advances it does.
    if await ending.lock_unfinished(conn, task.tenant_id, task.export_id) is None:
        raise LeaseLost("its export has ended")
    key = (task.tenant_id, task.export_id, task.stage, task.number, task.lease_token)
    if await conn.fetchval(LOCK_LEASED, *key) is None:
        raise LeaseLost("another worker has claimed it")


FINISH_TASK = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::text AS stage,
           $4::integer AS number,
           $5::bigint AS lease_token,
           $6::bytea AS found
)
UPDATE export_tasks AS t
SET done_token = t.lease_token, finished_at = clock_timestamp(), raw_bytes_done = t.raw_bytes,
    found = p.found, worker_id = NULL, lease_token = NULL, lease_expires_at = NULL,
    trouble = NULL, trouble_since = NULL
FROM parameters AS p
WHERE t.tenant_id = p.tenant_id AND t.export_id = p.export_id AND t.stage = p.stage
  AND t.number = p.number AND t.lease_token = p.lease_token
"""


async def finish_task(conn: Connection, task: ClaimedTask, *, found: bytes | None = None) -> None:
    """Let an attempt count: from here on its token is that of the task. Raises LeaseLost."""
    await require_lease(conn, task)
    values = in_order(
        FINISH_TASK,
        tenant_id=task.tenant_id,
        export_id=task.export_id,
        stage=task.stage,
        number=task.number,
        lease_token=task.lease_token,
        found=found,
    )
    await conn.execute(FINISH_TASK, *values)


async def record(
    conn: Connection, task: ClaimedTask, outcome: Outcome, *, engine: str | None = None
) -> None:
    """Record what a task has done, and the engine that has run it, in the caller's transaction.

    Raises LeaseLost, QuotaExceeded, TaskFailed.
    """
    report = outcome.report
    # Before anything is locked, and not on the event loop: a task may have 100,000.
    errors_bytes = await asyncio.to_thread(_stored_bytes, report.bad)
    await finish_task(conn, task, found=_found(task, report))
    if outcome.kept:
        await _require_base(conn, task)
    # Files that are kept count already.
    sizes = [max(each.file.size_bytes, MIN_COUNTED_PART_BYTES) for each in outcome.files]
    if sizes or errors_bytes:
        await require_stored_bytes(conn, task.tenant_id, sum(sizes) + errors_bytes)
    await _insert_files(conn, task, outcome)
    await _insert_emptied(conn, task, outcome.emptied)
    await _insert_errors(conn, task, report.bad)
    await _count(conn, task, report, engine=engine)


# Retention marks an export before it asks which of its blobs others reference. Either it sees the
# rows that are recorded here, or this sees its mark.
LOCK_BASE = """
SELECT true
FROM exports
WHERE tenant_id = $1 AND id = $2 AND files_deleted_at IS NULL
FOR SHARE
"""


async def _require_base(conn: Connection, task: ClaimedTask) -> None:
    """Lock the export whose files are kept until the rows that share them are committed."""
    if await conn.fetchval(LOCK_BASE, task.tenant_id, task.base_id) is None:
        raise base_deleted()


def _found(task: ClaimedTask, report: Report) -> bytes | None:
    """Return what later stages are planned by."""
    match task.stage:
        case ExportStage.MAP:
            return msgspec.json.encode(report.columns)
        case ExportStage.BUCKET:
            return msgspec.json.encode(report.partitions)
        case _:
            return None


INSERT_FILES: Final = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::bigint AS lease_token,
           $4::text[] AS stages,
           $5::integer[] AS buckets,
           $6::bytea[] AS partitions,
           $7::text[] AS names,
           $8::text[] AS blob_keys,
           $9::bigint[] AS rows,
           $10::bigint[] AS bytes,
           $11::bytea[] AS digests
)
INSERT INTO export_files
       (export_id, lease_token, number, tenant_id, stage, bucket, partition, name, blob_key, rows,
        bytes, sha256)
SELECT p.export_id, p.lease_token, f.number, p.tenant_id, f.stage, f.bucket, f.partition, f.name,
       f.blob_key, f.rows, f.bytes, f.sha256
FROM parameters AS p,
     unnest(p.stages, p.buckets, p.partitions, p.names, p.blob_keys, p.rows, p.bytes, p.digests)
     WITH ORDINALITY AS f (stage, bucket, partition, name, blob_key, rows, bytes, sha256, number)
"""


async def _insert_files(conn: Connection, task: ClaimedTask, outcome: Outcome) -> None:
    own, kept = outcome.files, outcome.kept
    if not own and not kept:
        return
    values = in_order(
        INSERT_FILES,
        tenant_id=task.tenant_id,
        export_id=task.export_id,
        lease_token=task.lease_token,
        stages=[str(task.stage)] * len(own) + ["base"] * len(kept),
        buckets=[each.file.bucket for each in own] + [None] * len(kept),
        partitions=[msgspec.json.encode(each.file.partition) for each in own]
        + [each.partition for each in kept],
        names=[each.file.name for each in own] + [each.name for each in kept],
        blob_keys=[each.blob_key for each in own] + [each.blob_key for each in kept],
        rows=[each.file.rows for each in own] + [each.rows for each in kept],
        bytes=[each.file.size_bytes for each in own] + [each.size_bytes for each in kept],
        digests=[each.file.sha256 for each in own] + [each.sha256 for each in kept],
    )
    await conn.execute(INSERT_FILES, *values, timeout=EXPORT_STATEMENT_SECONDS)


INSERT_EMPTIED: Final = """
INSERT INTO export_emptied_partitions (export_id, folder, tenant_id, partition)
SELECT $2, p.folder, $1, p.partition
FROM unnest($3::text[], $4::bytea[]) AS p (folder, partition)
"""


async def _insert_emptied(
    conn: Connection, task: ClaimedTask, partitions: Mapping[str, bytes]
) -> None:
    if partitions:
        key = (task.tenant_id, task.export_id)
        await conn.execute(INSERT_EMPTIED, *key, list(partitions), list(partitions.values()))


INSERT_ERRORS: Final = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::bigint AS lease_token,
           $4::integer AS after,
           $5::text[] AS paths,
           $6::bigint[] AS lines,
           $7::bytea[] AS errors,
           $8::bytea[] AS records
)
INSERT INTO export_errors
       (export_id, lease_token, number, tenant_id, path, line, error, record)
SELECT p.export_id, p.lease_token, p.after + e.number, p.tenant_id, e.path, e.line, e.error,
       e.record
FROM parameters AS p,
     unnest(p.paths, p.lines, p.errors, p.records)
     WITH ORDINALITY AS e (path, line, error, record, number)
"""


async def _insert_errors(conn: Connection, task: ClaimedTask, bad: Sequence[BadRow]) -> None:
    for after in range(0, len(bad), _ERRORS_AT_ONCE):
        some = bad[after : after + _ERRORS_AT_ONCE]
        values = in_order(
            INSERT_ERRORS,
            tenant_id=task.tenant_id,
            export_id=task.export_id,
            lease_token=task.lease_token,
            after=after,
            paths=[each.path for each in some],
            lines=[each.line for each in some],
            errors=[_error(each) for each in some],
            records=[each.record for each in some],
        )
        await conn.execute(INSERT_ERRORS, *values)


def _stored_bytes(bad: Sequence[BadRow]) -> int:
    # What is measured is made again when it is stored, rather than kept.
    return sum(len(_error(each)) + len(each.record) for each in bad)


def _error(bad: BadRow) -> bytes:
    """Write why a row is bad as ASCII JSON, as other errors are."""
    document = {"kind": bad.kind, "message": bad.message, "pointer": bad.pointer}
    return json.dumps(document).encode("ascii")


# Rows are counted where the dataset is read; what the tasks after it read has been counted. Nulls
# are added up over the tasks that write, from those of the continued export on.
COUNT_TASK = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS id,
           $3::bigint AS rows_in,
           $4::bigint AS duplicates,
           $5::bigint AS rows_failed,
           $6::bytea AS columns,
           $7::float8 AS cpu_ms,
           $8::bigint AS peak_memory_bytes,
           $9::bigint AS raw_bytes,
           $10::text AS engine,
           $11::text AS duckdb,
           $12::bigint[] AS nulls
)
UPDATE exports AS e
SET rows_in = e.rows_in + p.rows_in,
    duplicates = e.duplicates + p.duplicates,
    rows_failed = e.rows_failed + p.rows_failed,
    columns = coalesce(p.columns, e.columns),
    cpu_ms = e.cpu_ms + p.cpu_ms,
    peak_memory_bytes = greatest(e.peak_memory_bytes, p.peak_memory_bytes),
    tasks_done = e.tasks_done + 1,
    raw_bytes_done = e.raw_bytes_done + p.raw_bytes,
    engine = coalesce(p.engine, e.engine),
    duckdb_versions = CASE WHEN p.duckdb = ANY (e.duckdb_versions) THEN e.duckdb_versions
                           ELSE array_remove(e.duckdb_versions || p.duckdb, NULL) END,
    nulls = CASE WHEN p.nulls IS NULL THEN e.nulls ELSE (
        SELECT array_agg(coalesce(n.before, 0) + n.more ORDER BY n.number)
        FROM unnest(
            coalesce(
                e.nulls,
                (SELECT b.nulls FROM exports AS b
                 WHERE b.tenant_id = e.tenant_id AND b.id = e.base_id)
            ),
            p.nulls
        ) WITH ORDINALITY AS n (before, more, number)
        -- The base may have had other columns, if it had no rows.
        WHERE n.more IS NOT NULL
    ) END
FROM parameters AS p
WHERE e.tenant_id = p.tenant_id AND e.id = p.id
"""


async def _count(
    conn: Connection, task: ClaimedTask, report: Report, *, engine: str | None
) -> None:
    reads = task.stage in (ExportStage.WHOLE, ExportStage.MAP)
    values = in_order(
        COUNT_TASK,
        tenant_id=task.tenant_id,
        id=task.export_id,
        rows_in=report.rows_in if reads else 0,
        duplicates=report.duplicates,
        rows_failed=report.bad_rows,
        columns=msgspec.json.encode(report.columns) if task.stage is ExportStage.WHOLE else None,
        cpu_ms=report.cpu_ms,
        peak_memory_bytes=report.peak_memory_bytes,
        raw_bytes=task.raw_bytes if reads else 0,
        engine=engine,
        duckdb=report.duckdb,
        nulls=list(report.nulls) or None,
    )
    await conn.execute(COUNT_TASK, *values)
