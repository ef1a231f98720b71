"""Read stored parts: ranges of bytes, lines by number, and single lines."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from app.datasets.parts.frames import Frame, FrameTable, decompress, max_tables_bytes
from app.datasets.parts.model import ObjectDamaged, PartRef
from app.datasets.parts.object_cache import ObjectCache, read_range as read_object
from app.datasets.parts.segments import Read
from app.datasets.parts.threads import call_by_size
from app.limits import KIB

# Raw bytes that are read and decompressed in one step.
_STEP_BYTES: Final = 512 * KIB


async def read_range(
    cache: ObjectCache, part: PartRef, start: int, end: int
) -> AsyncIterator[bytes]:
    """Yield the raw bytes of a part from `start` up to `end`, about half a MiB at a time.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    end = min(end, part.raw_bytes)
    if start >= end:
        return
    table = await _table(cache, part)
    for frames in _steps(table, start, end):
        stored = await read_object(cache.blobs, part.blob_key, frames[0].start, frames[-1].end)
        raw = await call_by_size(_STEP_BYTES, _decompress_all, stored, frames)
        first = frames[0].raw_start
        yield raw[max(0, start - first) : end - first]


async def read_lines(
    cache: ObjectCache, part: PartRef, first_line: int, count: int
) -> AsyncIterator[bytes]:
    """Yield up to `count` lines of a part from `first_line` (from 0), without their line breaks.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    table = await _table(cache, part)
    line, last = first_line, min(first_line + count, table.lines)
    while line < last:
        frame, frame_line = table.frame_of_line(line)
        lines = (await _raw(cache, part, frame)).split(b"\n")
        end = min(last - frame_line, table.lines_in(frame.number))
        for each in lines[line - frame_line : end]:
            yield each.removesuffix(b"\r")
        line = frame_line + end


async def read_line(cache: ObjectCache, part: PartRef, offset: int) -> bytes:
    """Return the line at an offset of a part, without its line break.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    if offset >= part.raw_bytes:
        raise ObjectDamaged("the index names a record after the end of its part")
    frame = (await _table(cache, part)).frame_of_byte(offset)
    raw = await _raw(cache, part, frame)
    start = offset - frame.raw_start
    end = raw.find(b"\n", start)
    return raw[start : None if end < 0 else end].removesuffix(b"\r")


async def _table(cache: ObjectCache, part: PartRef) -> FrameTable:
    key = ("frames", part.blob_key)
    table: FrameTable | None = cache.get(key)
    if table is None:
        tail_start = max(0, part.stored_bytes - max_tables_bytes(part.raw_bytes))
        tail = await cache.pass_through(Read(part.blob_key, tail_start, part.stored_bytes))
        table = FrameTable(tail, stored_bytes=part.stored_bytes, raw_bytes=part.raw_bytes)
        cache.put(key, table, table.size_bytes)
    return table


async def _raw(cache: ObjectCache, part: PartRef, frame: Frame) -> bytes:
    """Return the raw bytes of a frame."""
    key = ("raw", part.blob_key, frame.number)
    raw: bytes | None = cache.get(key)
    if raw is None:
        stored = await cache.pass_through(Read(part.blob_key, frame.start, frame.end))
        size = frame.raw_end - frame.raw_start
        raw = await call_by_size(size, decompress, stored, size)
        cache.put(key, raw, len(raw))
    return raw


def _steps(table: FrameTable, start: int, end: int) -> Iterator[list[Frame]]:
    """Group the frames of a range into steps."""
    first = table.frame_of_byte(start).number
    last = table.frame_of_byte(end - 1).number
    frames: list[Frame] = []
    for number in range(first, last + 1):
        frames.append(table.frame(number))
        if frames[-1].raw_end - frames[0].raw_start >= _STEP_BYTES:
            yield frames
            frames = []
    if frames:
        yield frames


def _decompress_all(stored: bytes, frames: list[Frame]) -> bytes:
    base = frames[0].start
    return b"".join(
        decompress(stored[each.start - base : each.end - base], each.raw_end - each.raw_start)
        for each in frames
    )
