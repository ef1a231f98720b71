"""Do the work of a task: bring what it reads to this machine, run it, upload what it has written.

Nothing here knows the database: whether an attempt counts is decided by its lease.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from app.blobs import Blobs
from app.exports.concurrency import concurrently
from app.exports.disk_room import room_of
from app.exports.model import ExportErrorKind
from app.exports.object_folder import ForeignObject, ObjectFolder, replaced_meanwhile
from app.exports.plan.model import (
    Plan,
    Progress,
    Report,
    Resources,
    Task,
    TaskFailed,
    WrittenFile,
)
from app.exports.work import BaseFile, TaskInput, UploadedFile, localized, places_of
from app.limits import MIB

# Folder of the blobs, in keys `<tenant>/<folder>/<export>-<number>`: until the export has ended,
# retention keeps those that have no row yet.
EXPORT_FOLDER: Final = "exports"

_CHUNK_BYTES: Final = 1 * MIB
_NUMBER_BITS: Final = 96


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


class AttemptLimits(Struct, frozen=True, kw_only=True):
    """What the settings give to each attempt; `disk_bytes` 0: by what it reads."""

    memory_bytes: int
    threads: int
    disk_bytes: int
    seconds: int


class Attempt:
    """One attempt of a task, in a folder of its own."""

    def __init__(
        self,
        blobs: Blobs,
        tenant: UUID,
        export_id: UUID,
        folder: Path,
        run_task: RunTask,
        *,
        destination: ObjectFolder | None = None,
    ) -> None:
        """Use an empty folder, which the caller removes; `destination` has what is no blob."""
        self._blobs = blobs
        self._destination = destination
        self._prefix = f"{tenant}/{EXPORT_FOLDER}/{export_id}"
        self._folder = folder
        self._run_task = run_task
        # Also those that have not been uploaded to their end.
        self.blob_keys: list[str] = []

    async def run(
        self,
        work: TaskInput,
        *,
        raw_bytes: int,
        limits: AttemptLimits,
        on_progress: Callable[[Progress], None],
    ) -> tuple[Report, Sequence[UploadedFile]]:
        """Run a task with files of the stores; upload what it has written.

        `raw_bytes` are those of the lines that it reads.

        Raises TaskFailed, TaskLost, BlobMissing, BlobsUnavailable, DiskFull, OSError.
        """
        read, written, spill = (self._folder / each for each in ("in", "out", "spill"))
        for each in (read, written, spill):
            each.mkdir()
        paths = await self._fetch(work, read)
        task = localized(work.task, paths)
        resources = Resources(
            memory_bytes=limits.memory_bytes,
            threads=limits.threads,
            spill=str(spill),
            room=room_of(task, spill, raw_bytes=raw_bytes, disk_bytes=limits.disk_bytes),
        )
        time = asyncio.timeout(limits.seconds)
        try:
            async with time:
                report = await self._run_task(
                    task, work.plan, resources, written, on_progress=on_progress
                )
        except TimeoutError:
            if not time.expired():
                raise
            message = f"a task has computed for {limits.seconds} seconds, the most that it may"
            raise TaskFailed(ExportErrorKind.TIMEOUT, message) from None
        return report, await self._upload(report.files, written)

    async def _fetch(self, work: TaskInput, folder: Path) -> Mapping[str, str]:
        """Return where each file is on this machine, where those of remote stores are copied."""
        at_destination = work.at_destination

        async def fetch(numbered: tuple[int, str]) -> tuple[str, str]:
            number, place = numbered
            base = at_destination.get(place)
            path = await self._blobs.find_file(place) if base is None else None
            if path is None:
                path = folder / str(number)
                chunks = self._blobs.read(place) if base is None else self._read(base)
                with path.open("wb") as file:
                    async for chunk in chunks:
                        await asyncio.to_thread(file.write, chunk)
            return place, str(path)

        return dict(await concurrently(fetch, enumerate(places_of(work.task))))

    async def _read(self, file: BaseFile) -> AsyncIterator[bytes]:
        """Yield a file of the export that this one continues, which others can have replaced."""
        assert self._destination is not None  # noqa: S101 - the caller has opened it for these
        digest, read_bytes = hashlib.sha256(), 0
        try:
            async with aclosing(self._destination.read(file.name)) as chunks:
                async for chunk in chunks:
                    read_bytes += len(chunk)
                    if read_bytes > file.size_bytes:
                        break
                    await asyncio.to_thread(digest.update, chunk)
                    yield chunk
        except (FileNotFoundError, ForeignObject):
            raise replaced_meanwhile(file.name) from None
        if read_bytes != file.size_bytes or digest.digest() != file.sha256:
            raise replaced_meanwhile(file.name)

    async def _upload(self, files: Sequence[WrittenFile], folder: Path) -> list[UploadedFile]:
        async def upload(file: WrittenFile) -> UploadedFile:
            key = f"{self._prefix}-{secrets.randbits(_NUMBER_BITS)}"
            self.blob_keys.append(key)
            path = folder / file.name
            with path.open("rb") as content:
                async with self._blobs.writer(key) as writer:
                    while chunk := await asyncio.to_thread(content.read, _CHUNK_BYTES):
                        await writer.write(chunk)
            # Room for the others, where the disk of the store is this one.
            path.unlink()
            return UploadedFile(file=file, blob_key=key)

        return await concurrently(upload, files)
