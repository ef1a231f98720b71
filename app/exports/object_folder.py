"""Define what exports need of a destination: a folder of a bucket, or one that is mounted.

What may be over later is raised as DestinationUnavailable; what is refused, as TaskFailed.
"""

import errno
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from app.exports.model import ExportErrorKind
from app.exports.plan.model import TaskFailed
from app.outages import Outages

log = structlog.get_logger(__name__)

# How obstore reports what a request has come to.
_STATUS: Final = re.compile(r"status code: (\d{3})")
_ERRNO: Final = re.compile(r"os error (\d+)")
# Of what a store has answered, which can be a page of HTML.
_LOGGED_CHARACTERS: Final = 2_000
# Of 4xx, those that another try may not get.
_PASSING: Final = frozenset({408, 409, 425, 429})
_REFUSING: Final = frozenset(
    {
        errno.EACCES,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
OUTAGES: Final = Outages("destination")


class DestinationUnavailable(ConnectionError):
    """A destination does not answer, is not mounted or is full: the task is tried again.

    The message is for the export's readers: it has no text of a store.
    """


class ForeignObject(TaskFailed):
    """There is something else than an object: a link, a pipe, a device or a folder."""

    def __init__(self, url: str, reason: str) -> None:
        """Say what there is."""
        super().__init__(ExportErrorKind.DESTINATION_REFUSED, f"{url} cannot be used: {reason}")


class ObjectFolder(ABC):
    """Objects by their paths below a destination.

    What lies there is input: others can have written it, and change it at any moment.
    """

    def __init__(self, url: str) -> None:
        """Take the destination, whose URL is shown in messages."""
        self.url = url

    @abstractmethod
    async def size(self, path: str) -> int | None:
        """Return the bytes of an object; None if there is none."""

    @abstractmethod
    async def sizes(self, folder: str, *, most: int) -> dict[str, int] | None:
        """Return the bytes of objects by their names, without those of folders in the folder.

        None: it has more than `most`.
        """

    @abstractmethod
    def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """Yield an object about a MiB at a time. Raises FileNotFoundError, ForeignObject."""

    @abstractmethod
    async def put(self, path: str, content: bytes, *, staged: str) -> None:
        """Write a small object at once: readers never see a part of it.

        In a folder it is `staged` under another path until it is whole.
        """

    @abstractmethod
    async def write(self, path: str, chunks: AsyncIterator[bytes], *, staged: str) -> None:
        """Write a large object in the same way. Also raises what `chunks` raises."""

    @abstractmethod
    async def delete(self, path: str) -> None:
        """Delete an object; a missing one is ignored."""


@contextmanager
def translating(url: str) -> Iterator[None]:
    """Raise what an object store raises as DestinationUnavailable or TaskFailed.

    That there is no object passes.
    """
    try:
        yield
    except (FileNotFoundError, DestinationUnavailable):
        raise
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise refused(url, "access is denied", error) from error
    except (BaseError, ValueError, OSError) as error:
        if _is_refused(error):
            raise refused(url, _reason_of(error), error) from error
        OUTAGES.failed(url, _text_of(error))
        message = f"{url} cannot be used: {_reason_of(error) or 'it does not answer'}"
        raise DestinationUnavailable(message) from error


def _is_refused(error: Exception) -> bool:
    """Return whether the destination refuses a request for good; else it may be over later."""
    status = _STATUS.search(str(error))
    if status is not None:
        return status[1].startswith("4") and int(status[1]) not in _PASSING
    return _errno_of(error) in _REFUSING


def _reason_of(error: Exception) -> str:
    """Return what an error says by its numbers; empty if it has none."""
    status = _STATUS.search(str(error))
    if status is not None:
        return f"it answers with the status {status[1]}"
    number = _errno_of(error)
    return "" if number is None else os.strerror(number).lower()


def _errno_of(error: Exception) -> int | None:
    found = _ERRNO.search(str(error))
    number: int | None = getattr(error, "errno", None)
    return number or (None if found is None else int(found[1]))


def refused(url: str, reason: str, error: Exception) -> TaskFailed:
    """Log what a store refuses, and return the failure without its text.

    That names the operator's account.
    """
    log.warning("export.destination_refused", destination=url, reason=_text_of(error))
    return TaskFailed(
        ExportErrorKind.DESTINATION_REFUSED, f"{url} cannot be written or read: {reason}"
    )


def deleted_meanwhile(url: str) -> DestinationUnavailable:
    """Return the failure of writing what others delete before it is whole."""
    return DestinationUnavailable(f"{url} cannot be used: others delete what is written there")


def replaced_meanwhile(path: str) -> TaskFailed:
    """Return the failure of an export that continues one whose files have been replaced."""
    return TaskFailed(
        ExportErrorKind.INPUT_DELETED,
        f"{path} of the export that this one continues is no longer there as it was written; "
        "omit `since` to export everything",
    )


def _text_of(error: Exception) -> str:
    """Return what a store has answered, without what obstore adds for debugging."""
    text = " ".join(str(error).strip().partition("\n\n")[0].split())
    return text[:_LOGGED_CHARACTERS] or type(error).__name__
