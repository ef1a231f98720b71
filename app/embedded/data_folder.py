"""Own a data folder: its layout's version, and the lock of the one launcher on it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.embedded.errors import CannotStart

LAYOUT_VERSION: Final = "1"


class Owner(Struct, frozen=True):
    """Who holds a data folder: the launcher's process id, and where its API is."""

    pid: int
    url: str


class AlreadyRunning(CannotStart):
    """Another launcher holds the folder."""


@contextmanager
def own_data_folder(data: Path, *, url: str) -> Iterator[None]:
    """Hold the data folder, made when it is missing, for the length of the block.

    Raises CannotStart when it cannot be written or is of another version, AlreadyRunning
    when somebody holds it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(data)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        message = (
            f"the data folder {data} cannot be used: {error.strerror}; choose another CRIVO_DATA"
        )
        raise CannotStart(message) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read_owner(data)
            where = f" at {owner.url} (process {owner.pid})" if owner else ""
            message = (
                f"already running on {data}{where}; use that one, stop it, or choose another "
                "CRIVO_DATA and CRIVO_PORT"
            )
            raise AlreadyRunning(message) from None
        _check_version(data / "VERSION")
        os.ftruncate(lock, 0)
        os.pwrite(lock, msgspec.json.encode(Owner(os.getpid(), url)), 0)
        yield
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def find_owner(data: Path) -> Owner | None:
    """Say who holds the folder, None when nobody does."""
    try:
        lock = os.open(data / "lock", os.O_RDWR)
    except OSError:
        return None
    try:
        # Shared: to ask must not look like holding, to a start at the same moment.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_owner(data)
    finally:
        os.close(lock)
    return None


def _read_owner(data: Path) -> Owner | None:
    try:
        return msgspec.json.decode((data / "lock").read_bytes(), type=Owner)
    except (OSError, msgspec.DecodeError):
        # It took the lock a moment ago, and has not written yet.
        return None


def _check_owner(data: Path) -> None:
    # Root could use it, and would leave files behind that shut the folder's owner out.
    owner = data.stat().st_uid
    if owner != os.geteuid():
        message = (
            f"the data folder {data} belongs to user {owner}; start as that user, "
            "or choose another CRIVO_DATA"
        )
        raise CannotStart(message)


def _check_version(file: Path) -> None:
    try:
        found = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        file.write_text(f"{LAYOUT_VERSION}\n", encoding="utf-8")
        return
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}"
        raise CannotStart(message) from None
    if found != LAYOUT_VERSION:
        message = (
            f"the data folder {file.parent} has layout version {found!r}, and this Crivo needs "
            f"{LAYOUT_VERSION!r}; choose another CRIVO_DATA"
        )
        raise CannotStart(message)
