"""Advance exports: once all tasks of a stage are done, add those of the next.

Every step is one transaction that locks the export, and any worker can make it: nothing about an
export is in memory. A worker makes one after each task of its own, and every second those that
others have left.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final, assert_never
from uuid import UUID

import msgspec
import structlog

from app.background import retry_forever
from app.datasets.blob_cleanup import delete_blobs
from app.db import Connection
from app.execution_errors import error_document
from app.exports import advance_store, ending
from app.exports.acceptance_store import NewTask
from app.exports.advance_store import ActiveExport, Partition
from app.exports.model import ExportErrorKind, ExportStage, ExportStatus
from app.exports.plan.model import OnBadRow, Plan, TaskFailed
from app.exports.task_inputs import BucketInput, PublishInput, WriteInput
from app.progress.steps import make_steps, put_off
from app.resources import Resources

log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_DUE_EXPORTS: Final = 100
# Each of them reads what all buckets have: from a remote store, that is a copy of all of it.
_WRITE_TASKS: Final = 16
# Of one write task; each partition of it has a file at least.
_PARTITIONS_OF_A_TASK: Final = 500


async def run_advance(resources: Resources) -> None:
    """Advance the exports that can go on every second, until cancelled."""
    # Exports whose step has failed, and until when others go before them.
    failed: dict[UUID, float] = {}

    async def advance_all() -> None:
        await advance_due(resources, failed)

    await retry_forever("exports.advance_failed", advance_all, pause_seconds=_POLL_SECONDS)


async def advance_due(resources: Resources, failed: dict[UUID, float]) -> None:
    """Advance every export that can go on and that no other process is at.

    One whose step fails is logged, and tried again after a while.
    """
    async with resources.pool.acquire() as conn:
        due = await advance_store.select_due_exports(conn, _DUE_EXPORTS, without=put_off(failed))
    step = partial(advance, resources, wait=False)
    await make_steps(due, step, failed, log=log, failure_event="export.step_failed")


async def advance(resources: Resources, export_id: UUID, *, wait: bool = True) -> None:
    """Make the next step of an export, if there is one; `wait` for one that is being made."""
    async with resources.pool.acquire() as conn, conn.transaction():
        export = await advance_store.lock_export(conn, export_id, wait=wait)
        if export is None:
            return
        plan = msgspec.json.decode(export.plan, type=Plan)
        ended, unused = None, []
        try:
            _require_few_bad_rows(export, plan)
            if not export.left:
                unused = await _begin_next(conn, export, plan)
        except TaskFailed as failed:
            error = error_document(ExportErrorKind(failed.kind), str(failed), **failed.details)
            ended = await ending.end(
                conn, export.tenant_id, export.id, ExportStatus.FAILED, error=error
            )
    resources.publisher.changed(export_id)
    if ended is not None:
        await ending.after_commit(resources, ended)
    await delete_blobs(resources.blobs, unused)


async def _begin_next(conn: Connection, export: ActiveExport, plan: Plan) -> list[str]:
    """Add the tasks of the next stage; return the keys of blobs that nothing needs then.

    Raises TaskFailed.
    """
    match export.stage:
        case ExportStage.MAP:
            columns = (await advance_store.unite_columns(conn, export)).of(plan)
            await advance_store.set_columns(conn, export, columns)
            buckets = await advance_store.select_buckets(conn, export)
            stage = ExportStage.BUCKET
            tasks = [
                _task(BucketInput(bucket=each.bucket), raw_bytes=each.bytes) for each in buckets
            ]
        case ExportStage.BUCKET:
            sizes = await advance_store.add_up_partitions(conn, export)
            stage = ExportStage.WRITE
            groups = grouped(sizes, max(plan.file_bytes, sum(sizes.values()) // _WRITE_TASKS))
            tasks = [_task(WriteInput(partitions=each)) for each in groups]
        case ExportStage.WHOLE | ExportStage.WRITE:
            stage, tasks = ExportStage.PUBLISH, [_task(PublishInput())]
        case ExportStage.SCRIPT | ExportStage.PUBLISH:
            raise AssertionError(export.stage)
        case _:
            assert_never(export.stage)
    if not tasks:
        # No row is left for them.
        stage, tasks = ExportStage.PUBLISH, [_task(PublishInput())]
    await advance_store.begin_stage(conn, export, stage, tasks)
    return await _delete_read(conn, export)


async def _delete_read(conn: Connection, export: ActiveExport) -> list[str]:
    """Delete the files that the tasks of a finished stage have read."""
    read = {ExportStage.BUCKET: ExportStage.MAP, ExportStage.WRITE: ExportStage.BUCKET}
    before = read.get(export.stage)
    return [] if before is None else await advance_store.delete_stage_files(conn, export, before)


def grouped(sizes: Mapping[Partition, int], group_bytes: int) -> Iterator[list[Partition]]:
    """Divide partitions, in their order, into groups of about so many bytes."""
    group: list[Partition] = []
    size_bytes = 0
    for partition in sorted(sizes, key=_order):
        full = size_bytes + sizes[partition] > group_bytes or len(group) == _PARTITIONS_OF_A_TASK
        if group and full:
            yield group
            group, size_bytes = [], 0
        group.append(partition)
        size_bytes += sizes[partition]
    if group:
        yield group


def _order(partition: Partition) -> list[tuple[bool, str]]:
    return [(value is None, value or "") for value in partition]


def _task(task: BucketInput | WriteInput | PublishInput, *, raw_bytes: int = 0) -> NewTask:
    return NewTask(input=msgspec.json.encode(task), raw_bytes=raw_bytes)


def _require_few_bad_rows(export: ActiveExport, plan: Plan) -> None:
    """Raise TaskFailed if all tasks together have found too many; each alone has not."""
    if plan.on_bad_row is OnBadRow.DEAD_LETTER and export.rows_failed > plan.max_bad_rows:
        message = f"more than {plan.max_bad_rows} rows cannot be exported"
        details: dict[str, object] = {"max_bad_rows": plan.max_bad_rows}
        raise TaskFailed(ExportErrorKind.TOO_MANY_BAD_ROWS, message, details)
