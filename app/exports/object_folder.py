"""Read and write the objects of a destination: a folder of a bucket, or one that is mounted.

What may be over later is raised as DestinationUnavailable; what is refused, as TaskFailed.
"""

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from app.exports.model import ExportErrorKind
from app.exports.plan.model import TaskFailed
from app.limits import MIB
from app.outages import Outage
from app.settings import Settings

_RETRIES: Final = 5
_RETRY_TIMEOUT: Final = timedelta(seconds=15)
_READ_CHUNK_BYTES: Final = 1 * MIB
# S3 takes 10,000 parts of an object at most.
_PART_BYTES: Final = 8 * MIB
_CONCURRENT_PARTS: Final = 2
_FILE: Final = "file://"

# How obstore reports what a request has come to.
_STATUS: Final = re.compile(r"status code: (\d{3})")
_ERRNO: Final = re.compile(r"os error (\d+)")
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
_OUTAGE: Final = Outage("destination of exports")


class DestinationUnavailable(ConnectionError):
    """A destination does not answer, is not mounted or is full: the task is tried again.

    The message is for the export's readers: it has no text of a store.
    """


class ObjectFolder:
    """Objects by their paths below a destination."""

    def __init__(self, url: str, store: ObjectStore, root: Path | None) -> None:
        """Use an open store; `root` is there as long as a local one is mounted."""
        self.url = url
        self._store = store
        self._root = root
        self._device = None if root is None else root.stat().st_dev

    async def size(self, path: str) -> int | None:
        """Return the bytes of an object; None if there is none."""
        with self._translating():
            try:
                return (await obstore.head_async(self._store, path))["size"]
            except FileNotFoundError:
                await self._require_root()
                return None

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield an object about a MiB at a time. Raises FileNotFoundError."""
        with self._translating():
            try:
                found = await obstore.get_async(self._store, path)
            except FileNotFoundError:
                await self._require_root()
                raise
        chunks = aiter(found.stream(min_chunk_size=_READ_CHUNK_BYTES))
        while True:
            with self._translating():
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield bytes(chunk)

    async def names(self, folder: str) -> list[str]:
        """List the objects of a folder, without those of folders in it."""
        with self._translating():
            found = await obstore.list_with_delimiter_async(self._store, folder)
        return [each["path"].rpartition("/")[2] for each in found["objects"]]

    async def put(self, path: str, content: bytes) -> None:
        """Write a small object at once."""
        with self._translating():
            await self._require_root()
            await self._refusing_missing(obstore.put_async(self._store, path, content))
        _OUTAGE.worked()

    async def write(self, path: str, chunks: AsyncIterator[bytes], *, staged: str) -> None:
        """Write a large object: until it is whole, readers do not see it.

        In a folder it is `staged` under another path until then. Also raises what `chunks` raises.
        """
        target = path if self._root is None else staged
        with self._translating():
            await self._require_root()
            await self._refusing_missing(
                obstore.put_async(
                    self._store,
                    target,
                    chunks,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_CONCURRENT_PARTS,
                )
            )
            if target != path:
                await obstore.rename_async(self._store, target, path)
        _OUTAGE.worked()

    async def delete(self, path: str) -> None:
        """Delete an object; a missing one is ignored."""
        with self._translating(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, path)

    async def delete_unlisted(self, *patterns: str) -> None:
        """Delete what killed writers of paths of these patterns have left in a local folder."""
        if self._root is not None:
            folder = Path(self.url.removeprefix(_FILE))
            with self._translating():
                await asyncio.to_thread(_delete_unlisted, folder, patterns)

    async def _refusing_missing(self, writing: Awaitable[object]) -> None:
        """Wait for a request that finds no bucket, if it finds nothing."""
        try:
            await writing
        except FileNotFoundError as error:
            raise _refused(self.url, "there is no such bucket or folder") from error

    async def _require_root(self) -> None:
        """Refuse a folder whose mount is gone: its path would be on another disk."""
        if self._root is None:
            return
        try:
            # In a thread, as a network file system can hang.
            status = await asyncio.to_thread(self._root.stat)
        except OSError as error:
            raise DestinationUnavailable(f"the folder {self._root} is gone") from error
        if status.st_dev != self._device:
            raise DestinationUnavailable(f"the folder {self._root} is on another device now")

    def _translating(self) -> AbstractContextManager[None]:
        return _translating(self.url)


async def open_folder(settings: Settings, url: str, *, root: str) -> ObjectFolder:
    """Open a destination; of a mounted one `root` must be there, and folders below are made.

    Raises DestinationUnavailable, TaskFailed.
    """
    with _translating(url):
        if url.startswith(_FILE):
            return await asyncio.to_thread(_open_local, url, Path(root.removeprefix(_FILE) or "/"))
        endpoint = settings.export_s3_endpoint
        store = from_url(
            url,
            config={"endpoint": endpoint} if endpoint else {},
            client_options={"allow_http": True} if endpoint.startswith("http:") else {},
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT},
        )
        return ObjectFolder(url, store, None)


def _open_local(url: str, root: Path) -> ObjectFolder:
    if not root.is_dir():
        raise DestinationUnavailable(f"there is no folder {root}")
    # Folders that become empty are removed: readers take their names for partitions.
    return ObjectFolder(url, from_url(url, mkdir=True, automatic_cleanup=True), root)


def _delete_unlisted(folder: Path, patterns: Sequence[str]) -> None:
    # Until a file is whole, obstore writes it as `<name>#<number>`, which it does not list.
    for path in (each for pattern in patterns for each in folder.glob(f"{pattern}#*")):
        if re.fullmatch(r".+#[0-9]+", path.name):
            path.unlink(missing_ok=True)


@contextmanager
def _translating(url: str) -> Iterator[None]:
    """Raise what an object store raises as DestinationUnavailable or TaskFailed.

    That there is no object passes.
    """
    try:
        yield
    except (FileNotFoundError, DestinationUnavailable):
        raise
    except (PermissionDeniedError, UnauthenticatedError) as error:
        _OUTAGE.failed(_line(error))
        raise _refused(url, "access is denied") from error
    except (BaseError, ValueError, OSError) as error:
        _OUTAGE.failed(_line(error))
        if _is_refused(error):
            raise _refused(url, _reason_of(error)) from error
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


def _refused(url: str, reason: str) -> TaskFailed:
    """Return the failure without the store's text, which names the operator's account."""
    return TaskFailed(
        ExportErrorKind.DESTINATION_REFUSED, f"{url} cannot be written or read: {reason}"
    )


def replaced_meanwhile(path: str) -> TaskFailed:
    """Return the failure of an export that continues one whose files have been replaced."""
    return TaskFailed(
        ExportErrorKind.INPUT_DELETED,
        f"{path} of the export that this one continues is no longer there; "
        "omit `since` to export everything",
    )


def _line(error: BaseException) -> str:
    # The other lines of obstore are debug output.
    return str(error).strip().partition("\n")[0] or type(error).__name__
