"""Receive payloads: small ones become part of a row, large ones go to the blob store."""

import hashlib
from contextlib import AsyncExitStack
from typing import Self

from app.allocator import trim_later
from app.blobs import Blobs, BlobWriter
from app.limits import MAX_INLINE_BYTES
from app.payloads.model import StoredPayload


class PayloadWriter:
    """Receives a payload in chunks. The first MiB is buffered; a larger payload is streamed.

    A context manager: an error inside the block leaves nothing in the blob store.
    """

    def __init__(self, blobs: Blobs, key: str) -> None:
        """Use `key` for the blob of a large payload."""
        self._blobs = blobs
        self._key = key
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0
        self._buffered: list[bytes] = []
        self._blob: BlobWriter | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start."""
        await self._stack.__aenter__()
        return self

    async def write(self, chunk: bytes) -> None:
        """Add one chunk. Raises BlobsUnavailable."""
        self._sha256.update(chunk)
        self._size_bytes += len(chunk)
        if self._blob is not None:
            await self._blob.write(chunk)
            return
        self._buffered.append(chunk)
        if self._size_bytes > MAX_INLINE_BYTES:
            self._blob = await self._stack.enter_async_context(self._blobs.writer(self._key))
            await self._blob.write(b"".join(self._buffered))
            self._buffered.clear()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Complete the blob, or abort it if the block raised."""
        await self._stack.__aexit__(kind, error, None)
        trim_later(self._size_bytes)

    def stored(self) -> StoredPayload:
        """Return the stored payload; valid once the block has ended without an error."""
        inline = self._blob is None
        return StoredPayload(
            sha256=self._sha256.digest(),
            size_bytes=self._size_bytes,
            body=b"".join(self._buffered) if inline else None,
            blob_key=None if inline else self._key,
        )


def stored_inline(body: bytes) -> StoredPayload:
    """Return a payload whose bytes are stored in its row, whatever their size."""
    return StoredPayload(
        sha256=hashlib.sha256(body).digest(), size_bytes=len(body), body=body, blob_key=None
    )
