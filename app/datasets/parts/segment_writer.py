"""Write segments of the key index."""

from itertools import pairwise
from typing import Final

import numpy as np

from app.datasets.parts.lines import Hashes, Offsets
from app.datasets.parts.segments import (
    DIRECTORY_ENTRY,
    FOOTER,
    HASH_BITS,
    MAGIC,
    MAX_ENTRIES,
    SHORT_SEQUENCE_BYTES,
    VERSION,
    Entries,
    checksum_of,
)

# A block of these takes about 14 KiB, which costs hardly more to read than less.
ENTRIES_PER_BLOCK: Final = 1_024
_SHORT_SEQUENCES: Final = 1 << (8 * SHORT_SEQUENCE_BYTES)


class SegmentTooLarge(Exception):
    """A segment would have more entries than its directory can count."""


class SegmentWriter:
    """Turns entries, in order, into the bytes of a segment."""

    def __init__(
        self, *, entries: int, seed_check: int, first_sequence: int = 0, last_sequence: int = 0
    ) -> None:
        """Choose the layout for at most `entries` of a range of parts. Raises SegmentTooLarge."""
        if entries > MAX_ENTRIES:
            raise SegmentTooLarge
        self.block_bits = max(0, -(-entries // ENTRIES_PER_BLOCK) - 1).bit_length()
        self._seed_check = seed_check
        self._first_sequence = first_sequence
        self._last_sequence = last_sequence
        self._sequence_bytes = _bytes_for(last_sequence - first_sequence)
        self._directory = bytearray()
        self.entries = 0

    def write(self, entries: Entries, *, first: int, last: int) -> bytes:
        """Return the blocks `first` up to `last`, which hold `entries`."""
        shift = HASH_BITS - self.block_bits
        limits = np.array([block << shift for block in range(first + 1, last)], np.uint64)
        bounds = [0, *np.searchsorted(entries.hashes, limits).tolist(), len(entries)]
        sequences = self._relative(entries)
        blocks = []
        for start, end in pairwise(bounds):
            columns = [
                entries.hashes[start:end].astype("<u8", copy=False).tobytes(),
                entries.offsets[start:end].astype("<u4", copy=False).tobytes(),
            ]
            if sequences is not None:
                columns.append(sequences[start:end].tobytes())
            block = b"".join(columns)
            self._directory += DIRECTORY_ENTRY.pack(self.entries, checksum_of(block))
            self.entries += end - start
            blocks.append(block)
        return b"".join(blocks)

    def end(self) -> bytes:
        """Return the end of the object, after all blocks."""
        footer = FOOTER.pack(
            MAGIC,
            VERSION,
            self.block_bits,
            self._sequence_bytes,
            self.entries,
            self._first_sequence,
            self._last_sequence,
            self._seed_check,
        )
        return b"".join((self._directory, DIRECTORY_ENTRY.pack(self.entries, 0), footer))

    def _relative(self, entries: Entries) -> "np.ndarray[tuple[int], np.dtype[np.uint]] | None":
        if not self._sequence_bytes:
            return None
        relative = entries.sequences - np.uint32(self._first_sequence)
        return relative.astype(f"<u{self._sequence_bytes}")


def write_segment(hashes: Hashes, offsets: Offsets, seed_check: int) -> bytes:
    """Return the segment of one part, of entries in order."""
    writer = SegmentWriter(entries=len(hashes), seed_check=seed_check)
    entries = Entries(hashes, offsets, np.zeros(len(hashes), np.uint32))
    return writer.write(entries, first=0, last=1 << writer.block_bits) + writer.end()


def _bytes_for(highest: int) -> int:
    """Return the bytes of a sequence, relative to the first."""
    if not highest:
        return 0
    return SHORT_SEQUENCE_BYTES * (1 if highest < _SHORT_SEQUENCES else 2)
