"""Nothing that others put into a mounted destination leads an export elsewhere, or stops it."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from app.db import Pool
from app.exports import ending, hanging_calls
from app.exports.folder_tree import FolderTree
from app.exports.hanging_calls import Hangs, call_in_thread, require_wanted
from app.exports.model import ExportStatus
from app.exports.plan.model import TaskFailed
from app.exports.publish_store import NamedFile
from app.limits import MAX_DESTINATION_DOCUMENTS_BYTES, MAX_HANGING_CALLS, MAX_SUCCESS_BYTES, MIB
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.fragile_folders import followed, publication_of, publish, staged_file
from tests.exports.published_folders import folder_of, objects
from tests.exports.running_exports import RunningExports, StandInTask, open_exports

# As exports name their files.
NAME = "0123456789ab-1.parquet"
OLDEST = UUID(int=1)


@pytest.fixture
async def exports(pool: Pool, settings: Settings, tmp_path: Path) -> AsyncIterator[RunningExports]:
    allowed = replace(settings, export_destinations=f"file://{tmp_path}/lake/{{tenant}}")
    async with open_exports(pool, allowed) as running:
        yield running


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Return a folder that its tenant, the attacker, can write to."""
    folder = tmp_path / "lake" / "default" / "events"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Return the folder of another tenant."""
    folder = tmp_path / "lake" / "other"
    folder.mkdir(parents=True)
    for name in (NAME, "_SUCCESS", f"{OLDEST}.json"):
        (folder / name).write_text("theirs")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in folder.iterdir()}


def write_document(folder: Path, paths: list[str]) -> Path:
    (folder / "_crivo").mkdir(exist_ok=True)
    path = folder / "_crivo" / f"{OLDEST}.json"
    path.write_text(json.dumps({"files": [{"path": each} for each in paths]}))
    return path


def extend(path: Path, size: int) -> None:
    """Make a file so long, without bytes on the disk."""
    path.touch()
    os.truncate(path, size)


def link_the_destination(ours: Path, theirs: Path) -> None:
    ours.rmdir()
    ours.symlink_to(theirs)


def link_the_tenants_folder(ours: Path, theirs: Path) -> None:
    ours.rmdir()
    ours.parent.rmdir()
    ours.parent.symlink_to(theirs)


def link_the_documents(ours: Path, theirs: Path) -> None:
    (ours / "_crivo").symlink_to(theirs)


def link_what_names_the_manifest(ours: Path, theirs: Path) -> None:
    (ours / "_SUCCESS").symlink_to(theirs / "_SUCCESS")


def link_a_folder_of_files(ours: Path, theirs: Path) -> None:
    (ours / "day=1").symlink_to(theirs)


def make_a_pipe(ours: Path, theirs: Path) -> None:
    assert theirs.exists()
    os.mkfifo(ours / "_SUCCESS")


def make_it_long(ours: Path, theirs: Path) -> None:
    assert theirs.exists()
    extend(ours / "_SUCCESS", MAX_SUCCESS_BYTES + 1)


def make_long_documents(ours: Path, theirs: Path) -> None:
    assert theirs.exists()
    extend(write_document(ours, []), MAX_DESTINATION_DOCUMENTS_BYTES + 1)


PLANTED = [
    link_the_destination,
    link_the_tenants_folder,
    link_the_documents,
    link_what_names_the_manifest,
    link_a_folder_of_files,
    make_a_pipe,
    make_it_long,
    make_long_documents,
]


@pytest.mark.parametrize("plant", PLANTED)
async def test_what_leads_elsewhere_or_never_ends_is_refused(
    exports: RunningExports, ours: Path, theirs: Path, plant: Callable[[Path, Path], None]
) -> None:
    plant(ours, theirs)
    before = contents(theirs)
    wanted = await publication_of(exports, ["day=1"])
    with pytest.raises(TaskFailed) as failed:
        await publish(exports.blobs, await folder_of(exports, f"file://{ours}"), wanted)
    assert failed.value.kind == "destination_refused"
    assert contents(theirs) == before


async def test_what_can_be_replaced_is_replaced_and_what_it_led_to_stays(
    exports: RunningExports, ours: Path, theirs: Path
) -> None:
    url = f"file://{ours}"
    wanted = await publication_of(exports, ["day=1", "day=2"])
    write_document(ours, [f"day=3/{NAME}", f"day=4/{NAME}"])
    # The folder of a file that is to be deleted; two files, one after the attempt had begun.
    (ours / "day=3").symlink_to(theirs)
    for file in (wanted.files[0], wanted.files[1]):
        (ours / file.path).parent.mkdir()
    (ours / wanted.files[0].path).symlink_to(theirs / NAME)
    os.mkfifo(ours / wanted.files[1].path)
    (ours / "_crivo" / f"{wanted.manifest.export}-0").symlink_to(theirs / NAME)
    (ours / "_crivo" / f"{wanted.manifest.export}.begun.json").touch()
    os.mkfifo(ours / "_crivo" / f"{UUID(int=2)}.json")
    before = contents(theirs)
    await publish(exports.blobs, await folder_of(exports, url), wanted)
    assert followed(url) == str(wanted.manifest.export)
    assert contents(theirs) == before
    assert not (ours / wanted.files[0].path).is_symlink()


async def test_only_files_that_exports_have_named_are_deleted(
    exports: RunningExports, ours: Path
) -> None:
    url = f"file://{ours}"
    kept = ["other.parquet", f"day/{NAME}", f"{NAME}.txt"]
    gone = [NAME, f"day=1/{NAME}", f"a=1/b=é ü%2F/{NAME}"]
    outside = ours.parent / NAME
    outside.write_text("x")
    for each in (*kept, *gone):
        (ours / each).parent.mkdir(parents=True, exist_ok=True)
        (ours / each).write_text("x")
    forged = [f"a//{NAME}", f"a=1\n/{NAME}", f"./{NAME}", f"a=1/../{NAME}", f"/{NAME}", "\ud800"]
    forged += [f"../{NAME}", str(outside), f"a={'x' * 254}/{NAME}", f"{'a=1/' * 9}{NAME}"]
    document = write_document(ours, [*forged, *kept, *gone])
    # Read a piece at a time: what is cut in two is found.
    before, last = document.read_text().rsplit("{", 1)
    document.write_text(before + " " * (MIB - len(before.encode()) - 20) + "{" + last)
    wanted = await publication_of(exports, ["day=x"])
    await publish(exports.blobs, await folder_of(exports, url), wanted)
    manifest = f"_crivo/{wanted.manifest.export}.json"
    assert objects(url) == {*kept, wanted.files[0].path, manifest, "_SUCCESS"}
    assert outside.exists()
    assert not (ours / "a=1").exists()


@pytest.mark.parametrize("missing", ["manifest", "file"])
async def test_an_export_is_not_taken_for_published_because_a_file_says_so(
    exports: RunningExports, ours: Path, missing: str
) -> None:
    url = f"file://{ours}"
    wanted = await publication_of(exports, ["day=1"])
    folder = await folder_of(exports, url)
    await publish(exports.blobs, folder, wanted)
    path = {
        "manifest": f"_crivo/{wanted.manifest.export}.json",
        "file": wanted.files[0].path,
    }[missing]
    (ours / path).write_text("forged")
    assert json.loads((ours / "_SUCCESS").read_text())["export"] == str(wanted.manifest.export)
    await publish(exports.blobs, folder, wanted)
    assert followed(url) == str(wanted.manifest.export)


@pytest.mark.parametrize("kind", ["link", "pipe"])
async def test_a_kept_file_that_is_no_file_any_more_is_gone(
    exports: RunningExports, ours: Path, kind: str
) -> None:
    folder = await folder_of(exports, f"file://{ours}")
    first = await publication_of(exports, ["day=1"])
    await publish(exports.blobs, folder, first)
    path = ours / first.files[0].path
    path.rename(ours / "moved")
    if kind == "link":
        path.symlink_to(ours / "moved")
    else:
        os.mkfifo(path)
    name = first.files[0].path
    kept = NamedFile(path=name, file=staged_file(name, None, "base"))
    with pytest.raises(TaskFailed) as failed:
        await publish(exports.blobs, folder, await publication_of(exports, ["day=2"], kept=[kept]))
    assert failed.value.kind == "input_deleted"


async def test_an_export_can_be_cancelled_while_its_destination_hangs(
    exports: RunningExports, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answers = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        begun.set()
        answers.wait()

    export = await exports.create(destination=f"file://{ours}")
    async with exports.runner(StandInTask()) as runner:
        assert await runner.run_next()
        monkeypatch.setattr(FolderTree, "open", hang)
        publishing = asyncio.create_task(runner.run_next())
        await asyncio.to_thread(begun.wait)
        async with exports.pool.acquire() as conn, conn.transaction():
            await ending.end(conn, TENANT, export, ExportStatus.CANCELLED)
        assert await publishing
    answers.set()
    assert list(ours.iterdir()) == []


async def test_a_file_system_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    changed: list[int] = []

    def change() -> None:
        answers.wait()
        require_wanted()
        changed.append(1)

    monkeypatch.setattr(hanging_calls, "DESTINATION_CALL_SECONDS", 0.01)
    for _ in range(MAX_HANGING_CALLS):
        with pytest.raises(Hangs, match="has not come back for"):
            await call_in_thread("here", change)
    monkeypatch.undo()
    # No more threads are left behind, and others are not concerned.
    with pytest.raises(Hangs, match=f"{MAX_HANGING_CALLS} calls have not come back"):
        await call_in_thread("here", change)
    assert await call_in_thread("there", lambda: 1) == 1
    answers.set()
    while True:
        with suppress(Hangs):
            await call_in_thread("here", change)
            break
        await asyncio.sleep(0.01)
    # What nobody waited for has changed nothing.
    assert changed == [1]
