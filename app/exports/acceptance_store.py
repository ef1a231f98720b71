"""Store an export with its first tasks, and find the export that it continues."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from app.datasets.quota_store import require_room
from app.db import Connection, from_row
from app.exports import wake_ups
from app.exports.model import ExportStage
from app.exports.parts import ReadParts
from app.exports.plan.model import Column, Plan
from app.limits import EXPORT_STATEMENT_SECONDS, EXPORT_TASK_BYTES, WORKER_TIMEOUT_SECONDS
from app.quotas.model import Quota
from app.sql_parameters import in_order

# A fraction of a task, so that tasks are about equal.
_READ_BYTES: Final = EXPORT_TASK_BYTES // 8


class NewExport(Struct, frozen=True, kw_only=True):
    """An export to be stored; `request` and `plan` are JSON, `raw_bytes` those of its tasks."""

    id: UUID
    dataset_id: UUID
    dataset: str
    snapshot: int
    since: int | None
    base_id: UUID | None
    request: bytes
    plan: bytes
    plan_sha256: bytes
    destination: str | None
    script_id: UUID | None = None
    script_version: int | None = None
    run_id: UUID | None = None
    labels: dict[str, str]
    callback_url: str | None
    request_id: str | None
    traceparent: str | None
    input_sha256: bytes
    stage: ExportStage
    raw_bytes: int


class NewTask(Struct, frozen=True, kw_only=True):
    """A task to be stored; `input` is JSON of app/exports/task_inputs.py."""

    input: bytes
    raw_bytes: int = 0


class Base(Struct, frozen=True, kw_only=True):
    """The export that another may continue, if its files are still there.

    `files` and `bytes` are those that it has published; `columns` are as they were written.
    """

    id: UUID
    has_files: bool
    files: int
    bytes: int
    columns: Sequence[Column]


# The files that snapshot $3 has and snapshot $4 has not; without those that are sent again as they
# were, if $5. Consecutive parts of a file that begin in the same _READ_BYTES are one row: a large
# dataset has many of 8 MiB.
SELECT_PARTS = f"""
SELECT f.id AS file_id, f.path, min(p.number) AS first_part, max(p.number) AS last_part,
       min(p.first_line) AS first_line, sum(p.raw_bytes)::bigint AS raw_bytes
FROM dataset_files AS f
JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.added_in <= $3 AND f.added_in > $4
  AND (f.removed_in IS NULL OR f.removed_in > $3)
  AND NOT ($5 AND EXISTS (
      SELECT
      FROM dataset_files AS before
      WHERE before.tenant_id = f.tenant_id AND before.dataset_id = f.dataset_id
        AND before.path = f.path AND before.digest = f.digest
        AND before.added_in <= $4 AND before.removed_in > $4
  ))
GROUP BY f.id, f.path, p.first_byte / {_READ_BYTES}
ORDER BY min(p.sequence)
"""  # noqa: S608 - put together from constants


async def select_parts(
    conn: Connection,
    tenant: UUID,
    dataset_id: UUID,
    snapshot: int,
    *,
    since: int | None,
    skip_unchanged: bool = False,
) -> list[ReadParts]:
    """Return what is to be read of a snapshot that is kept, in its order.

    A file of `since` that was sent again as it was comes after the others, so of equal times its
    records count: they are read again, unless `skip_unchanged`, as where nothing is deduplicated.
    """
    key = (tenant, dataset_id, snapshot, since or 0)
    rows = await conn.fetch(SELECT_PARTS, *key, skip_unchanged)
    return [from_row(ReadParts, row) for row in rows]


SELECT_SCHEMA = """
SELECT record_schema_id, record_schema_version
FROM datasets
WHERE tenant_id = $1 AND id = $2 AND record_schema_id IS NOT NULL
"""


async def select_schema(
    conn: Connection, tenant: UUID, dataset_id: UUID
) -> tuple[UUID, int] | None:
    """Return the version of the schema that each record of a dataset satisfies."""
    row = await conn.fetchrow(SELECT_SCHEMA, tenant, dataset_id)
    return None if row is None else (row[0], row[1])


SELECT_HAS_ENGINE = """
SELECT EXISTS (
    SELECT
    FROM workers
    WHERE seen_at > now() - make_interval(secs => $1) AND (engine ->> 'slots')::integer > 0
)
"""


async def has_engine(conn: Connection) -> bool:
    """Return whether a worker has an engine that can run tasks."""
    found: bool = await conn.fetchval(SELECT_HAS_ENGINE, WORKER_TIMEOUT_SECONDS)
    return found


# What a script has made of a snapshot is not what the snapshot has.
SELECT_BASE = """
SELECT e.id, e.files_deleted_at IS NULL AS has_files, e.files, coalesce(e.bytes, 0) AS bytes,
       e.columns
FROM exports AS e
WHERE e.tenant_id = $1 AND e.dataset_id = $2 AND e.snapshot = $3 AND e.plan_sha256 = $4
  AND e.status = 'succeeded' AND e.script_id IS NULL
ORDER BY e.id DESC
LIMIT 1
"""


async def select_base(
    conn: Connection, tenant: UUID, dataset_id: UUID, snapshot: int, plan_sha256: bytes
) -> Base | None:
    """Find the latest export of a snapshot with an equal plan and destination."""
    row = await conn.fetchrow(SELECT_BASE, tenant, dataset_id, snapshot, plan_sha256)
    if row is None:
        return None
    columns = msgspec.json.decode(row["columns"] or b"[]", type=list[Column])
    return Base(**{**row, "columns": columns})


class EarlierExport(Struct, frozen=True, kw_only=True):
    """An export that was made by other choices."""

    id: UUID
    plan: Plan
    destination: str | None
    has_script: bool


SELECT_LATEST = """
SELECT id, plan, destination, script_id IS NOT NULL AS has_script
FROM exports
WHERE tenant_id = $1 AND dataset_id = $2 AND snapshot = $3 AND status = 'succeeded'
ORDER BY id DESC
LIMIT 1
"""


async def select_latest(
    conn: Connection, tenant: UUID, dataset_id: UUID, snapshot: int
) -> EarlierExport | None:
    """Return the latest export of a snapshot that has succeeded."""
    row = await conn.fetchrow(SELECT_LATEST, tenant, dataset_id, snapshot)
    if row is None:
        return None
    return EarlierExport(**{**row, "plan": msgspec.json.decode(row["plan"], type=Plan)})


# Of snapshot $3, which snapshot $4 has not as it was.
SELECT_CHANGED_FILE = """
SELECT f.path
FROM dataset_files AS f
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.added_in <= $3 AND f.removed_in > $3
  AND f.removed_in <= $4
  AND NOT EXISTS (
      SELECT
      FROM dataset_files AS after
      WHERE after.tenant_id = f.tenant_id AND after.dataset_id = f.dataset_id
        AND after.path = f.path AND after.digest = f.digest
        AND after.added_in <= $4 AND (after.removed_in IS NULL OR after.removed_in > $4)
  )
ORDER BY f.path
LIMIT 1
"""


async def find_changed_file(
    conn: Connection, tenant: UUID, dataset_id: UUID, since: int, snapshot: int
) -> str | None:
    """Return the path of a file of `since` that `snapshot` has with other content or not, if any.

    What is left of a file that both snapshots lack need not be known.
    """
    path: str | None = await conn.fetchval(SELECT_CHANGED_FILE, tenant, dataset_id, since, snapshot)
    return path


INSERT_EXPORT = """
INSERT INTO exports
       (id, tenant_id, dataset_id, dataset, snapshot, since, base_id, request, plan, plan_sha256,
        destination, script_id, script_version, run_id, labels, callback_url, request_id,
        traceparent, input_sha256, stage, tasks, raw_bytes, created_at)
SELECT $1::uuid AS id, $2::uuid AS tenant_id, $3::uuid AS dataset_id, $4::text AS dataset,
       $5::integer AS snapshot, $6::integer AS since, $7::uuid AS base_id, $8::bytea AS request,
       $9::bytea AS plan, $10::bytea AS plan_sha256, $11::text AS destination,
       $12::uuid AS script_id, $13::integer AS script_version, $14::uuid AS run_id,
       $15::jsonb AS labels, $16::text AS callback_url, $17::text AS request_id,
       $18::text AS traceparent, $19::bytea AS input_sha256, $20::text AS stage,
       $21::integer AS tasks, $22::bigint AS raw_bytes, clock_timestamp() AS created_at
RETURNING created_at
"""

INSERT_TASKS = """
INSERT INTO export_tasks (export_id, stage, number, tenant_id, input, raw_bytes)
SELECT $2, $3, t.number, $1, t.input, t.raw_bytes
FROM unnest($4::bytea[], $5::bigint[]) WITH ORDINALITY AS t (input, raw_bytes, number)
"""


async def insert_export(
    conn: Connection, tenant: UUID, new: NewExport, tasks: Sequence[NewTask]
) -> datetime:
    """Store an export over a snapshot that is kept, with its first tasks; return its acceptance."""
    values = in_order(
        INSERT_EXPORT, tenant_id=tenant, tasks=len(tasks), **msgspec.structs.asdict(new)
    )
    accepted_at: datetime = await conn.fetchval(INSERT_EXPORT, *values)
    await insert_tasks(conn, tenant, new.id, new.stage, tasks)
    return accepted_at


async def insert_tasks(
    conn: Connection, tenant: UUID, export_id: UUID, stage: ExportStage, tasks: Sequence[NewTask]
) -> None:
    """Store the tasks of a stage, numbered from 1, which workers claim after the commit."""
    await conn.execute(
        INSERT_TASKS,
        tenant,
        export_id,
        stage,
        [task.input for task in tasks],
        [task.raw_bytes for task in tasks],
        timeout=EXPORT_STATEMENT_SECONDS,
    )
    await wake_ups.notify(conn)


COUNT_ACTIVE_EXPORTS = """
SELECT count(*)
FROM exports
WHERE tenant_id = $1 AND finished_at IS NULL
"""


async def require_room_for_export(conn: Connection, tenant: UUID, *, limit: int) -> None:
    """Check the number of active exports after the running transaction has added one.

    Raises QuotaExceeded.
    """
    await require_room(conn, tenant, Quota.ACTIVE_EXPORTS, COUNT_ACTIVE_EXPORTS, limit=limit)
