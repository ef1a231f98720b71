"""Whoever follows `_SUCCESS` finds all of one export, wherever a worker was killed."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from obstore.store import from_url

from app.db import Pool
from app.exports import publication
from app.exports.model import Manifest, ManifestFile
from app.exports.object_folder import ObjectFolder
from app.exports.plan.model import TaskFailed
from app.exports.publication import Publication
from app.exports.publish_store import NamedFile, StagedFile
from app.runs.model import SnapshotRef
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.published_folders import folder_of, objects
from tests.exports.running_exports import RunningExports, open_exports


@pytest.fixture
async def exports(pool: Pool, settings: Settings, tmp_path: Path) -> AsyncIterator[RunningExports]:
    (tmp_path / "lake").mkdir()
    async with open_exports(pool, settings) as running:
        yield running


class Killed(Exception):
    """Stands in for the end of a process."""


class Fragile(ObjectFolder):
    """A folder whose process ends before a change, or (n + ½) after it."""

    changes = 0
    end_at = 0.0

    async def _change(self, change: Awaitable[None]) -> None:
        self.changes += 1
        if self.changes == self.end_at:
            asyncio.ensure_future(change).cancel()
            raise Killed
        await change
        if self.changes + 0.5 == self.end_at:
            raise Killed

    async def put(self, path: str, content: bytes) -> None:
        await self._change(super().put(path, content))

    async def write(self, path: str, chunks: AsyncIterator[bytes], *, staged: str) -> None:
        await self._change(super().write(path, chunks, staged=staged))

    async def delete(self, path: str) -> None:
        await self._change(super().delete(path))


def fragile(url: str, end_at: float) -> Fragile:
    root = Path(url.removeprefix("file://"))
    folder = Fragile(url, from_url(url, mkdir=True, automatic_cleanup=True), root)
    folder.end_at = end_at
    return folder


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
    return Publication(manifest=manifest, files=files)


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


async def test_a_kill_at_any_step_leaves_nothing_half_published_and_a_repetition_ends_it(
    exports: RunningExports, tmp_path: Path
) -> None:
    seen: set[str] = set()
    for half_steps in itertools.count(2):
        url = f"file://{tmp_path}/{half_steps}"
        folder = fragile(url, half_steps / 2)
        # One before that was cancelled, and one that is published, whose files are kept in part.
        cancelled = await publication_of(exports, ["day=9"])
        with suppress(Killed):
            await publication.publish(exports.blobs, fragile(url, 4), cancelled)
        first = await publication_of(exports, ["day=1", "day=2", "day=3"])
        await publication.publish(exports.blobs, fragile(url, 0), first)
        assert followed(url) == str(first.manifest.export)
        kept = first.files[0]
        kept = NamedFile(path=kept.path, file=staged_file(kept.path, None, "base"))
        second = await publication_of(exports, ["day=2", "day=4"], kept=[kept])
        is_over = False
        try:
            await publication.publish(exports.blobs, folder, second)
            is_over = True
        except Killed:
            seen.add(str(followed(url)))
            await publication.publish(exports.blobs, fragile(url, 0), second)
        assert followed(url) == str(second.manifest.export)
        assert objects(url) == {
            *(each.path for each in second.files),
            f"_crivo/{second.manifest.export}.json",
            "_SUCCESS",
        }
        folders = {each.name for each in Path(url.removeprefix("file://")).iterdir()}
        assert folders == {"day=1", "day=2", "day=4", "_crivo", "_SUCCESS"}
        if is_over:
            break
    assert "None" in seen


async def test_a_continued_export_whose_files_are_gone_changes_nothing(
    exports: RunningExports, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/lake/default"
    first = await publication_of(exports, ["day=1"])
    folder = await folder_of(exports, url)
    await publication.publish(exports.blobs, folder, first)
    gone = NamedFile(path="day=1/x.parquet", file=staged_file("day=1/x.parquet", None, "base"))
    second = await publication_of(exports, ["day=2"], kept=[gone])
    with pytest.raises(TaskFailed) as failed:
        await publication.publish(exports.blobs, folder, second)
    assert failed.value.kind == "input_deleted"
    assert followed(url) == str(first.manifest.export)


async def test_a_document_that_others_have_changed_deletes_data_files_below_only(
    exports: RunningExports, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/lake/default/events"
    outside = tmp_path / "lake" / "default" / "x.parquet"
    notes = tmp_path / "lake" / "default" / "events" / "notes.txt"
    notes.parent.mkdir(parents=True)
    for each in (outside, notes):
        each.write_text("stays")
    paths = ["../x.parquet", "day=1/../../x.parquet", str(outside), "notes.txt", 1]
    documents = notes.parent / "_crivo"
    documents.mkdir()
    for number, path in enumerate(paths):
        name = f"{UUID(int=number)}.json"
        (documents / name).write_text(json.dumps({"files": [{"path": path}]}))
    first = await publication_of(exports, ["day=1"])
    await publication.publish(exports.blobs, await folder_of(exports, url), first)
    assert (outside.read_text(), notes.read_text()) == ("stays", "stays")
