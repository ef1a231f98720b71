"""Read the entries of runs that are merged, a slice of the hashes at a time."""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from app.datasets.parts.lines import Hashes, Offsets
from app.datasets.parts.model import ObjectDamaged, RunRef
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.runs import (
    HASH_BITS,
    HASH_BYTES,
    OFFSET_BYTES,
    Entries,
    Read,
    Run,
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
    """A run that is merged, with its directory."""

    run: Run
    directory: Directory

    def read_of(self, part: Slice) -> Read:
        """Name the range that holds a slice."""
        first, last = part.blocks(self.run.block_bits)
        before = self.directory["before"]
        return self.run.block(int(before[first]), int(before[last]))

    def entries(self, part: Slice, content: bytes) -> Entries:
        """Return the entries of a slice, from the range that holds it. Raises ObjectDamaged."""
        first, last = part.blocks(self.run.block_bits)
        hashes: list[Hashes] = []
        offsets: list[Offsets] = []
        relative: list[npt.NDArray[np.unsignedinteger]] = []
        start = 0
        before, checksums = self.directory["before"], self.directory["checksum"]
        for number in range(first, last):
            count = int(before[number + 1]) - int(before[number])
            block = content[start : start + count * self.run.entry_bytes]
            start += len(block)
            require_checksum(block, int(checksums[number]))
            hashes.append(np.frombuffer(block, "<u8", count))
            offsets.append(np.frombuffer(block, "<u4", count, count * HASH_BYTES))
            if self.run.sequence_bytes:
                at = count * (HASH_BYTES + OFFSET_BYTES)
                relative.append(np.frombuffer(block, f"<u{self.run.sequence_bytes}", count, at))
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
        first = np.uint32(self.run.first_sequence)
        if not relative:
            return np.full(count, first, np.uint32)
        return np.concatenate(relative).astype(np.uint32) + first


async def open_source(cache: ObjectCache, ref: RunRef) -> Source:
    """Read the footer and the directory of a run.

    Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    run = parse_tail(ref, await cache.pass_through(tail_of(ref)))
    content = await cache.pass_through(run.directory(0, run.blocks))
    directory = np.frombuffer(content, _DIRECTORY)
    before = directory["before"]
    if (before[1:] < before[:-1]).any() or int(before[-1]) != run.entries:
        raise ObjectDamaged("the directory of a run of the index is not in order")
    return Source(run, directory)
