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
LONGEST_NAME: Final = ".s.PGSQL.5432"
# What a URL carries unchanged, as not every reader of REDIS_URL undoes percent-encoding.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._~-]+")
_PRIVATE: Final = 0o700


def socket_folder(data: Path, owner: int) -> Path:
    """Make and return the socket folder of a data folder, the same at every start.

    `owner` is the user id of the server. Raises CannotStart when nothing fits, or when
    somebody else made the folder.
    """
    ours = owner == os.geteuid()
    name = f"crivo-{owner}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
    # Another user than ours reaches neither our runtime folder nor a folder named for us.
    base = _runtime_base() if ours else None
    candidates = [data / ("run" if ours else f"run-{owner}"), Path("/tmp") / name]  # noqa: S108 - checked to be ours
    if base:
        candidates.insert(1, base / name)
    for folder in candidates:
        if _fits(folder):
            return _made_private(folder, owner)
    message = f"no folder is short enough for a socket: {candidates[-1]}"
    raise CannotStart(message)


def remove_socket_folder(folder: Path) -> None:
    """Remove the folder once the last server has taken its socket away."""
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
    path = str(folder / LONGEST_NAME)
    return len(os.fsencode(path)) <= MAX_SOCKET_BYTES and _PLAIN.fullmatch(path) is not None


def _made_private(folder: Path, owner: int) -> Path:
    with suppress(FileExistsError):
        folder.mkdir(mode=_PRIVATE)
    found = folder.lstat()
    # A folder below /tmp can be made by anyone beforehand, a link to elsewhere, too.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        message = f"{folder} belongs to somebody else; remove it, or choose another CRIVO_DATA"
        raise CannotStart(message)
    if found.st_uid != owner:
        os.chown(folder, owner, -1)
    folder.chmod(_PRIVATE)
    return folder
