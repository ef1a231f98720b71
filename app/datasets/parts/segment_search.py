"""Find the entries of a hash in segments of the key index.

A search is a generator: it yields the range that it needs and is sent its bytes, so that one
search needs no task if everything is at hand, and many wait together if it is not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator
from typing import Final

import msgspec

from app.datasets.parts.model import ObjectDamaged, SegmentRef
from app.datasets.parts.segments import (
    DIRECTORY_ENTRY,
    HASH_BYTES,
    OFFSET_BYTES,
    SHORT_SEQUENCE_BYTES,
    Read,
    Segment,
    parse_tail,
    require_checksum,
    tail_of,
)

# Blocks whose directory entries are read together.
_PAGE_BLOCKS: Final = 2_048

_NONE: Final = memoryview(b"")

Reads = Generator[Read, bytes, "Found"]


class Found(msgspec.Struct, frozen=True, gc=False):
    """The records of a hash in a segment, the oldest first.

    Sequences count from `first_sequence`; without `relative`, all are that one. A key that every
    part has makes many entries, of which most lookups read only the last.
    """

    first_sequence: int
    offsets: memoryview
    relative: memoryview | None = None

    def newest_first(self) -> Iterator[tuple[int, int]]:
        """Yield the sequence and the offset of each record."""
        for at in reversed(range(len(self.offsets))):
            relative = self.relative[at] if self.relative is not None else 0
            yield self.first_sequence + relative, self.offsets[at]


def search(ref: SegmentRef, hash_: int, seed_check: int) -> Reads:
    """Return the entries of a hash. Raises ObjectDamaged, also if its seed is another."""
    end = tail_of(ref)
    tail = yield end
    segment = parse_tail(ref, tail)
    segment.require_seed(seed_check)
    block = segment.block_of(hash_)
    page = block - block % _PAGE_BLOCKS
    directory = yield from _fetch(
        segment.directory(page, min(page + _PAGE_BLOCKS, segment.blocks)), end, tail
    )
    at = (block - page) * DIRECTORY_ENTRY.size
    before, checksum = DIRECTORY_ENTRY.unpack_from(directory, at)
    after, _ = DIRECTORY_ENTRY.unpack_from(directory, at + DIRECTORY_ENTRY.size)
    if not before <= after <= segment.entries:
        raise ObjectDamaged("the directory of a segment of the index is not in order")
    if before == after:
        require_checksum(b"", checksum)
        return Found(segment.first_sequence, _NONE)
    content = yield from _fetch(segment.block(before, after, checksum), end, tail)
    return _entries_of(hash_, content, segment, after - before)


def _fetch(read: Read, end: Read, tail: bytes) -> Generator[Read, bytes, bytes]:
    """Take a range from the tail if it is there."""
    if read.start < end.start:
        return (yield read)
    content = tail[read.start - end.start : read.end - end.start]
    require_checksum(content, read.checksum)
    return content


def _entries_of(hash_: int, content: bytes, segment: Segment, count: int) -> Found:
    block = memoryview(content)
    hashes_end = count * HASH_BYTES
    hashes = block[:hashes_end].cast("Q")
    first = bisect_left(hashes, hash_)
    last = bisect_right(hashes, hash_, first)
    offsets_end = hashes_end + count * OFFSET_BYTES
    offsets = block[hashes_end:offsets_end].cast("I")[first:last]
    if not segment.sequence_bytes:
        return Found(segment.first_sequence, offsets)
    column = block[offsets_end:]
    short = segment.sequence_bytes == SHORT_SEQUENCE_BYTES
    relative = column.cast("H") if short else column.cast("I")
    return Found(segment.first_sequence, offsets, relative[first:last])
