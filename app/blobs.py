"""Bytes by key, in a local folder or a cloud's store."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import obstore
from msgspec import Struct
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from app.errors import CrivoError
from app.settings import MIB, Settings

# What a caller sees when the store is away or refuses.
STORE_UNAVAILABLE: Final = (BaseError, OSError)

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


class Listed(Struct, frozen=True, kw_only=True):
    """A blob as a list shows it."""

    key: str
    modified_at: datetime


class Blobs:
    """The store that `BLOB_URL` names."""

    def __init__(self, store: ObjectStore, *, folder: Path | None = None) -> None:
        """Take an open store, and its folder where it is a local one."""
        self._store = store
        self._folder = folder

    def writer(self, key: str) -> "BlobWriter":
        """Write a blob chunk by chunk; it exists once the context ends without an error."""
        part_bytes = _PART_BYTES if self._folder is None else _PART_BYTES_OF_FOLDER
        return BlobWriter(self._store, key, part_bytes=part_bytes)

    async def read(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Read a blob from `start` up to `end`, a MiB or so at a time. Raises BlobMissing."""
        try:
            if end is None:
                found = await obstore.get_async(self._store, key)
            else:
                found = await obstore.get_async(self._store, key, options={"range": (start, end)})
        except FileNotFoundError:
            raise BlobMissing(key) from None
        async for chunk in found.stream(min_chunk_size=_READ_CHUNK_BYTES):
            yield bytes(chunk)

    async def delete(self, *keys: str) -> None:
        """Remove blobs; one that is not there is no error."""
        for key in keys:
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, key)

    async def create(self, key: str, content: bytes) -> bytes:
        """Write a small blob unless it is there; give what is there now."""
        try:
            await obstore.put_async(self._store, key, content, mode="create")
        except AlreadyExistsError:
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())
        return content

    async def pages(self, *, size: int) -> AsyncIterator[list[Listed]]:
        """List everything there is, in no order, so many blobs at a time."""
        async for page in obstore.list(self._store, chunk_size=size):
            yield [Listed(key=each["path"], modified_at=each["last_modified"]) for each in page]

    async def delete_unfinished(self, *, before: datetime) -> int:
        """Remove local uploads that a killed process left half-way; give how many.

        In a cloud's store they are parts of an upload that was never completed: its own rules
        of lifecycle remove them.
        """
        if self._folder is None:
            return 0
        return await asyncio.to_thread(_delete_staged, self._folder, before)


class _Aborted(Exception):
    """Ends an upload; never leaves this module."""


class BlobWriter:
    """One upload in progress. What is given up leaves nothing behind in the store."""

    def __init__(self, store: ObjectStore, key: str, *, part_bytes: int) -> None:
        """Take where the bytes go, and how many at a time."""
        self._store = store
        self._key = key
        self._part_bytes = part_bytes
        # One chunk in flight: a slow store slows its producer instead of filling memory.
        self._chunks: asyncio.Queue[bytes | _Aborted | None] = asyncio.Queue(maxsize=1)
        self._upload: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin the upload."""
        self._upload = asyncio.create_task(self._put())
        return self

    async def write(self, chunk: bytes) -> None:
        """Send one chunk. Raises what the store raised, when it has failed."""
        await self._offer(chunk)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Complete the upload, or give it up when the block raised."""
        if self._upload is None:
            return
        await self._offer(None if error is None else _Aborted())
        try:
            # Shielded: who is cancelled here still completes the upload or gives it up, else
            # its parts would stay in the store.
            await asyncio.shield(self._upload)
        except _Aborted:
            return

    async def _offer(self, item: bytes | _Aborted | None) -> None:
        if self._upload is None:
            raise RuntimeError("the writer is not open")
        offer = asyncio.ensure_future(self._chunks.put(item))
        await asyncio.wait({offer, self._upload}, return_when=asyncio.FIRST_COMPLETED)
        if not offer.done():
            # The upload ended before it took everything: it has failed.
            offer.cancel()
            self._upload.result()

    async def _put(self) -> None:
        await obstore.put_async(
            self._store,
            self._key,
            self._drain(),
            chunk_size=self._part_bytes,
            max_concurrency=_PARTS_ON_THEIR_WAY,
        )

    async def _drain(self) -> AsyncIterator[bytes]:
        while (item := await self._chunks.get()) is not None:
            if isinstance(item, _Aborted):
                raise item
            yield item


def open_blobs(settings: Settings) -> Blobs:
    """Open the store at `settings.blob_url`; a local folder is made when it is missing."""
    url = urlsplit(settings.blob_url)
    if url.scheme != "file":
        return Blobs(from_url(settings.blob_url))
    folder = Path(unquote(url.path))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Blobs(from_url(settings.blob_url), folder=folder)


def _delete_staged(folder: Path, before: datetime) -> int:
    deleted = 0
    for path in folder.rglob("*#*"):
        with suppress(FileNotFoundError):
            if _STAGED.fullmatch(path.name) and path.stat().st_mtime < before.timestamp():
                path.unlink()
                deleted += 1
    return deleted
