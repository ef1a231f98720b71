"""Keep payloads as they came: small ones in their row, large ones in the blob store."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Self

from app.allocator import trim_later
from app.blobs import Blobs, BlobWriter
from app.executions.model import MAX_INLINE_BYTES, StoredPayload


class PayloadWriter:
    """Take a payload chunk by chunk; its first MiB waits in memory for what follows.

    Used as a context: an error inside leaves nothing in the blob store.
    """

    def __init__(self, blobs: Blobs, key: str) -> None:
        """Take the key for the case that the payload is large."""
        self._blobs = blobs
        self._key = key
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0
        self._head: list[bytes] = []
        self._blob: BlobWriter | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._stack.__aenter__()
        return self

    async def write(self, chunk: bytes) -> None:
        """Take one chunk."""
        self._sha256.update(chunk)
        self._size_bytes += len(chunk)
        if self._blob is not None:
            await self._blob.write(chunk)
            return
        self._head.append(chunk)
        if self._size_bytes > MAX_INLINE_BYTES:
            self._blob = await self._stack.enter_async_context(self._blobs.writer(self._key))
            await self._blob.write(b"".join(self._head))
            self._head.clear()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Complete the blob, or give it up when the block raised."""
        await self._stack.__aexit__(kind, error, None)
        trim_later(self._size_bytes)

    def stored(self) -> StoredPayload:
        """Give what was kept; true once the context has ended without an error."""
        inline = self._blob is None
        return StoredPayload(
            sha256=self._sha256.digest(),
            size_bytes=self._size_bytes,
            body=b"".join(self._head) if inline else None,
            blob_key=None if inline else self._key,
        )


def stored_inline(body: bytes) -> StoredPayload:
    """Keep a payload that is small by its nature in its row."""
    return StoredPayload(
        sha256=hashlib.sha256(body).digest(), size_bytes=len(body), body=body, blob_key=None
    )


async def read_payload(
    blobs: Blobs, stored: StoredPayload, *, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """Yield a payload's bytes from `start` up to `end`. Raises BlobMissing."""
    trim_later(stored.size_bytes)
    if stored.blob_key is None:
        yield (stored.body or b"")[start:end]
        return
    async for chunk in blobs.read(stored.blob_key, start=start, end=end):
        yield chunk


async def open_payload(
    blobs: Blobs, stored: StoredPayload, *, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """Read a payload's beginning, or that of a part of it, now, the rest when it is asked for.

    Raises BlobMissing at once, while an answer can still say so.
    """
    chunks = read_payload(blobs, stored, start=start, end=end)
    first = await anext(chunks, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return whole()
