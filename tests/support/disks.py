"""Small file systems that tests can fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MIB = 1 << 20


class SmallDisk:
    """A tmpfs that a test can fill and make read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @property
    def free_bytes(self) -> int:
        room = os.statvfs(self.folder)
        return room.f_bavail * room.f_frsize

    def fill(self, *, leave_bytes: int = 0) -> None:
        with self._filler.open("ab") as filler:
            while (left := self.free_bytes - leave_bytes) > 0:
                filler.write(bytes(min(left, _MIB)))
                filler.flush()

    def make_room(self) -> None:
        self._filler.unlink()

    def remount(self, option: str) -> None:
        _run("mount", "-o", f"remount,{option}", str(self.folder))


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount one; skips the test if mounting is not permitted."""
    folder.mkdir()
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))
    if mounted:
        pytest.skip(f"only root may mount a small disk here: {mounted}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: an exiting process may still use it.
        _run("umount", "-l", str(folder))


def _run(*command: str) -> str:
    """Run a command and return its error, empty on success."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() or "refused" if done.returncode else ""
