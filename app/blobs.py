"""Bytes by key, in a local folder or a cloud's store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import ObjectStore, from_url

from app.errors import CrivoError
from app.settings import MIB, Settings

_READ_CHUNK_BYTES = 1 * MIB


class BlobMissing(CrivoError):
    """The store has nothing under a key that the database names."""


class Blobs:
    """The store that `BLOB_URL` names."""

    def __init__(self, store: ObjectStore) -> None:
        """Take an open store."""
        self._store = store

    def writer(self, key: str) -> "BlobWriter":
        """Write a blob chunk by chunk; it exists once the context ends without an error."""
        return BlobWriter(self._store, key)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """Read a blob, a MiB or so at a time. Raises BlobMissing."""
        try:
            found = await obstore.get_async(self._store, key)
        except FileNotFoundError:
            raise BlobMissing(key) from None
        async for chunk in found.stream(min_chunk_size=_READ_CHUNK_BYTES):
            yield bytes(chunk)

    async def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return


class _Aborted(Exception):
    """Ends an upload; never leaves this module."""


class BlobWriter:
    """One upload in progress. What is given up leaves nothing behind in the store."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        """Take where the bytes go."""
        self._store = store
        self._key = key
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
            await self._upload
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
        await obstore.put_async(self._store, self._key, self._drain())

    async def _drain(self) -> AsyncIterator[bytes]:
        while (item := await self._chunks.get()) is not None:
            if isinstance(item, _Aborted):
                raise item
            yield item


def open_blobs(settings: Settings) -> Blobs:
    """Open the store at `settings.blob_url`; a local folder is made when it is missing."""
    url = urlsplit(settings.blob_url)
    if url.scheme == "file":
        Path(unquote(url.path)).mkdir(parents=True, exist_ok=True, mode=0o700)
    return Blobs(from_url(settings.blob_url))
