"""Read stored parts: ranges of bytes, lines by number, and single lines."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from app.datasets.parts.frames import Frame, FrameTable, decompress, max_tables_bytes
from app.datasets.parts.model import ObjectDamaged, PartRef
from app.datasets.parts.object_cache import ObjectCache, read_object_range
from app.datasets.parts.segments import Read
from app.datasets.parts.threads import in_reading_thread
from app.limits import KIB, MIB
from app.off_loop import call_by_size

# Raw bytes that are decompressed in one step.
_GROUP_BYTES: Final = 512 * KIB
# Stored bytes of one request to the store. It is answered before a client has read any of them:
# a request that lasts as long as a slow client would end in the store's timeout.
_REQUEST_BYTES: Final = 2 * MIB

_Group = list[Frame]


async def read_range(
    cache: ObjectCache, part: PartRef, start: int, end: int
) -> AsyncGenerator[bytes, None]:
    """Yield the raw bytes of a part from `start` up to `end`, about half a MiB at a time.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    async with aclosing(read_frames(cache, part, start, end)) as frames:
        async for first, raw in frames:
            yield raw[max(0, start - first) : end - first]


async def read_frames(
    cache: ObjectCache, part: PartRef, start: int, end: int
) -> AsyncGenerator[tuple[int, bytes], None]:
    """Yield the frames that hold the raw bytes from `start` up to `end`, some at a time.

    Each item is the offset of its first byte, and the bytes. Raises BlobMissing, BlobsUnavailable,
    ObjectDamaged.
    """
    end = min(end, part.raw_bytes)
    if start >= end:
        return
    table = await _table(cache, part)
    for groups in _requests(_groups(table, start, end)):
        first, last = groups[0][0].start, groups[-1][-1].end
        stored = await read_object_range(cache.blobs, part.blob_key, first, last)
        for group in groups:
            yield (
                group[0].raw_start,
                await in_reading_thread(_decompress_all, stored, first, group),
            )


async def read_lines(
    cache: ObjectCache, part: PartRef, first_line: int, count: int
) -> AsyncGenerator[bytes, None]:
    """Yield up to `count` lines of a part from `first_line` (from 0), without their line breaks.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    table = await _table(cache, part)
    line, last = first_line, min(first_line + count, table.lines)
    while line < last:
        frame, frame_line = table.frame_of_line(line)
        raw = await _raw(cache, part, frame)
        lines = await call_by_size(len(raw), raw.split, b"\n")
        # Lines can be long, and readers slow: what they do not wait for is not kept.
        del raw
        end = min(last - frame_line, table.lines_in(frame.number))
        wanted = lines[line - frame_line : end][::-1]
        del lines
        while wanted:
            yield wanted.pop().removesuffix(b"\r")
        line = frame_line + end


async def read_line(cache: ObjectCache, part: PartRef, offset: int) -> bytes:
    """Return the line at an offset of a part, without its line break.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    if offset >= part.raw_bytes:
        raise ObjectDamaged("the index names a record after the end of its part")
    frame = (await _table(cache, part)).frame_of_byte(offset)
    raw = await _raw(cache, part, frame)
    return await call_by_size(len(raw), _line_at, raw, offset - frame.raw_start)


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


def _line_at(raw: bytes, start: int) -> bytes:
    end = raw.find(b"\n", start)
    if end < 0:
        end = len(raw)
    # One copy: lines can be long.
    return raw[start : end - raw.endswith(b"\r", start, end)]


def _groups(table: FrameTable, start: int, end: int) -> Iterator[_Group]:
    """Group the frames of a range into those that are decompressed in one step."""
    first = table.frame_of_byte(start).number
    last = table.frame_of_byte(end - 1).number
    group: _Group = []
    for number in range(first, last + 1):
        group.append(table.frame(number))
        if group[-1].raw_end - group[0].raw_start >= _GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


def _requests(groups: Iterator[_Group]) -> Iterator[list[_Group]]:
    """Gather the groups that are read by one request."""
    request: list[_Group] = []
    for group in groups:
        request.append(group)
        if group[-1].end - request[0][0].start >= _REQUEST_BYTES:
            yield request
            request = []
    if request:
        yield request


def _decompress_all(stored: bytes, first: int, frames: Sequence[Frame]) -> bytes:
    """Return the raw bytes of frames, of an object's bytes from `first` on."""
    return b"".join(
        decompress(stored[each.start - first : each.end - first], each.raw_end - each.raw_start)
        for each in frames
    )
