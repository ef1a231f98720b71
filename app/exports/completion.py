"""Publish what the tasks of an export have written, and end the export in one transaction."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from app.datasets.blob_cleanup import delete_blobs
from app.exports import ending, outcome_store, publication, publish_store
from app.exports.file_store import read_manifest
from app.exports.model import ExportStatus
from app.exports.opening import open_destination
from app.exports.publication import Publication
from app.exports.publish_store import NamedFile, StagedFile
from app.exports.task_store import ClaimedTask
from app.resources import Resources

# The end of an id of version 7 is random: ids of the same minute begin alike.
_ID_DIGITS: Final = 12


class DestinationBusy(InterruptedError):
    """Another export is being published at the destination: the task is tried again."""


class Output(Struct, frozen=True):
    """The files of an export in the order of their paths, and the SHA-256 of paths and digests."""

    files: Sequence[NamedFile]
    sha256: bytes


async def publish(resources: Resources, task: ClaimedTask) -> Output:
    """Name the files of an export, in the order of their paths, and copy them to its destination.

    Another attempt gives them the same names. Raises TaskFailed, LeaseLost, Unavailable, OSError.
    """
    async with resources.pool.acquire() as conn:
        staged = await publish_store.select_staged(conn, task)
    # Not on the event loop: there may be tens of thousands.
    output = await asyncio.to_thread(_output_of, task.export_id, staged)
    if task.destination is not None:
        await _copy(resources, task, task.destination, output)
    return output


async def _copy(resources: Resources, task: ClaimedTask, destination: str, output: Output) -> None:
    async with resources.pool.acquire() as conn:
        if not await publish_store.has_turn(conn, task):
            raise DestinationBusy(f"another export is being published at {destination}")
        begun = await publish_store.has_begun(conn, task)
        found = await read_manifest(conn, task.tenant_id, task.export_id)
    assert found is not None  # noqa: S101 - its task is leased
    manifest = replace(
        found,
        rows_out=sum(each.file.rows for each in output.files),
        output_sha256=output.sha256.hex(),
    )
    folder = await open_destination(resources, task.tenant_id, destination)
    wanted = Publication(manifest=manifest, files=output.files, begun=begun)

    async def begin() -> None:
        async with resources.pool.acquire() as conn:
            await publish_store.begin_publishing(conn, task)

    await publication.publish(resources.blobs, folder, wanted, begin=begin)


async def complete(resources: Resources, task: ClaimedTask, output: Output) -> None:
    """End an export whose files are published. Raises LeaseLost, DatabaseUnavailable."""
    async with resources.pool.acquire() as conn, conn.transaction():
        await outcome_store.finish_task(conn, task)
        await publish_store.publish_files(conn, task, output.files, output_sha256=output.sha256)
        ended = await ending.end(conn, task.tenant_id, task.export_id, ExportStatus.SUCCEEDED)
    await ending.after_commit(resources, ended)
    if task.destination is not None:
        keys = [each.file.blob_key for each in output.files if each.file.blob_key is not None]
        await delete_blobs(resources.blobs, keys)


def _output_of(export_id: UUID, staged: Sequence[StagedFile]) -> Output:
    files = sorted(_named(export_id, staged), key=lambda each: each.path)
    digest = hashlib.sha256()
    for each in files:
        digest.update(each.path.encode() + b"\x00" + each.file.sha256)
    return Output(files, digest.digest())


def _named(export_id: UUID, files: Sequence[StagedFile]) -> Iterator[NamedFile]:
    """Name files within their folders, the same at every attempt; those of the base have names."""
    prefix = export_id.hex[-_ID_DIGITS:]
    for number, each in enumerate(files, 1):
        if each.stage == "base":
            yield NamedFile(path=each.name, file=each)
        else:
            folders = each.name.rpartition("/")[0]
            name = f"{prefix}-{number}.parquet"
            yield NamedFile(path=f"{folders}/{name}" if folders else name, file=each)
