"""Choose a private folder for the servers' sockets, whose paths must be short and plain."""

import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.embedded.errors import CannotStart

# sun_path of unix(7) is 108 bytes with its closing NUL.
MAX_SOCKET_BYTES: Final = 107
MAX_SOCKET_NAME: Final = ".s.PGSQL.5432"
# Characters that a URL needs not encode: not every reader of REDIS_URL decodes them.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._~-]+")
_PRIVATE: Final = 0o700


def socket_folder(data: Path, owner: int) -> Path:
    """Create and return the socket folder of a data folder, the same at every start.

    `owner` is the user id of the server. Raises CannotStart if every path is too long, or if
    the folder belongs to another user.
    """
    is_own = owner == os.geteuid()
    name = f"crivo-{owner}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
    # Another user cannot access this user's runtime folder.
    base = _runtime_base() if is_own else None
    candidates = [data / ("run" if is_own else f"run-{owner}"), Path("/tmp") / name]  # noqa: S108 - checked to be ours
    if base:
        candidates.insert(1, base / name)
    for folder in candidates:
        if _fits(folder):
            return _make_private(folder, owner)
    message = f"no folder is short enough for a socket: {candidates[-1]}"
    raise CannotStart(message)


def remove_socket_folder(folder: Path) -> None:
    """Remove the folder if no server has a socket in it any more."""
    with suppress(OSError):
        folder.rmdir()


def _runtime_base() -> Path | None:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base.startswith("/"):
        return None
    try:
        return Path(base) if Path(base).stat().st_uid == os.geteuid() else None
    except OSError:
        return None


def _fits(folder: Path) -> bool:
    path = str(folder / MAX_SOCKET_NAME)
    return len(os.fsencode(path)) <= MAX_SOCKET_BYTES and _PLAIN.fullmatch(path) is not None


def _make_private(folder: Path, owner: int) -> Path:
    with suppress(FileExistsError):
        folder.mkdir(mode=_PRIVATE)
    status = folder.lstat()
    # Any user can create this path in /tmp beforehand, also as a link.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {owner, os.geteuid()}:
        message = f"{folder} belongs to somebody else; remove it, or choose another CRIVO_DATA"
        raise CannotStart(message)
    if status.st_uid != owner:
        os.chown(folder, owner, -1)
    folder.chmod(_PRIVATE)
    return folder
