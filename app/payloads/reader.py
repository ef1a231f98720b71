"""Read stored payloads from their row or from the blob store."""

from collections.abc import AsyncGenerator, AsyncIterator

from app.allocator import trim_later
from app.blobs import Blobs
from app.payloads.model import StoredPayload


async def read_payload(
    blobs: Blobs, stored: StoredPayload, *, start: int = 0, end: int | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield a payload's bytes from `start` up to `end`. Raises BlobMissing, BlobsUnavailable."""
    trim_later(stored.size_bytes)
    if stored.blob_key is None:
        yield (stored.body or b"")[start:end]
        return
    async for chunk in blobs.read(stored.blob_key, start=start, end=end):
        yield chunk


def payload_of(blobs: Blobs, stored: StoredPayload) -> bytes | AsyncIterator[bytes]:
    """Return a payload: its bytes if they are here, else its blob's chunks as they are read."""
    if stored.blob_key is not None:
        return read_payload(blobs, stored)
    trim_later(stored.size_bytes)
    return stored.body or b""


async def open_payload(blobs: Blobs, stored: StoredPayload) -> AsyncIterator[bytes]:
    """Read the first chunk of a payload now, the others on demand.

    Raises BlobMissing and BlobsUnavailable at once.
    """
    return await begin(read_payload(blobs, stored))


async def begin(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Read the first chunk now and the others on demand; raises at once what the first raises."""
    first = await anext(chunks, b"")

    async def all_chunks() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_chunks()


async def single_chunk(data: bytes) -> AsyncIterator[bytes]:
    """Yield data that is in memory already."""
    yield data
