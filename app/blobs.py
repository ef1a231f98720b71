"""Bytes by key, in a local folder or a cloud's store.

Whatever makes the store unavailable is raised here as BlobsUnavailable: an OSError or an error of
obstore's that reaches a caller is never the store's.
"""

import asyncio
import errno
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
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

from app.errors import CrivoError
from app.limits import MAX_PAYLOAD_BYTES, MIB
from app.outages import BlobsFull, BlobsUnavailable, Outage
from app.settings import Settings

# What obstore raises when the store is away, refuses or is full.
_CAUSES: Final = (BaseError, OSError)
# How obstore tells a full disk, a used-up quota, and a cloud's store without room.
_NO_ROOM: Final = re.compile(
    rf"os error ({errno.ENOSPC}|{errno.EDQUOT})\b|StorageFull|InsufficientStorage|\b507\b"
)
# A request that waits for longer than this is better told to come again. obstore's own default
# is three minutes.
_RETRIES: Final = 5
_RETRY_TIMEOUT: Final = timedelta(seconds=15)
# How often a check of the store asks it, while it works and while it does not; what a check
# writes then is as large as the least blob.
_CHECK_SECONDS: Final = 5.0
_RECHECK_SECONDS: Final = 1.0
_CHECK_TIMEOUT_SECONDS: Final = 2.0
_CHECK_BYTES: Final = 1 * MIB
_HEADROOM_SHARE: Final = 20

_READ_CHUNK_BYTES: Final = 1 * MIB
# The least that S3 takes for a part; a folder takes any. One part on its way while the next one
# fills: an upload holds no more than these two, where obstore would hold twelve.
_PART_BYTES: Final = 5 * MIB
_PART_BYTES_OF_FOLDER: Final = 1 * MIB
_PARTS_ON_THEIR_WAY: Final = 1
# The name of a local upload in progress, which no list of blobs shows.
_STAGED: Final = re.compile(r".+#[0-9]+")


class BlobMissing(CrivoError):
    """The store has nothing under a key that the database names."""


class CannotKeepBlobs(CrivoError):
    """`BLOB_URL` names no store that can be used."""


class Listed(Struct, frozen=True, kw_only=True):
    """A blob as a list shows it."""

    key: str
    modified_at: datetime


class Blobs:
    """The store that `BLOB_URL` names. Everything here raises BlobsUnavailable."""

    def __init__(self, store: ObjectStore, *, folder: Path | None = None) -> None:
        """Take an open store, and its folder where it is a local one."""
        self._store = store
        self._folder = folder
        self._device = None if folder is None else folder.stat().st_dev
        self._outage = Outage("blob store")
        self._full = False
        self._checked_at = float("-inf")
        self._trouble = ""
        self._checking = asyncio.Lock()

    def writer(self, key: str) -> "BlobWriter":
        """Write a blob chunk by chunk; it exists once the context ends without an error."""
        return BlobWriter(self, key)

    async def read(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Read a blob from `start` up to `end`, a MiB or so at a time. Raises BlobMissing."""
        with self._translating():
            try:
                options: obstore.GetOptions = {} if end is None else {"range": (start, end)}
                found = await obstore.get_async(self._store, key, options=options)
            except FileNotFoundError:
                # Without its folder nothing is known of a blob.
                await self._require_folder()
                raise BlobMissing(key) from None
        chunks = aiter(found.stream(min_chunk_size=_READ_CHUNK_BYTES))
        while True:
            with self._translating():
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield bytes(chunk)

    async def delete(self, *keys: str) -> None:
        """Remove blobs; one that is not there is no error."""
        for key in keys:
            with self._translating(), suppress(FileNotFoundError):
                await obstore.delete_async(self._store, key)

    async def create(self, key: str, content: bytes) -> bytes:
        """Write a small blob unless it is there; give what is there now."""
        with self._translating():
            await self._require_folder()
            try:
                await obstore.put_async(self._store, key, content, mode="create")
            except AlreadyExistsError:
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
        return content

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Write a blob of chunks as they come; what is given up leaves nothing behind.

        Raises what `chunks` raises, too.
        """
        with self._translating():
            await self._require_folder()
            await obstore.put_async(
                self._store,
                key,
                chunks,
                chunk_size=_PART_BYTES if self._folder is None else _PART_BYTES_OF_FOLDER,
                max_concurrency=_PARTS_ON_THEIR_WAY,
            )
        # On a full disk a small blob may fit between large ones that do not.
        if not self._full:
            self._outage.worked()

    async def pages(self, *, size: int) -> AsyncIterator[list[Listed]]:
        """List everything there is, in no order, so many blobs at a time."""
        pages = aiter(obstore.list(self._store, chunk_size=size))
        while True:
            with self._translating():
                page = await anext(pages, None)
            if page is None:
                return
            yield [Listed(key=each["path"], modified_at=each["last_modified"]) for each in page]

    async def delete_unfinished(self, *, before: datetime) -> int:
        """Remove local uploads that a killed process left half-way; give how many.

        In a cloud's store they are parts of an upload that was never completed: its own rules
        of lifecycle remove them.
        """
        if self._folder is None:
            return 0
        with self._translating():
            return await asyncio.to_thread(_delete_staged, self._folder, before)

    async def trouble(self) -> str:
        """Say why no blob can be written now; empty: the store works.

        Asks the store every few seconds at most: a folder, and what has failed lately, by
        writing a blob and removing it; a cloud's store that works by a question only.
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
        if self._full and self._folder is not None:
            await asyncio.to_thread(_require_headroom, self._folder)
        # Named as an input of nobody's: what a check leaves behind, being cancelled, is swept.
        key = f"{UUID(int=0)}/inputs/{uuid4()}"
        if self._folder is None and not self._outage.reason:
            with suppress(FileNotFoundError):
                await obstore.head_async(self._store, key)
            return
        size = _CHECK_BYTES if self._outage.reason else 1
        await obstore.put_async(self._store, key, bytes(size))
        await obstore.delete_async(self._store, key)

    async def _require_folder(self) -> None:
        """Refuse to use a folder that is gone: below a mount point it would be another disk's.

        In a thread, as a network's file system may hang. Raises OSError.
        """
        if self._folder is None:
            return
        found = await asyncio.to_thread(self._folder.stat)
        if found.st_dev != self._device:
            raise OSError(errno.ENODEV, "the folder is on another device than before")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except _CAUSES as error:
            # obstore adds lines for developers.
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self._outage.failed(reason)
            if _NO_ROOM.search(str(error)) or getattr(error, "errno", None) == errno.ENOSPC:
                self._full = True
                raise BlobsFull(reason=reason) from error
            raise BlobsUnavailable(reason=reason) from error


class _Aborted(Exception):
    """Ends an upload; never leaves this module."""


class BlobWriter:
    """One upload in progress. What is given up leaves nothing behind in the store."""

    def __init__(self, blobs: Blobs, key: str) -> None:
        """Take where the bytes go."""
        self._blobs = blobs
        self._key = key
        # One chunk in flight: a slow store slows its producer instead of filling memory.
        self._chunks: asyncio.Queue[bytes | _Aborted | None] = asyncio.Queue(maxsize=1)
        self._upload: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin the upload."""
        self._upload = asyncio.create_task(self._blobs.put(self._key, self._drain()))
        return self

    async def write(self, chunk: bytes) -> None:
        """Send one chunk. Raises what the store raised, when it has failed."""
        await self._offer(chunk)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Complete the upload, or give it up when the block raised."""
        if self._upload is None:
            return
        if error is None:
            await self._offer(None)
            # Shielded: who is cancelled here still completes the upload or gives it up, else
            # its parts would stay in the store.
            await asyncio.shield(self._upload)
            return
        # The block's own error counts, also where the store fails as well.
        with suppress(_Aborted, BlobsUnavailable):
            await self._offer(_Aborted())
            await asyncio.shield(self._upload)

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
    """Open the store at `settings.blob_url`; a local folder is made when it is missing.

    Raises CannotKeepBlobs for a folder that cannot be written, unless it is only full: then it
    opens, and heals when there is room again.
    """
    url = urlsplit(settings.blob_url)
    if url.scheme != "file":
        return Blobs(_cloud_store(settings.blob_url))
    folder = Path(unquote(url.path))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _require_writable(folder)
    except OSError as error:
        if not (folder.is_dir() and error.errno in (errno.ENOSPC, errno.EDQUOT)):
            raise CannotKeepBlobs(
                f"the folder {folder} of BLOB_URL cannot be written: {error.strerror}"
            ) from None
    return Blobs(from_url(settings.blob_url), folder=folder)


def _cloud_store(url: str) -> ObjectStore:
    retries: obstore.store.RetryConfig = {
        "max_retries": _RETRIES,
        "retry_timeout": _RETRY_TIMEOUT,
    }
    try:
        return from_url(url) if url.startswith("memory:") else from_url(url, retry_config=retries)
    except (BaseError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CannotKeepBlobs(f"BLOB_URL cannot be used: {reason}") from None


def _require_headroom(folder: Path) -> None:
    """Have a disk that was full count as full until the next large payload fits, too."""
    room = os.statvfs(folder)
    wanted = min(MAX_PAYLOAD_BYTES, room.f_blocks * room.f_frsize // _HEADROOM_SHARE)
    if room.f_bavail * room.f_frsize < wanted:
        raise OSError(errno.ENOSPC, f"less than {wanted} bytes are free")


def _require_writable(folder: Path) -> None:
    # The name of an upload in progress: what a killed process leaves is swept.
    path = folder / f"check-{secrets.token_hex(8)}#1"
    try:
        path.write_bytes(b"1")
    finally:
        path.unlink(missing_ok=True)


def _delete_staged(folder: Path, before: datetime) -> int:
    deleted = 0
    for path in folder.rglob("*#*"):
        with suppress(FileNotFoundError):
            if _STAGED.fullmatch(path.name) and path.stat().st_mtime < before.timestamp():
                path.unlink()
                deleted += 1
    return deleted
