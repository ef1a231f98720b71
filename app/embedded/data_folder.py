"""Lock a data folder for one launcher, and check its layout's version."""

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
    """The owner of a data folder: the launcher's process id, and its API's URL."""

    pid: int
    url: str


class AlreadyRunning(CannotStart):
    """Another launcher owns the folder."""


@contextmanager
def own_data_folder(data: Path, *, url: str) -> Iterator[None]:
    """Own the data folder within the block; create the folder if it is missing.

    Raises CannotStart if it cannot be written or has another version, AlreadyRunning if another
    launcher owns it.
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
            place = f" at {owner.url} (process {owner.pid})" if owner else ""
            message = (
                f"already running on {data}{place}; use that one, stop it, or choose another "
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
    """Return the owner of the folder, None if there is none."""
    try:
        lock = os.open(data / "lock", os.O_RDWR)
    except OSError:
        return None
    try:
        # Shared, so that a concurrent start does not take this query for an owner.
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
        # The owner has just taken the lock, and has not written yet.
        return None


def _check_owner(data: Path) -> None:
    # Root could use it, but would leave files that its owner cannot open.
    owner = data.stat().st_uid
    if owner != os.geteuid():
        message = (
            f"the data folder {data} belongs to user {owner}; start as that user, "
            "or choose another CRIVO_DATA"
        )
        raise CannotStart(message)


def _check_version(file: Path) -> None:
    try:
        version = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        file.write_text(f"{LAYOUT_VERSION}\n", encoding="utf-8")
        return
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}"
        raise CannotStart(message) from None
    if version != LAYOUT_VERSION:
        message = (
            f"the data folder {file.parent} has layout version {version!r}, and this Crivo needs "
            f"{LAYOUT_VERSION!r}; choose another CRIVO_DATA"
        )
        raise CannotStart(message)
