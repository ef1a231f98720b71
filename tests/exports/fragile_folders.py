"""Publish without a database, into folders whose process ends at a step."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.blobs import Blobs
from app.exports import publication
from app.exports.model import Manifest, ManifestFile
from app.exports.mounted_folder import MountedFolder
from app.exports.object_folder import ObjectFolder
from app.exports.plan.model import TaskFailed
from app.exports.publication import Publication
from app.exports.publish_store import NamedFile, StagedFile
from app.runs.model import SnapshotRef
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports


class Killed(Exception):
    """Stands in for the end of a process."""


class Fragile(MountedFolder):
    """A folder whose process ends before a change, or (n + ½) after it."""

    changes = 0
    end_at = 0.0
    # What is raised there.
    end: Exception = Killed()

    async def _change(self, change: Awaitable[None]) -> None:
        self.changes += 1
        # Others are made at the same time.
        number = self.changes
        if number == self.end_at:
            asyncio.ensure_future(change).cancel()
            raise self.end
        await change
        if number + 0.5 == self.end_at:
            raise self.end

    async def put(self, path: str, content: bytes, *, staged: str) -> None:
        await self._change(super().put(path, content, staged=staged))

    async def write(self, path: str, chunks: AsyncIterator[bytes], *, staged: str) -> None:
        await self._change(super().write(path, chunks, staged=staged))

    async def delete(self, path: str) -> None:
        await self._change(super().delete(path))


def refusing(url: str, step: float) -> Fragile:
    """Return a folder that refuses a change for good."""
    folder = fragile(url, step)
    folder.end = TaskFailed("destination_refused", "access is denied")
    return folder


def fragile(url: str, end_at: float) -> Fragile:
    folder = Fragile(url, url.rpartition("/")[0])
    folder.end_at = end_at
    return folder


# What the database would know: the exports that have begun to change a destination.
_BEGUN: Final[set[tuple[str, UUID]]] = set()


async def publish(blobs: Blobs, folder: ObjectFolder, wanted: Publication) -> None:
    """Publish without a database."""
    key = folder.url, wanted.manifest.export

    async def begin() -> None:
        _BEGUN.add(key)

    wanted = replace(wanted, begun=key in _BEGUN)
    await publication.publish(blobs, folder, wanted, begin=begin)


async def publication_of(
    exports: RunningExports, names: Sequence[str], *, kept: Sequence[NamedFile] = ()
) -> Publication:
    """Return an export of new files, whose bytes are their names, and of kept ones."""
    export = uuid.uuid7()
    files = list(kept)
    for number, name in enumerate(names, 1):
        path = f"{name}/{export.hex[-12:]}-{number}.parquet"
        key = f"{TENANT}/exports/{uuid.uuid7()}"
        await exports.blobs.create(key, path.encode())
        files.append(NamedFile(path=path, file=staged_file(path, key, "whole")))
    manifest = Manifest(
        export=export,
        format="parquet",
        input=SnapshotRef(dataset="scores", snapshot=1),
        input_sha256="",
        output_sha256="",
        rows_in=1,
        duplicates=0,
        rows_failed=0,
        rows_out=1,
        columns=(),
        partition_by=("day",),
        files=[
            ManifestFile(path=each.path, rows=1, bytes=len(each.path), sha256="") for each in files
        ],
    )
    return Publication(manifest=manifest, files=files, begun=False)


def staged_file(path: str, key: str | None, stage: str) -> StagedFile:
    return StagedFile(
        lease_token=1,
        number=1,
        stage=stage,
        name=path,
        partition=b"[]",
        blob_key=key,
        rows=1,
        size_bytes=len(path),
        sha256=b"",
    )


def followed(url: str) -> str | None:
    """Read as a reader does that follows `_SUCCESS`: return the export whose files are all there.

    None: there is no `_SUCCESS`, so it waits.
    """
    root = Path(url.removeprefix("file://"))
    try:
        success = json.loads((root / "_SUCCESS").read_text())
    except FileNotFoundError:
        return None
    manifest = json.loads((root / success["manifest"]).read_text())
    assert manifest["export"] == success["export"]
    for each in manifest["files"]:
        assert (root / each["path"]).read_text() == each["path"]
    return str(success["export"])
