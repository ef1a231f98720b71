"""Store parts: a stream of raw bytes becomes a part and the index of its keys."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from app.blobs import Blobs, BlobWriter
from app.datasets.parts.duplicates import drop_replaced
from app.datasets.parts.encoder import PartEncoder
from app.datasets.parts.keys import HashSeed
from app.datasets.parts.long_lines import taking_turns
from app.datasets.parts.model import Format, PartRef, StoredPart
from app.datasets.parts.pointers import Pointer
from app.datasets.parts.segment_writer import write_segment
from app.datasets.parts.threads import in_thread
from app.limits import KIB
from app.outages import BlobsUnavailable

# Raw bytes of a step. The interpreter's lock is free between the frames of a step.
_STEP_BYTES: Final = 128 * KIB


async def store_part(
    chunks: AsyncIterator[bytes],
    *,
    format: Format,  # noqa: A002 - the dataset's own word
    key: Pointer | None,
    seed: HashSeed,
    blobs: Blobs,
    part_key: str,
    index_key: str,
) -> StoredPart:
    """Store a part under `part_key`, and the index of its keys, if any, under `index_key`.

    After an error neither exists. Raises BadLine, PartTooLarge, LineTooSlow, CollidingKeys,
    BlobsUnavailable, and what `chunks` raises.
    """
    encoder = PartEncoder(format, key, seed)
    writers = {part_key: blobs.writer(part_key), index_key: blobs.writer(index_key)}
    try:
        stored_bytes = await _store(encoder, chunks, writers[part_key])
        part = PartRef(blob_key=part_key, raw_bytes=encoder.raw_bytes, stored_bytes=stored_bytes)
        duplicates, index_bytes = await _store_index(
            encoder, key, seed, blobs, part, writers[index_key]
        )
    except BaseException:
        with suppress(BlobsUnavailable):
            await asyncio.shield(_discard(blobs, writers))
        raise
    return StoredPart(
        raw_bytes=encoder.raw_bytes,
        stored_bytes=stored_bytes,
        index_bytes=index_bytes,
        sha256=encoder.sha256,
        lines=encoder.lines,
        records=encoder.records,
        missing_keys=encoder.missing_keys,
        duplicates=duplicates,
        ends_line=encoder.ends_line,
    )


async def _store(encoder: PartEncoder, chunks: AsyncIterator[bytes], writer: BlobWriter) -> int:
    """Encode a part as it arrives; return its size."""
    stored_bytes = 0
    async with writer, taking_turns() as line, aclosing(_steps(chunks)) as steps:
        async for step in steps:
            encoded = await in_thread(encoder.feed, step)
            if encoded:
                await writer.write(encoded)
                stored_bytes += len(encoded)
            await line.note(encoder.waiting_bytes)
        encoded = await in_thread(encoder.finish)
        await writer.write(encoded)
        stored_bytes += len(encoded)
    return stored_bytes


async def _store_index(
    encoder: PartEncoder,
    key: Pointer | None,
    seed: HashSeed,
    blobs: Blobs,
    part: PartRef,
    writer: BlobWriter,
) -> tuple[int, int]:
    """Return the number of replaced records and the size of the index."""
    if key is None:
        return 0, 0
    hashes, offsets = await in_thread(encoder.sorted_keys)
    if not len(hashes):
        return 0, 0
    kept = await drop_replaced(hashes, offsets, blobs=blobs, part=part, key=key)
    segment = await in_thread(write_segment, *kept, seed.check)
    async with writer:
        await writer.write(segment)
    return len(hashes) - len(kept[0]), len(segment)


async def _discard(blobs: Blobs, writers: "dict[str, BlobWriter]") -> None:
    """Delete what has been stored; an upload that its task has left may still succeed."""
    stored = [key for key, writer in writers.items() if await writer.settled()]
    await blobs.delete(*stored)


async def _steps(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Join small chunks and cut large ones."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= _STEP_BYTES:
            yield bytes(waiting[:_STEP_BYTES])
            del waiting[:_STEP_BYTES]
    if waiting:
        yield bytes(waiting)
