"""Open files that one process at a time has locked."""

import os
import sys
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


def open_locked(path: Path, *, mode: int = 0o666) -> BinaryIO:
    """Open or create a file, which is locked until it is closed.

    Raises BlockingIOError if another process has locked it, OSError.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
        file: BinaryIO = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A process that ended meanwhile may have deleted the file that was opened.
            if _is_at(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
