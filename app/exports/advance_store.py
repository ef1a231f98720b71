"""Lock an export, see what its stage has come to, and add the tasks of the next.

Statements about an export that is locked name its tenant; the one that looks for work serves all
tenants. Locks are taken in one order: the export, its tasks, its files, the tenant's quotas.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db import Connection, from_row, optional_from_row
from app.exports.acceptance_store import NewTask, insert_tasks
from app.exports.model import ExportStage
from app.exports.plan.columns import UnitedColumns
from app.exports.plan.layout import require_few_partitions
from app.exports.plan.model import Column, PartitionRows
from app.limits import EXPORT_STATEMENT_SECONDS

Partition: TypeAlias = tuple[str | None, ...]


class ActiveExport(Struct, frozen=True, kw_only=True):
    """An export that has not ended, whose row is locked; `left` are undone tasks of its stage."""

    id: UUID
    tenant_id: UUID
    stage: ExportStage
    plan: bytes
    rows_failed: int
    left: int


LOCK_ADVANCING = """
SELECT tenant_id
FROM exports
WHERE id = $1 AND finished_at IS NULL AND stage NOT IN ('script', 'publish')
FOR NO KEY UPDATE
"""

# Another process is at it.
TRY_LOCK_ADVANCING = LOCK_ADVANCING + "SKIP LOCKED"

# A statement of its own: it sees what was committed before the export was locked.
SELECT_ACTIVE = """
SELECT e.id, e.tenant_id, e.stage, e.plan, e.rows_failed,
       (SELECT count(*)
        FROM export_tasks AS t
        WHERE t.tenant_id = e.tenant_id AND t.export_id = e.id AND t.stage = e.stage
          AND t.done_token IS NULL) AS left
FROM exports AS e
WHERE e.tenant_id = $1 AND e.id = $2 AND e.stage NOT IN ('script', 'publish')
"""


async def lock_export(conn: Connection, export_id: UUID, *, wait: bool) -> ActiveExport | None:
    """Lock an export that advances by its tasks until the transaction ends; None: it does not.

    Without `wait`, one that is locked counts as such.
    """
    tenant = await conn.fetchval(LOCK_ADVANCING if wait else TRY_LOCK_ADVANCING, export_id)
    if tenant is None:
        return None
    return optional_from_row(ActiveExport, await conn.fetchrow(SELECT_ACTIVE, tenant, export_id))


# Those whose worker has died between its last task and the next step.
SELECT_DUE_EXPORTS = """
SELECT e.id
FROM exports AS e
WHERE e.finished_at IS NULL AND e.stage NOT IN ('script', 'publish') AND e.id <> ALL ($2)
  AND NOT EXISTS (
      SELECT
      FROM export_tasks AS t
      WHERE t.export_id = e.id AND t.stage = e.stage AND t.done_token IS NULL
  )
ORDER BY e.id
LIMIT $1
"""


async def select_due_exports(
    conn: Connection, limit: int, *, without: Sequence[UUID]
) -> list[UUID]:
    """List exports of all tenants that can go on, oldest first, `without` some."""
    return [row["id"] for row in await conn.fetch(SELECT_DUE_EXPORTS, limit, without)]


BEGIN_STAGE = """
UPDATE exports
SET stage = $3, tasks = tasks + $4
WHERE tenant_id = $1 AND id = $2
"""


async def begin_stage(
    conn: Connection, export: ActiveExport, stage: ExportStage, tasks: Sequence[NewTask]
) -> None:
    """Begin a stage with its tasks, numbered from 1."""
    await insert_tasks(conn, export.tenant_id, export.id, stage, tasks)
    await conn.execute(BEGIN_STAGE, export.tenant_id, export.id, stage, len(tasks))


class BucketBytes(Struct, frozen=True, kw_only=True):
    """The bytes that the map tasks of an export have written for a bucket."""

    bucket: int
    bytes: int


SELECT_BUCKETS = """
SELECT bucket, sum(bytes)::bigint AS bytes
FROM export_files
WHERE tenant_id = $1 AND export_id = $2 AND stage = 'map' AND bucket IS NOT NULL
GROUP BY bucket
ORDER BY bucket
"""


async def select_buckets(conn: Connection, export: ActiveExport) -> list[BucketBytes]:
    """List the buckets that have files."""
    rows = await conn.fetch(SELECT_BUCKETS, export.tenant_id, export.id)
    return [from_row(BucketBytes, row) for row in rows]


SELECT_FOUND = """
SELECT found
FROM export_tasks
WHERE tenant_id = $1 AND export_id = $2 AND stage = $3
ORDER BY number
"""


async def add_up_partitions(conn: Connection, export: ActiveExport) -> dict[Partition, int]:
    """Return about the bytes of each partition in all buckets.

    Raises TaskFailed once there are too many.
    """
    totals: dict[Partition, int] = {}
    async for found in _found(conn, export):
        await asyncio.to_thread(_add, totals, found)
        require_few_partitions(len(totals))
    return totals


def _add(totals: dict[Partition, int], found: bytes) -> None:
    for each in msgspec.json.decode(found, type=list[PartitionRows]):
        partition = tuple(each.partition)
        totals[partition] = totals.get(partition, 0) + each.size_bytes


async def unite_columns(conn: Connection, export: ActiveExport) -> UnitedColumns:
    """Return the columns of all map tasks. Raises TaskFailed once there are too many."""
    united = UnitedColumns()
    async for found in _found(conn, export):
        await asyncio.to_thread(_unite, united, found)
    return united


def _unite(united: UnitedColumns, found: bytes) -> None:
    united.add(msgspec.json.decode(found, type=list[Column]))


async def _found(conn: Connection, export: ActiveExport) -> AsyncIterator[bytes]:
    """Yield what each task has found, for a thread to decode: one can have a MiB."""
    key = (export.tenant_id, export.id, export.stage)
    async for row in conn.cursor(SELECT_FOUND, *key, prefetch=1, timeout=EXPORT_STATEMENT_SECONDS):
        yield row["found"]


SET_COLUMNS = """
UPDATE exports
SET columns = $3
WHERE tenant_id = $1 AND id = $2
"""


async def set_columns(conn: Connection, export: ActiveExport, columns: Sequence[Column]) -> None:
    """Record the columns of an export."""
    await conn.execute(SET_COLUMNS, export.tenant_id, export.id, msgspec.json.encode(columns))


DELETE_STAGE_FILES = """
DELETE FROM export_files
WHERE tenant_id = $1 AND export_id = $2 AND stage = $3
RETURNING blob_key
"""


async def delete_stage_files(
    conn: Connection, export: ActiveExport, stage: ExportStage
) -> list[str]:
    """Delete the files of a stage that no later one reads; return the keys of their blobs."""
    rows = await conn.fetch(
        DELETE_STAGE_FILES, export.tenant_id, export.id, stage, timeout=EXPORT_STATEMENT_SECONDS
    )
    return [row["blob_key"] for row in rows if row["blob_key"] is not None]
