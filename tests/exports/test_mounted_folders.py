"""Files of a mounted destination last once they have names, and never hold up the event loop."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from app.exports.mounted_folder import MountedFolder
from app.exports.object_folder import DestinationUnavailable
from app.limits import MIB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
async def folder(root: Path) -> MountedFolder:
    folder = MountedFolder(f"file://{root}/acme/events", f"file://{root}")
    await folder.open()
    return folder


async def test_no_file_is_closed_on_the_event_loop(
    folder: MountedFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Closing writes back to the server of a network file system.
    closed_on_loop: list[str] = []
    loop, close = threading.get_ident(), os.close

    def traced(descriptor: int) -> None:
        if threading.get_ident() == loop:
            closed_on_loop.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        close(descriptor)

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    monkeypatch.setattr(os, "close", traced)
    await folder.put("written", bytes(3 * MIB), staged="_crivo/1")
    with suppress(ConnectionResetError):
        await folder.write("failed", broken(), staged="_crivo/2")
    assert [chunk async for chunk in folder.read("written")] == [bytes(MIB)] * 3
    async with aclosing(folder.read("written")) as begun:
        await anext(begun)
    while True:
        if not any(str(root) in each for each in open_files()):
            break
        await asyncio.sleep(0.01)
    assert closed_on_loop == []


def open_files() -> list[str]:
    with os.scandir("/proc/self/fd") as descriptors:
        return [os.path.realpath(each.path) for each in descriptors]


async def test_the_names_of_folders_are_on_the_disk_before_a_file_has_its_name(
    folder: MountedFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    synchronize, rename = os.fsync, os.rename

    def traced(descriptor: int) -> None:
        seen.append(os.path.relpath(os.path.realpath(f"/proc/self/fd/{descriptor}"), root))
        synchronize(descriptor)

    def renamed(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        seen.append("renamed")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", traced)
    monkeypatch.setattr(os, "rename", renamed)
    await folder.put("year=2021/month=01/a", b"x", staged="_crivo/1")
    made = ["acme", "acme/events", "acme/events/_crivo"]
    made += ["acme/events/year=2021", "acme/events/year=2021/month=01"]
    before, after = seen[: seen.index("renamed")], seen[seen.index("renamed") + 1 :]
    assert {str(Path(each).parent) for each in made} <= set(before)
    assert after == [made[-1]]


@pytest.mark.parametrize("gone", ["_crivo/1", "_crivo"])
async def test_what_others_delete_while_it_is_written_is_written_again(
    folder: MountedFolder, root: Path, gone: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        path = root / "acme" / "events" / gone
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    # The task returns to the queue.
    with pytest.raises(DestinationUnavailable, match="others delete what is written there"):
        await folder.write("a", chunks(), staged="_crivo/1")
    await folder.put("a", b"y", staged="_crivo/1")
    assert (root / "acme" / "events" / "a").read_bytes() == b"y"
