"""Carry out a claimed task on this machine, from what it reads to what it has uploaded."""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from app.datasets.blob_cleanup import delete_blobs
from app.exports.attempt import Attempt, AttemptLimits, RunTask
from app.exports.folders import open_attempt_folder
from app.exports.input_store import read_input
from app.exports.model import ExportErrorKind
from app.exports.object_folder import ObjectFolder
from app.exports.opening import open_destination
from app.exports.plan.model import Progress, Report, TaskFailed
from app.exports.task_store import ClaimedTask
from app.exports.work import BaseFile, Outcome, TaskInput
from app.exports.written import folder_of
from app.outages import BlobsFull, DiskFull, host_error_of
from app.resources import Resources

# Of a folder that is not as it must be.
_LASTING: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
)


async def execute(
    resources: Resources,
    task: ClaimedTask,
    worker_folder: Path,
    run_task: RunTask,
    *,
    on_progress: Callable[[Progress], None],
) -> Outcome:
    """Run a task in a folder of its own; what fails or is cancelled leaves no blobs.

    Raises TaskFailed, TaskLost, BlobLost, Unavailable, OSError.
    """
    settings = resources.settings
    async with open_attempt_folder(worker_folder) as folder:
        destination = await _destination(resources, task)
        attempt = Attempt(
            resources.blobs,
            task.tenant_id,
            task.export_id,
            folder,
            run_task,
            destination=destination,
        )
        try:
            async with resources.pool.acquire() as conn:
                read = await read_input(conn, task)
            report, files = await attempt.run(
                read,
                raw_bytes=task.raw_bytes,
                limits=AttemptLimits(
                    memory_bytes=settings.export_memory_bytes,
                    threads=settings.export_threads or os.cpu_count() or 1,
                    disk_bytes=settings.export_disk_bytes,
                    seconds=settings.export_task_seconds,
                ),
                on_progress=on_progress,
            )
        except (Exception, asyncio.CancelledError) as error:
            await asyncio.shield(delete_blobs(resources.blobs, attempt.blob_keys))
            if _is_full(error):
                message = "no space is left for the files of the task"
                raise TaskFailed(ExportErrorKind.OUT_OF_SPACE, message) from error
            raise
    kept = _kept(read, report.replaced)
    return Outcome(report=report, files=files, kept=kept, emptied=_emptied(read, report, kept))


def lasts(error: Exception) -> bool:
    """Return whether an operator has to mend what a file or folder is refused for."""
    return isinstance(error, OSError) and error.errno in _LASTING


def _is_full(error: BaseException) -> bool:
    """Return whether it is what the process of a task calls `out_of_space`."""
    return isinstance(error, BlobsFull) or isinstance(host_error_of(error), DiskFull)


async def _destination(resources: Resources, task: ClaimedTask) -> ObjectFolder | None:
    """Open what has files of the export that the one of a task continues."""
    if task.base_id is None or task.destination is None:
        return None
    return await open_destination(resources, task.tenant_id, task.destination)


def _kept(read: TaskInput, replaced: Sequence[int]) -> list[BaseFile]:
    gone = set(replaced)
    return [each for number, each in enumerate(read.base) if number not in gone]


def _emptied(read: TaskInput, report: Report, kept: Sequence[BaseFile]) -> dict[str, bytes]:
    """Return the partitions of the base that have no file any more."""
    names = [*(each.name for each in kept), *(each.name for each in report.files)]
    full = set(map(folder_of, names))
    folders = {folder_of(each.name): each.partition for each in read.base}
    return {folder: partition for folder, partition in folders.items() if folder not in full}
