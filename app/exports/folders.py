"""Keep the temporary folders of a worker, and remove those that killed workers have left.

A worker holds a lock on a file beside its folder for as long as it lives: the kernel gives it up
with the process. A folder whose file can be locked is nobody's.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Final
from uuid import UUID

import structlog

from app.settings import Settings

log = structlog.get_logger(__name__)

_LOCK: Final = ".lock"


@asynccontextmanager
async def open_worker_folder(settings: Settings, worker_id: UUID) -> AsyncIterator[Path]:
    """Have a folder of this worker's own for the length of the block. Raises OSError."""
    folder = _folder_of(settings) / str(worker_id)
    lock = await asyncio.to_thread(_open, folder)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(_close, folder, lock))


@asynccontextmanager
async def open_attempt_folder(worker_folder: Path) -> AsyncIterator[Path]:
    """Have an empty folder for the length of the block. Raises OSError."""
    folder = await asyncio.to_thread(_make, worker_folder)
    try:
        yield folder
    finally:
        # Shielded: a cancelled attempt leaves nothing either.
        await asyncio.shield(asyncio.to_thread(_remove, folder))


def _folder_of(settings: Settings) -> Path:
    # Absolute: DuckDB's process has another working directory.
    return Path(settings.export_folder or Path(settings.data) / "exports").absolute()


def _open(folder: Path) -> int:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    lock = _lock(folder.with_suffix(_LOCK))
    folder.mkdir(mode=0o700)
    return lock


def _close(folder: Path, lock: int) -> None:
    _remove(folder)
    folder.with_suffix(_LOCK).unlink(missing_ok=True)
    os.close(lock)


def _make(worker_folder: Path) -> Path:
    # A folder that was removed behind its worker's back is made anew.
    worker_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(mkdtemp(dir=worker_folder))


def _lock(path: Path) -> int:
    """Create and lock a file. Raises OSError."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(lock).st_ino:
                return lock
        # A worker that starts at the same time has taken it for one that was left.
        os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"*{_LOCK}"):
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                _remove(path.with_suffix(""))
                path.unlink(missing_ok=True)
                log.info("exports.abandoned_folder_removed", folder=str(path.with_suffix("")))
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
