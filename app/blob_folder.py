"""Check the folder of a local blob store, and delete what killed uploads leave in it."""

import errno
import os
import re
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from app.limits import MAX_PAYLOAD_BYTES

_HEADROOM_SHARE: Final = 20
# obstore's name for a local upload in progress; listings omit it.
_STAGED: Final = re.compile(r".+#[0-9]+")


def require_headroom(folder: Path) -> None:
    """Treat a disk that was full as full until the largest payload fits. Raises OSError."""
    disk = os.statvfs(folder)
    needed_bytes = min(MAX_PAYLOAD_BYTES, disk.f_blocks * disk.f_frsize // _HEADROOM_SHARE)
    if disk.f_bavail * disk.f_frsize < needed_bytes:
        raise OSError(errno.ENOSPC, f"less than {needed_bytes} bytes are free")


def require_writable(folder: Path) -> None:
    """Write a file, and delete it. Raises OSError."""
    # Named like an upload in progress, so retention deletes what a killed process leaves.
    path = folder / f"check-{secrets.token_hex(8)}#1"
    try:
        path.write_bytes(b"1")
    finally:
        path.unlink(missing_ok=True)


def delete_staged(folder: Path, before: datetime) -> int:
    """Delete uploads that were begun before a time and not ended; return their number."""
    deleted = 0
    for path in folder.rglob("*#*"):
        with suppress(FileNotFoundError):
            if _STAGED.fullmatch(path.name) and path.stat().st_mtime < before.timestamp():
                path.unlink()
                deleted += 1
    return deleted
