"""Read the entries of segments that are merged, a slice of the hashes at a time."""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from app.datasets.parts.lines import Hashes, Offsets
from app.datasets.parts.model import ObjectDamaged, SegmentRef
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.segments import (
    HASH_BITS,
    HASH_BYTES,
    OFFSET_BYTES,
    Entries,
    Read,
    Segment,
    Sequences,
    parse_tail,
    require_checksum,
    tail_of,
)

_DIRECTORY: Final = np.dtype([("before", "<u4"), ("checksum", "<u4")])
Directory = npt.NDArray[np.void]


class Slice(msgspec.Struct, frozen=True):
    """One of 2^`bits` equal ranges of the hashes."""

    number: int
    bits: int

    def blocks(self, block_bits: int) -> tuple[int, int]:
        """Return the blocks that hold the slice; the only one may hold others, too."""
        if block_bits < self.bits:
            block = self.number >> (self.bits - block_bits)
            return block, block + 1
        shift = block_bits - self.bits
        return self.number << shift, (self.number + 1) << shift

    def bounds(self, hashes: Hashes) -> slice:
        """Return the positions of the slice in hashes that are in order."""
        shift = HASH_BITS - self.bits
        first, last = self.number << shift, ((self.number + 1) << shift) - 1
        start = int(np.searchsorted(hashes, np.uint64(first)))
        return slice(start, int(np.searchsorted(hashes, np.uint64(last), "right")))


class Source(msgspec.Struct, frozen=True):
    """A segment that is merged, with its directory."""

    segment: Segment
    directory: Directory

    def counts(self, bits: int) -> npt.NDArray[np.int64]:
        """Return the number of entries that each of 2^`bits` slices reads."""
        before = self.directory["before"].astype(np.int64)
        more = self.segment.block_bits - bits
        if more >= 0:
            return np.diff(before[:: 1 << more])
        return np.repeat(np.diff(before), 1 << -more)

    def read_of(self, part: Slice) -> Read:
        """Name the range that holds a slice."""
        first, last = part.blocks(self.segment.block_bits)
        before = self.directory["before"]
        return self.segment.block(int(before[first]), int(before[last]))

    def entries(self, part: Slice, content: bytes) -> Entries:
        """Return the entries of a slice, from the range that holds it. Raises ObjectDamaged."""
        first, last = part.blocks(self.segment.block_bits)
        hashes: list[Hashes] = []
        offsets: list[Offsets] = []
        relative: list[npt.NDArray[np.unsignedinteger]] = []
        start = 0
        before, checksums = self.directory["before"], self.directory["checksum"]
        for number in range(first, last):
            count = int(before[number + 1]) - int(before[number])
            block = content[start : start + count * self.segment.entry_bytes]
            start += len(block)
            require_checksum(block, int(checksums[number]))
            hashes.append(np.frombuffer(block, "<u8", count))
            offsets.append(np.frombuffer(block, "<u4", count, count * HASH_BYTES))
            if self.segment.sequence_bytes:
                at = count * (HASH_BYTES + OFFSET_BYTES)
                relative.append(np.frombuffer(block, f"<u{self.segment.sequence_bytes}", count, at))
        joined = np.concatenate(hashes)
        inside = part.bounds(joined)
        return Entries(
            joined[inside],
            np.concatenate(offsets)[inside],
            self._sequences(relative, len(joined))[inside],
        )

    def _sequences(
        self, relative: "list[npt.NDArray[np.unsignedinteger]]", count: int
    ) -> Sequences:
        first = np.uint32(self.segment.first_sequence)
        if not relative:
            return np.full(count, first, np.uint32)
        return np.concatenate(relative).astype(np.uint32) + first


async def open_source(cache: ObjectCache, ref: SegmentRef) -> Source:
    """Read the footer and the directory of a segment.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    segment = parse_tail(ref, await cache.pass_through(tail_of(ref)))
    content = await cache.pass_through(segment.directory(0, segment.blocks))
    directory = np.frombuffer(content, _DIRECTORY)
    before = directory["before"]
    if (before[1:] < before[:-1]).any() or int(before[-1]) != segment.entries:
        raise ObjectDamaged("the directory of a segment of the index is not in order")
    return Source(segment, directory)
