"""Hold a task to its room on the disk: the kernel each file, DuckDB its own, and this the sum.

Libraries write as they like, so what counts is what lies in the folders.
"""

import os
import resource
from collections.abc import Iterator, Sequence
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from shutil import disk_usage
from typing import Final

import duckdb

from app.exports.plan.model import Room, TaskFailed

# Texts of others may quote a value.
_OF_THE_DISK: Final = (OSError, duckdb.OperationalError, duckdb.FatalException)
# As DuckDB quotes the system, and names its setting.
_FULL: Final = (os.strerror(ENOSPC), os.strerror(EDQUOT))
_BLOCK_BYTES: Final = 512
"""Of `st_blocks`, whatever the file system."""
_OVER: Final = (os.strerror(EFBIG), "max_temp_directory_size")


def limit_files(room: Room) -> None:
    """Let the kernel refuse a file of this process that alone takes more than the room."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room.max_bytes, room.max_bytes))


def lack_of(error: Exception, room: Room | None) -> TaskFailed | None:
    """Return what an error says about the room, None if it is another one."""
    if not isinstance(error, _OF_THE_DISK):
        return None
    message = str(error)
    if any(sign in message for sign in _OVER):
        return _lack(room)
    return _full() if any(sign in message for sign in _FULL) else None


def overrun(room: Room, folders: Sequence[Path]) -> TaskFailed | None:
    """Return why a task may not go on that has written so much, None if it may."""
    if sum(size for folder in folders for size in _sizes(folder)) > room.max_bytes:
        return _lack(room)
    return _full() if disk_usage(folders[0]).free < room.reserve_bytes else None


def _lack(room: Room | None) -> TaskFailed:
    if room is None or room.is_scarce:
        return _full()
    message = f"the task needs more than {room.max_bytes} bytes of disk"
    return TaskFailed("over_disk_limit", message, {"max_bytes": room.max_bytes})


def _full() -> TaskFailed:
    return TaskFailed("out_of_space", "no space is left for the files of the task")


def _sizes(folder: Path) -> Iterator[int]:
    """Yield what each file takes; files come and go meanwhile."""
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                # Not their length: files of DuckDB can have holes.
                yield Path(parent, name).stat().st_blocks * _BLOCK_BYTES
            except FileNotFoundError:
                continue
