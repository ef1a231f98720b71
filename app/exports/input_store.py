"""Find what a task reads: parts of the dataset, or files that earlier tasks have written."""

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db import Connection, from_row
from app.exports.model import ExportErrorKind, ExportStage
from app.exports.plan.columns import with_columns
from app.exports.plan.model import (
    BucketTask,
    Column,
    HeldFile,
    MapTask,
    Plan,
    SourceFile,
    TaskFailed,
    Whole,
    WriteTask,
)
from app.exports.task_inputs import BucketInput, MapInput, PartRange, WholeInput, WriteInput
from app.exports.task_store import ClaimedTask
from app.exports.work import BaseFile, TaskInput, base_deleted
from app.limits import EXPORT_STATEMENT_SECONDS


async def read_input(conn: Connection, task: ClaimedTask) -> TaskInput:
    """Read what a claimed task is to do. Raises TaskFailed."""
    plan = msgspec.json.decode(task.plan, type=Plan)
    match task.stage:
        case ExportStage.WHOLE:
            whole = msgspec.json.decode(task.input, type=WholeInput)
            base = await _base_files(conn, task)
            sources = await _sources(conn, task.tenant_id, whole.ranges)
            held = [_held(each.blob_key or each.name, None, each.partition) for each in base]
            return TaskInput(task=Whole(sources=sources, base=held), plan=plan, base=base)
        case ExportStage.MAP:
            mapped = msgspec.json.decode(task.input, type=MapInput)
            sources = await _sources(conn, task.tenant_id, mapped.ranges)
            map_task = MapTask(sources=sources, number=task.number, buckets=mapped.buckets)
            return TaskInput(task=map_task, plan=plan)
        case ExportStage.BUCKET:
            bucket = msgspec.json.decode(task.input, type=BucketInput).bucket
            files = await _written(conn, task, ExportStage.MAP, bucket)
            return TaskInput(task=BucketTask(held=files, bucket=bucket), plan=plan)
        case ExportStage.WRITE:
            partitions = msgspec.json.decode(task.input, type=WriteInput).partitions
            files = await _written(conn, task, ExportStage.BUCKET, None)
            columns = msgspec.json.decode(task.columns or b"[]", type=list[Column])
            return TaskInput(
                task=WriteTask(held=files, partitions=partitions), plan=with_columns(plan, columns)
            )
        case ExportStage.SCRIPT | ExportStage.PUBLISH:
            raise AssertionError(task.stage)
        case _:
            assert_never(task.stage)


class _Part(Struct, frozen=True, kw_only=True):
    ordinal: int
    blob_key: str
    first_line: int


# In the order of the ranges, which is that of the snapshot.
SELECT_PARTS = """
SELECT r.ordinal, p.blob_key, p.first_line
FROM unnest($2::uuid[], $3::integer[], $4::integer[])
     WITH ORDINALITY AS r (file_id, first_part, last_part, ordinal)
JOIN dataset_parts AS p ON p.file_id = r.file_id
                       AND p.number BETWEEN r.first_part AND r.last_part
WHERE p.tenant_id = $1
ORDER BY r.ordinal, p.number
"""


async def _sources(conn: Connection, tenant: UUID, ranges: Sequence[PartRange]) -> list[SourceFile]:
    rows = await conn.fetch(
        SELECT_PARTS,
        tenant,
        [each.file_id for each in ranges],
        [each.first_part for each in ranges],
        [each.last_part for each in ranges],
        timeout=EXPORT_STATEMENT_SECONDS,
    )
    parts = [from_row(_Part, row) for row in rows]
    if len(parts) != sum(each.last_part - each.first_part + 1 for each in ranges):
        message = "the dataset of the export, or files of its snapshot, have been deleted"
        raise TaskFailed(ExportErrorKind.INPUT_DELETED, message)
    # Errors count lines from 1.
    return [
        SourceFile(
            local=each.blob_key, path=ranges[each.ordinal - 1].path, first_line=each.first_line + 1
        )
        for each in parts
    ]


# Those of attempts that count: only their files have rows.
SELECT_WRITTEN = """
SELECT f.blob_key, f.bucket, f.partition
FROM export_tasks AS t
JOIN export_files AS f ON f.tenant_id = t.tenant_id AND f.export_id = t.export_id
                      AND f.lease_token = t.done_token
WHERE t.tenant_id = $1 AND t.export_id = $2 AND t.stage = $3 AND f.stage = $3
  AND (f.bucket = $4 OR $4 IS NULL)
ORDER BY t.number, f.number
"""


async def _written(
    conn: Connection, task: ClaimedTask, stage: ExportStage, bucket: int | None
) -> list[HeldFile]:
    rows = await conn.fetch(SELECT_WRITTEN, task.tenant_id, task.export_id, stage, bucket)
    return [_held(row["blob_key"], row["bucket"], row["partition"]) for row in rows]


COUNT_BASE_FILES = """
SELECT files
FROM exports
WHERE tenant_id = $1 AND id = $2
"""

# In the order in which its tasks have written them, which is that of their rows; names are not.
SELECT_BASE_FILES = """
SELECT f.partition, f.name, f.blob_key, f.rows, f.bytes AS size_bytes, f.sha256
FROM export_tasks AS t
JOIN export_files AS f ON f.tenant_id = t.tenant_id AND f.export_id = t.export_id
                      AND f.lease_token = t.done_token
WHERE t.tenant_id = $1 AND t.export_id = $2 AND f.published
ORDER BY t.number, f.number
"""


async def _base_files(conn: Connection, task: ClaimedTask) -> list[BaseFile]:
    if task.base_id is None:
        return []
    rows = await conn.fetch(
        SELECT_BASE_FILES, task.tenant_id, task.base_id, timeout=EXPORT_STATEMENT_SECONDS
    )
    published = await conn.fetchval(COUNT_BASE_FILES, task.tenant_id, task.base_id)
    if published != len(rows):
        raise base_deleted()
    return [from_row(BaseFile, row) for row in rows]


def _held(place: str, bucket: int | None, partition: bytes) -> HeldFile:
    values = msgspec.json.decode(partition, type=tuple[str | None, ...])
    return HeldFile(local=place, bucket=bucket, partition=values)
