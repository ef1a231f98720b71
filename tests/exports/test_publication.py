"""Whoever follows `_SUCCESS` finds all of one export, wherever a worker was killed."""

import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.db import Pool
from app.exports.object_folder import DestinationUnavailable
from app.exports.plan.model import TaskFailed
from app.exports.publish_store import NamedFile
from app.settings import Settings
from tests.exports.fragile_folders import (
    Killed,
    followed,
    fragile,
    publication_of,
    publish,
    refusing,
    staged_file,
)
from tests.exports.published_folders import folder_of, objects
from tests.exports.running_exports import RunningExports, open_exports


@pytest.fixture
async def exports(pool: Pool, settings: Settings, tmp_path: Path) -> AsyncIterator[RunningExports]:
    (tmp_path / "lake").mkdir()
    async with open_exports(pool, settings) as running:
        yield running


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
            await publish(exports.blobs, fragile(url, 4), cancelled)
        first = await publication_of(exports, ["day=1", "day=2", "day=3"])
        await publish(exports.blobs, fragile(url, 0), first)
        assert followed(url) == str(first.manifest.export)
        kept = first.files[0]
        kept = NamedFile(path=kept.path, file=staged_file(kept.path, None, "base"))
        second = await publication_of(exports, ["day=2", "day=4"], kept=[kept])
        # What a process leaves that ends before a file has its name.
        left = f"_crivo/{second.manifest.export}-9"
        (Path(url.removeprefix("file://")) / left).write_text("half")
        is_over = False
        try:
            await publish(exports.blobs, folder, second)
            is_over = True
        except Killed:
            seen.add(str(followed(url)))
            await publish(exports.blobs, fragile(url, 0), second)
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


async def test_what_was_published_stays_if_the_next_export_is_refused_before_it_deletes(
    exports: RunningExports, tmp_path: Path
) -> None:
    # The list of files, `_SUCCESS`, two files, the manifest; then what is old.
    for step in range(1, 8):
        url = f"file://{tmp_path}/{step}"
        first = await publication_of(exports, ["day=1", "day=2"])
        await publish(exports.blobs, fragile(url, 0), first)
        before = objects(url)
        second = await publication_of(exports, ["day=2", "day=4"])
        with pytest.raises(TaskFailed):
            await publish(exports.blobs, refusing(url, step), second)
        if step <= 5:
            assert followed(url) == str(first.manifest.export)
            assert objects(url) == before
        else:
            assert followed(url) is None
        third = await publication_of(exports, ["day=3"])
        await publish(exports.blobs, fragile(url, 0), third)
        assert followed(url) == str(third.manifest.export)
        assert len(objects(url)) == 3


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


async def test_files_that_are_not_there_as_a_whole_are_not_published(
    exports: RunningExports, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/lake/default"
    wanted = await publication_of(exports, ["day=1", "day=2"])
    key = wanted.files[0].file.blob_key
    assert exports.blobs.folder is not None
    assert key is not None
    blob = exports.blobs.folder / key
    content = blob.read_bytes()
    blob.write_bytes(content[:-1])
    with pytest.raises(DestinationUnavailable):
        await publish(exports.blobs, fragile(url, 0), wanted)
    assert followed(url) is None
    blob.write_bytes(content)
    await publish(exports.blobs, fragile(url, 0), wanted)
    assert followed(url) == str(wanted.manifest.export)


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
