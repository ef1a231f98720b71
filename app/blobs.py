"""Store blobs by key, in a local folder or a cloud object store.

Every failure of the store is raised as BlobsUnavailable. An OSError or an obstore error that
reaches a caller has another cause.
"""

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final, Self
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import obstore
from msgspec import Struct
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from app.blob_folder import delete_staged, require_headroom, require_writable
from app.errors import CrivoError
from app.limits import MIB
from app.outages import BlobsFull, BlobsUnavailable, Outage
from app.settings import Settings
from app.stored_objects import read_object

# What obstore raises if the store is unreachable, refuses a request or is full.
_CAUSES: Final = (BaseError, OSError)
# How obstore reports a full disk, an exhausted quota and a full cloud store.
_STORE_FULL: Final = re.compile(
    rf"os error ({errno.ENOSPC}|{errno.EDQUOT})\b|StorageFull|InsufficientStorage|\b507\b"
)
# After this time a client should retry instead of waiting. obstore's default is three minutes.
_RETRIES: Final = 5
_RETRY_TIMEOUT: Final = timedelta(seconds=15)
# How long a check stays valid while the store works, and while it fails.
_CHECK_SECONDS: Final = 5.0
_RECHECK_SECONDS: Final = 1.0
_CHECK_TIMEOUT_SECONDS: Final = 2.0
_CHECK_BYTES: Final = 1 * MIB

# S3's minimum for a part; a folder has none. One part is sent while the next one fills: an upload
# buffers these two, where obstore's default is twelve.
_PART_BYTES: Final = 5 * MIB
_FOLDER_PART_BYTES: Final = 1 * MIB
_CONCURRENT_PARTS: Final = 1


class BlobLost(CrivoError):
    """The store does not have what the database references, and will not have it later."""


class BlobMissing(BlobLost):
    """The store has no blob under a key that the database references."""


class UnusableBlobStore(CrivoError):
    """`BLOB_URL` does not name a usable store."""


class ListedBlob(Struct, frozen=True, kw_only=True):
    """A blob in a listing."""

    key: str
    modified_at: datetime


class Blobs:
    """The store that `BLOB_URL` names. Every method raises BlobsUnavailable if it fails."""

    def __init__(self, store: ObjectStore, *, folder: Path | None = None) -> None:
        """Use an open store; `folder` is the path of a local one."""
        self._store = store
        self.folder = folder
        self._device = None if folder is None else folder.stat().st_dev
        self._outage = Outage("blob store")
        self._full = False
        self._checked_at = float("-inf")
        self._trouble = ""
        self._checking = asyncio.Lock()

    def writer(self, key: str) -> "BlobWriter":
        """Write a blob in chunks; it exists once the context has ended without an error."""
        return BlobWriter(self, key)

    async def read(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield a blob from `start` up to `end`, about a MiB at a time. Raises BlobMissing."""
        async with aclosing(read_object(self._store, key, start=start, end=end)) as chunks:
            while True:
                with self._translating():
                    try:
                        chunk = await anext(chunks, None)
                    except FileNotFoundError:
                        # If the whole folder is gone, the store is unavailable and the blob may
                        # exist.
                        await self._require_folder()
                        raise BlobMissing(key) from None
                if chunk is None:
                    return
                yield chunk

    async def find_file(self, key: str) -> Path | None:
        """Return where a local store has a blob, to be read only; None: the store is not local.

        Raises BlobMissing.
        """
        if self.folder is None:
            return None
        path = self.folder / key
        with self._translating():
            if not await asyncio.to_thread(path.is_file):
                await self._require_folder()
                raise BlobMissing(key)
        return path

    async def delete(self, *keys: str) -> None:
        """Delete blobs; a missing one is ignored."""
        for key in keys:
            with self._translating(), suppress(FileNotFoundError):
                await obstore.delete_async(self._store, key)

    async def create(self, key: str, content: bytes) -> bytes:
        """Write a small blob unless the key exists; return the stored content."""
        with self._translating():
            await self._require_folder()
            try:
                await obstore.put_async(self._store, key, content, mode="create")
            except AlreadyExistsError:
                blob = await obstore.get_async(self._store, key)
                return bytes(await blob.bytes_async())
        return content

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Write a blob from a stream of chunks; an aborted upload leaves nothing behind.

        Also raises what `chunks` raises.
        """
        with self._translating():
            await self._require_folder()
            await obstore.put_async(
                self._store,
                key,
                chunks,
                chunk_size=_PART_BYTES if self.folder is None else _FOLDER_PART_BYTES,
                max_concurrency=_CONCURRENT_PARTS,
            )
        # A small blob can fit on a disk that is full for large ones.
        if not self._full:
            self._outage.worked()

    async def pages(self, *, size: int) -> AsyncIterator[list[ListedBlob]]:
        """List all blobs in no particular order, in pages of `size`."""
        pages = aiter(obstore.list(self._store, chunk_size=size))
        while True:
            with self._translating():
                page = await anext(pages, None)
            if page is None:
                return
            yield [ListedBlob(key=each["path"], modified_at=each["last_modified"]) for each in page]

    async def delete_unfinished(self, *, before: datetime) -> int:
        """Delete local uploads that a killed process left incomplete; return their number.

        In a cloud store they are parts of a multipart upload, which the bucket's lifecycle rules
        delete.
        """
        if self.folder is None:
            return 0
        with self._translating():
            return await asyncio.to_thread(delete_staged, self.folder, before)

    async def trouble(self) -> str:
        """Return the reason why no blob can be written; empty if the store works.

        Checks the store once every few seconds at most: a folder, or a store that has failed, by
        writing and deleting a blob; a working cloud store by a HEAD request.
        """
        async with self._checking:
            failing = bool(self._trouble or self._outage.reason)
            age_seconds = monotonic() - self._checked_at
            if age_seconds >= (_RECHECK_SECONDS if failing else _CHECK_SECONDS):
                self._trouble = await self._check()
                self._checked_at = monotonic()
        return self._trouble

    async def _check(self) -> str:
        try:
            with self._translating():
                async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                    await self._try_to_write()
        except BlobsUnavailable as error:
            return error.detail
        self._full = False
        self._outage.worked()
        return ""

    async def _try_to_write(self) -> None:
        await self._require_folder()
        if self._full and self.folder is not None:
            await asyncio.to_thread(require_headroom, self.folder)
        # Named like an input of no tenant, so retention deletes what a cancelled check leaves.
        key = f"{UUID(int=0)}/inputs/{uuid4()}"
        if self.folder is None and not self._outage.reason:
            with suppress(FileNotFoundError):
                await obstore.head_async(self._store, key)
            return
        size = _CHECK_BYTES if self._outage.reason else 1
        await obstore.put_async(self._store, key, bytes(size))
        await obstore.delete_async(self._store, key)

    async def _require_folder(self) -> None:
        """Refuse a folder whose mount is gone: its path would be on another disk.

        Runs in a thread because a network file system can hang. Raises OSError.
        """
        if self.folder is None:
            return
        status = await asyncio.to_thread(self.folder.stat)
        if status.st_dev != self._device:
            raise OSError(errno.ENODEV, "the folder is on another device than before")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except _CAUSES as error:
            # The other lines of obstore are debug output.
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self._outage.failed(reason)
            if _STORE_FULL.search(str(error)) or getattr(error, "errno", None) == errno.ENOSPC:
                self._full = True
                raise BlobsFull(reason=reason) from error
            raise BlobsUnavailable(reason=reason) from error


class _Aborted(Exception):
    """Aborts an upload; never leaves this module."""


class BlobWriter:
    """An upload in progress. An aborted one leaves nothing in the store."""

    def __init__(self, blobs: Blobs, key: str) -> None:
        """Upload to `key`."""
        self._blobs = blobs
        self._key = key
        # One chunk in flight: a slow store slows its producer down instead of filling memory.
        self._chunks: asyncio.Queue[bytes | _Aborted | None] = asyncio.Queue(maxsize=1)
        self._upload: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the upload."""
        self._upload = asyncio.create_task(self._blobs.put(self._key, self._drain()))
        return self

    async def write(self, chunk: bytes) -> None:
        """Send one chunk. Raises what the store raised if it has failed."""
        await self._offer(chunk)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Complete the upload, or abort it if the block raised."""
        if self._upload is None:
            return
        if error is None:
            await self._offer(None)
            # Shielded: a cancelled task must still end the upload, or parts stay in the store.
            await asyncio.shield(self._upload)
            return
        # The block's own error wins over one of the store.
        with suppress(_Aborted, BlobsUnavailable):
            await self._offer(_Aborted())
            await asyncio.shield(self._upload)

    async def settled(self) -> bool:
        """Wait until the upload has ended, as after a cancellation; return whether it succeeded."""
        if self._upload is not None:
            await asyncio.wait({self._upload})
        return self._upload is not None and self._upload.exception() is None

    async def _offer(self, item: bytes | _Aborted | None) -> None:
        if self._upload is None:
            raise RuntimeError("the writer is not open")
        offer = asyncio.ensure_future(self._chunks.put(item))
        await asyncio.wait({offer, self._upload}, return_when=asyncio.FIRST_COMPLETED)
        if not offer.done():
            # The upload ended before it took everything: it has failed.
            offer.cancel()
            self._upload.result()

    async def _drain(self) -> AsyncIterator[bytes]:
        while (item := await self._chunks.get()) is not None:
            if isinstance(item, _Aborted):
                raise item
            yield item


def open_blobs(settings: Settings) -> Blobs:
    """Open the store at `settings.blob_url`; a missing local folder is created.

    Raises UnusableBlobStore for a folder that cannot be written. A full disk is no such error:
    the store opens and works again once there is space.
    """
    url = urlsplit(settings.blob_url)
    if url.scheme != "file":
        return Blobs(_cloud_store(settings.blob_url))
    folder = Path(unquote(url.path))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        require_writable(folder)
    except OSError as error:
        if not (folder.is_dir() and error.errno in (errno.ENOSPC, errno.EDQUOT)):
            raise UnusableBlobStore(
                f"the folder {folder} of BLOB_URL cannot be written: {error.strerror}"
            ) from None
    return Blobs(from_url(settings.blob_url), folder=folder)


def _cloud_store(url: str) -> ObjectStore:
    retries: obstore.store.RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT}
    try:
        return from_url(url) if url.startswith("memory:") else from_url(url, retry_config=retries)
    except (BaseError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnusableBlobStore(f"BLOB_URL cannot be used: {reason}") from None
