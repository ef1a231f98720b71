"""Do the work of a task: bring what it reads to this machine, run it, upload what it has written.

Nothing here knows the database: whether an attempt counts is decided by its lease.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar
from uuid import UUID

import uuid_utils.compat as uuid

from app.blobs import Blobs
from app.exports.plan.model import Plan, Progress, Report, Resources, Task, WrittenFile
from app.exports.work import UploadedFile, blob_keys, localized
from app.limits import MIB

# Folder of the blobs, in keys `<tenant>/<folder>/<id>`.
EXPORT_FOLDER: Final = "exports"

_CONCURRENT: Final = 4
_CHUNK_BYTES: Final = 1 * MIB

T = TypeVar("T")
R = TypeVar("R")


class RunTask(Protocol):
    """Runs a task whose files are on this machine: `app.exports.plan.process.run_task`."""

    async def __call__(
        self,
        task: Task,
        plan: Plan,
        resources: Resources,
        output_folder: Path,
        *,
        on_progress: Callable[[Progress], None],
    ) -> Report:
        """Return what was written into `output_folder`. Raises TaskFailed, TaskLost."""


class Attempt:
    """One attempt of a task, in a folder of its own."""

    def __init__(self, blobs: Blobs, tenant: UUID, folder: Path, run_task: RunTask) -> None:
        """Use an empty folder, which the caller removes."""
        self._blobs = blobs
        self._tenant = tenant
        self._folder = folder
        self._run_task = run_task
        # Also those that have not been uploaded to their end.
        self.blob_keys: list[str] = []

    async def run(
        self,
        task: Task,
        plan: Plan,
        *,
        memory_bytes: int,
        threads: int,
        on_progress: Callable[[Progress], None],
    ) -> tuple[Report, Sequence[UploadedFile]]:
        """Run a task, each `local` of which is the key of a blob; upload what it has written.

        Raises TaskFailed, TaskLost, BlobMissing, BlobsUnavailable, OSError.
        """
        read, written, spill = (self._folder / each for each in ("in", "out", "spill"))
        for each in (read, written, spill):
            each.mkdir()
        paths = await self._fetch(blob_keys(task), read)
        resources = Resources(memory_bytes=memory_bytes, threads=threads, spill=str(spill))
        report = await self._run_task(
            localized(task, paths), plan, resources, written, on_progress=on_progress
        )
        return report, await self._upload(report.files, written)

    async def _fetch(self, keys: Sequence[str], folder: Path) -> Mapping[str, str]:
        """Return where each blob is on this machine, where those of a remote store are copied."""

        async def fetch(key: str) -> tuple[str, str]:
            path = await self._blobs.find_file(key)
            if path is None:
                path = folder / key.replace("/", "-")
                await self._download(key, path)
            return key, str(path)

        return dict(await _in_turns(fetch, keys))

    async def _download(self, key: str, path: Path) -> None:
        with path.open("wb") as file:
            async for chunk in self._blobs.read(key):
                await asyncio.to_thread(file.write, chunk)

    async def _upload(self, files: Sequence[WrittenFile], folder: Path) -> list[UploadedFile]:
        async def upload(file: WrittenFile) -> UploadedFile:
            key = f"{self._tenant}/{EXPORT_FOLDER}/{uuid.uuid7()}"
            self.blob_keys.append(key)
            path = folder / file.name
            with path.open("rb") as content:
                async with self._blobs.writer(key) as writer:
                    while chunk := await asyncio.to_thread(content.read, _CHUNK_BYTES):
                        await writer.write(chunk)
            # Room for the others, where the disk of the store is this one.
            path.unlink()
            return UploadedFile(file=file, blob_key=key)

        return await _in_turns(upload, files)


async def _in_turns(call: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """Call for each item, a few at once; the first failure stops the others, and is raised."""
    slots = asyncio.Semaphore(_CONCURRENT)

    async def call_in_turn(item: T) -> R:
        async with slots:
            return await call(item)

    try:
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(call_in_turn(each)) for each in items]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [each.result() for each in calls]
