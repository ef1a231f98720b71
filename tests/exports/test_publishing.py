"""Publishing: whoever follows `_SUCCESS` finds all of one export, wherever a worker was killed."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace
from obstore.store import from_url

from app.blobs import Blobs
from app.db import Pool
from app.exports import completion, ending, publication
from app.exports.file_store import read_manifest
from app.exports.model import ExportStatus, Manifest, ManifestFile
from app.exports.object_folder import ObjectFolder, open_folder
from app.exports.plan.model import TaskFailed
from app.exports.publication import Publication
from app.exports.publish_store import NamedFile, StagedFile
from app.exports.task_store import LeaseLost, claim_task
from app.runs.model import SnapshotRef
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, StandInTask, open_exports
from tests.support.faulty_server import Scripted, faulty_server
from tests.support.servers_s3 import S3, run_s3

BUCKET: Final = "s3://crivo/default"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with run_s3() as stand_in, pytest.MonkeyPatch.context() as patch:
        for name, value in stand_in.environ.items():
            if name in {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}:
                patch.setenv(name, value)
        yield stand_in


@pytest.fixture
async def exports(
    pool: Pool, settings: Settings, tmp_path: Path, s3: S3
) -> AsyncIterator[RunningExports]:
    (tmp_path / "lake").mkdir()
    allowed = replace(
        settings,
        export_destinations=f"file://{tmp_path}/lake/{{tenant}}, s3://crivo/{{tenant}}, "
        "s3://missing/{tenant}",
        export_s3_endpoint=s3.url,
    )
    async with open_exports(pool, allowed) as running:
        yield running


@pytest.fixture
def local(tmp_path: Path) -> str:
    return f"file://{tmp_path}/lake/default/events"


async def folder_of(exports: RunningExports, url: str) -> ObjectFolder:
    root = url.partition("/default")[0]
    return await open_folder(exports.resources.settings, url, root=root)


async def content(folder: ObjectFolder, path: str) -> bytes:
    return b"".join([chunk async for chunk in folder.read(path)])


def objects(s3: S3, url: str) -> set[str]:
    """Return the paths of all objects of a destination."""
    if url.startswith("s3:"):
        prefix = url.removeprefix("s3://crivo/") + "/"
        return {each.removeprefix(prefix) for each in s3.names() if each.startswith(prefix)}
    root = Path(url.removeprefix("file://"))
    return {str(each.relative_to(root)) for each in root.rglob("*") if not each.is_dir()}


@pytest.mark.parametrize("url", ["", f"{BUCKET}/events"], ids=["folder", "bucket"])
async def test_a_destination_has_the_files_their_manifest_and_what_names_it(
    exports: RunningExports, s3: S3, local: str, url: str
) -> None:
    url = url or local
    first = await exports.create(destination=url)
    await exports.run_all(StandInTask())
    assert (await exports.row(first))["status"] == "succeeded"
    paths = {each["name"] for each in await exports.published(first)}
    assert len(paths) == 2
    assert objects(s3, url) == {*paths, f"_crivo/{first}.json", "_SUCCESS"}
    folder = await folder_of(exports, url)
    success = json.loads(await content(folder, "_SUCCESS"))
    assert success == {"export": str(first), "manifest": f"_crivo/{first}.json"}
    async with exports.pool.acquire() as conn:
        found = await read_manifest(conn, TENANT, first)
    assert found is not None
    assert await content(folder, success["manifest"]) == msgspec.json.encode(found)
    for each in found.files:
        assert hashlib.sha256(await content(folder, each.path)).hexdigest() == each.sha256
    # Nothing of them is here any more.
    assert exports.blob_keys() == set()
    assert await exports.stored_bytes() == 0

    second = await exports.create(destination=url)
    await exports.run_all(StandInTask())
    paths = {each["name"] for each in await exports.published(second)}
    assert objects(s3, url) == {*paths, f"_crivo/{second}.json", "_SUCCESS"}
    assert await exports.published(first) == []
    assert (await exports.row(first))["files_deleted_at"] is not None
    assert (await exports.row(second))["files_deleted_at"] is None


async def test_exports_to_one_destination_are_published_in_their_order(
    exports: RunningExports, local: str
) -> None:
    first = await exports.create(destination=local)
    second = await exports.create(destination=local)
    elsewhere = await exports.create(destination=f"{local}-2")
    # The first one is not due.
    await exports.pool.execute(
        "UPDATE export_tasks SET due_at = 'infinity' WHERE export_id = $1", first
    )
    await exports.run_all(StandInTask())
    assert (await exports.row(second))["stage"] == "publish"
    assert (await exports.row(second))["status"] == "running"
    assert (await exports.row(elsewhere))["status"] == "succeeded"
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    finished = [(await exports.row(each))["finished_at"] for each in (first, second)]
    assert finished == sorted(finished)
    folder = await folder_of(exports, local)
    assert json.loads(await content(folder, "_SUCCESS"))["export"] == str(second)


async def test_an_older_export_that_comes_late_replaces_no_newer_one(
    exports: RunningExports, local: str
) -> None:
    late = await exports.create()
    await exports.pool.execute("UPDATE export_tasks SET due_at = 'infinity'")
    newer = await exports.create(destination=local)
    await exports.run_all(StandInTask())
    await exports.pool.execute("UPDATE exports SET destination = $2 WHERE id = $1", late, local)
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    row = await exports.row(late)
    assert row["status"] == "failed"
    assert json.loads(row["error"]) == {
        "kind": "destination_refused",
        "message": f"{local} has files of the newer export {newer}",
    }


async def test_an_older_export_that_comes_late_waits_for_the_one_at_work(
    exports: RunningExports, local: str
) -> None:
    late, newer = await exports.create(destination=local), await exports.create(destination=local)
    await exports.pool.execute("UPDATE exports SET destination = NULL WHERE id = $1", late)
    # Its worker publishes it, and lives.
    await exports.pool.execute(
        """
        UPDATE export_tasks
        SET stage = 'publish', worker_id = $1, lease_token = 1, lease_expires_at = 'infinity'
        WHERE export_id = $1
        """,
        newer,
    )
    await exports.pool.execute("UPDATE exports SET destination = $2 WHERE id = $1", late, local)
    await exports.run_all(StandInTask())
    assert (await exports.row(late))["status"] == "running"
    assert not Path(local.removeprefix("file://")).exists()


async def test_a_folder_that_is_not_mounted_is_waited_for(
    exports: RunningExports, local: str, tmp_path: Path
) -> None:
    (tmp_path / "lake").rename(tmp_path / "away")
    export = await exports.create(destination=local)
    await exports.run_all(StandInTask())
    [task] = [each for each in await exports.tasks(export) if each["stage"] == "publish"]
    assert (task["attempts"], task["done_token"], task["lease_token"]) == (0, None, None)
    assert not (tmp_path / "lake").exists()
    # It can be cancelled: nothing was changed there.
    assert (await exports.row(export))["publishing_at"] is None
    (tmp_path / "away").rename(tmp_path / "lake")
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    assert (await exports.row(export))["status"] == "succeeded"
    assert (await exports.row(export))["publishing_at"] is not None


async def refusal(exports: RunningExports, url: str) -> dict[str, Any]:
    export = await exports.create(destination=url)
    await exports.run_all(StandInTask())
    row = await exports.row(export)
    assert row["status"] == "failed"
    assert exports.blob_keys() == set()
    error: dict[str, Any] = json.loads(row["error"])
    assert error["kind"] == "destination_refused"
    return error


async def test_what_is_refused_for_good_ends_the_export(
    exports: RunningExports, local: str, tmp_path: Path
) -> None:
    gone = await refusal(exports, "s3://other/default")
    assert gone["message"] == "s3://other/default is no longer a destination of the tenant"
    missing = await refusal(exports, "s3://missing/default")
    assert missing["message"].endswith("it answers with the status 404")
    (tmp_path / "lake" / "default").write_text("no folder")
    folder = await refusal(exports, local)
    assert folder["message"] == f"{local} cannot be written or read: not a directory"


async def test_denied_access_ends_an_export_and_a_failing_store_does_not(
    exports: RunningExports, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server(s3.url) as server:
        settings = replace(exports.resources.settings, export_s3_endpoint=server.url)
        monkeypatch.setattr(exports.resources, "settings", settings)
        server.faults = [Scripted(status=403)]
        denied = await refusal(exports, f"{BUCKET}/denied")
        assert denied["message"].endswith("access is denied")
        server.faults = [Scripted(status=503)] * 6
        export = await exports.create(destination=f"{BUCKET}/failing")
        await exports.run_all(StandInTask())
        assert (await exports.row(export))["status"] == "running"
        assert server.faults == []
    # It answers again.
    monkeypatch.undo()
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(StandInTask())
    assert (await exports.row(export))["status"] == "succeeded"


async def test_a_key_that_no_bucket_takes_is_refused_before_anything_is_changed(
    exports: RunningExports, s3: S3
) -> None:
    url = f"{BUCKET}/{'x' * 200}"
    folder = await folder_of(exports, url)
    name = "/".join([f"{level}={'v' * 198}" for level in "abcd"])
    with pytest.raises(TaskFailed, match="is longer than 1,024 bytes"):
        await publish(exports.blobs, folder, await publication_of(exports, [name]))
    assert objects(s3, url) == set()
    await publish(exports.blobs, folder, await publication_of(exports, [name[:-60]]))
    assert len(objects(s3, url)) == 3


class Killed(Exception):
    """Stands in for the end of a process."""


class Fragile(ObjectFolder):
    """A folder whose process ends before a change, or (n + ½) after it."""

    changes = 0
    end_at = 0.0
    # What is raised there.
    end: Exception = Killed()

    async def _change(self, change: Awaitable[None]) -> None:
        self.changes += 1
        if self.changes == self.end_at:
            asyncio.ensure_future(change).cancel()
            raise self.end
        await change
        if self.changes + 0.5 == self.end_at:
            raise self.end

    async def put(self, path: str, content: bytes) -> None:
        await self._change(super().put(path, content))

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
    root = Path(url.removeprefix("file://"))
    folder = Fragile(url, from_url(url, mkdir=True, automatic_cleanup=True), root)
    folder.end_at = end_at
    return folder


async def publish(blobs: Blobs, folder: ObjectFolder, wanted: Publication) -> None:
    """Publish without a database."""

    async def begin() -> None:
        pass

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
    exports: RunningExports, s3: S3, tmp_path: Path
) -> None:
    seen: set[str] = set()
    for half_steps in itertools.count(2):
        url = f"file://{tmp_path}/{half_steps}"
        folder = fragile(url, half_steps / 2)
        # One before that was cancelled, and one that is published, whose files are kept in part.
        cancelled = await publication_of(exports, ["day=9"])
        with suppress(Killed):
            await publish(exports.blobs, fragile(url, 4), cancelled)
        first = await publication_of(exports, ["day=1", "day=2", "day=3"])
        await publish(exports.blobs, fragile(url, 0), first)
        assert followed(url) == str(first.manifest.export)
        kept = first.files[0]
        kept = NamedFile(path=kept.path, file=staged_file(kept.path, None, "base"))
        second = await publication_of(exports, ["day=2", "day=4"], kept=[kept])
        is_over = False
        try:
            await publish(exports.blobs, folder, second)
            is_over = True
        except Killed:
            seen.add(str(followed(url)))
            await publish(exports.blobs, fragile(url, 0), second)
        assert followed(url) == str(second.manifest.export)
        assert objects(s3, url) == {
            *(each.path for each in second.files),
            f"_crivo/{second.manifest.export}.json",
            "_SUCCESS",
        }
        folders = {each.name for each in Path(url.removeprefix("file://")).iterdir()}
        assert folders == {"day=1", "day=2", "day=4", "_crivo", "_SUCCESS"}
        if is_over:
            break
    assert "None" in seen


async def test_what_was_published_stays_if_the_next_export_is_refused_before_it_deletes(
    exports: RunningExports, s3: S3, tmp_path: Path
) -> None:
    # The list of files, `_SUCCESS`, two files, the manifest; then what is old.
    for step in range(1, 8):
        url = f"file://{tmp_path}/{step}"
        first = await publication_of(exports, ["day=1", "day=2"])
        await publish(exports.blobs, fragile(url, 0), first)
        before = objects(s3, url)
        second = await publication_of(exports, ["day=2", "day=4"])
        with pytest.raises(TaskFailed):
            await publish(exports.blobs, refusing(url, step), second)
        if step <= 5:
            assert followed(url) == str(first.manifest.export)
            assert objects(s3, url) == before
        else:
            assert followed(url) is None
        third = await publication_of(exports, ["day=3"])
        await publish(exports.blobs, fragile(url, 0), third)
        assert followed(url) == str(third.manifest.export)
        assert len(objects(s3, url)) == 3


async def test_what_an_attempt_has_begun_to_delete_is_not_said_to_be_there(
    exports: RunningExports, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/lake/default"
    first = await publication_of(exports, ["day=1", "day=2"])
    await publish(exports.blobs, fragile(url, 0), first)
    second = await publication_of(exports, ["day=4"])
    with pytest.raises(Killed):
        # After the list of files, `_SUCCESS`, one file, the manifest, and two that are old.
        await publish(exports.blobs, fragile(url, 6.5), second)
    with pytest.raises(TaskFailed):
        await publish(exports.blobs, refusing(url, 2), second)
    assert followed(url) is None


async def test_an_export_that_was_cancelled_in_time_changes_no_destination(
    exports: RunningExports, local: str
) -> None:
    export = await exports.create(destination=local)
    async with exports.runner(StandInTask()) as runner:
        assert await runner.run_next()
    async with exports.pool.acquire() as conn:
        task = await claim_task(conn, uuid.uuid7(), lease_seconds=60.0)
        assert task is not None
        await ending.end(conn, TENANT, export, ExportStatus.CANCELLED)
    with pytest.raises(LeaseLost):
        await completion.publish(exports.resources, task)
    assert list(Path(local.removeprefix("file://")).iterdir()) == []


async def test_a_continued_export_whose_files_are_gone_changes_nothing(
    exports: RunningExports, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/lake/default"
    first = await publication_of(exports, ["day=1"])
    folder = await folder_of(exports, url)
    await publish(exports.blobs, folder, first)
    gone = NamedFile(path="day=1/x.parquet", file=staged_file("day=1/x.parquet", None, "base"))
    second = await publication_of(exports, ["day=2"], kept=[gone])
    with pytest.raises(TaskFailed) as failed:
        await publish(exports.blobs, folder, second)
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
    await publish(exports.blobs, await folder_of(exports, url), first)
    assert (outside.read_text(), notes.read_text()) == ("stays", "stays")
