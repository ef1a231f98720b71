"""Define the layout of a segment: blocks of index entries, in the order of their hashes.

A segment has 2^n blocks; the first n bits of a hash name the block of its entry. A block holds its
hashes, then the offsets of the records in their parts, then the sequences of these parts if the
segment has more than one part. A directory of the blocks and a footer end the object. A lookup
reads one block, found by the directory, whatever the size of the segment.

Entries are ordered by hash, then sequence, then offset: of two with one hash, the later is newer.
All numbers are little-endian.
"""

from struct import Struct as Layout
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from app.datasets.parts.lines import Hashes, Offsets
from app.datasets.parts.model import ObjectDamaged, SegmentRef
from app.limits import KIB

Sequences = npt.NDArray[np.uint32]

HASH_BITS: Final = 64
HASH_BYTES: Final = 8
OFFSET_BYTES: Final = 4
# A sequence takes these, or twice as many, or none in the segment of one part.
SHORT_SEQUENCE_BYTES: Final = 2
# The number of entries before a block, and the block's checksum.
DIRECTORY_ENTRY: Final = Layout("<II")
MAX_ENTRIES: Final = 2**32 - 1
# Magic, version, block bits, bytes of a sequence, entries, first and last sequence, and the check
# value of the seed of the hashes.
FOOTER: Final = Layout("<8sHBBQIII")
MAGIC: Final = b"crivoidx"
VERSION: Final = 1
# The footer is read with what precedes it: a small segment in one read.
_TAIL_BYTES: Final = 16 * KIB
_CHECKSUM_MASK: Final = 2**32 - 1


class Read(msgspec.Struct, frozen=True, gc=False):
    """A range of an object that is needed next; `checksum` is that of the range."""

    key: str
    start: int
    end: int
    checksum: int | None = None


class Entries(msgspec.Struct, frozen=True):
    """Entries as columns, in order."""

    hashes: Hashes
    offsets: Offsets
    sequences: Sequences

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.hashes)


class Segment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A segment, as its footer describes it."""

    key: str
    block_bits: int
    sequence_bytes: int
    entries: int
    first_sequence: int
    last_sequence: int
    seed_check: int

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return 1 << self.block_bits

    @property
    def entry_bytes(self) -> int:
        """The size of an entry."""
        return HASH_BYTES + OFFSET_BYTES + self.sequence_bytes

    @property
    def sequences(self) -> range:
        """The range that has the sequences of its parts."""
        return range(self.first_sequence, self.last_sequence + 1)

    def require_seed(self, check: int) -> None:
        """Compare the seed of the hashes with another. Raises ObjectDamaged."""
        if check != self.seed_check:
            raise ObjectDamaged("a segment of the index has hashes of another seed")

    def block_of(self, hash_: int) -> int:
        """Return the number of the block that a hash is in."""
        return hash_ >> (HASH_BITS - self.block_bits)

    def directory(self, first: int, last: int) -> Read:
        """Name the directory's entries of blocks `first` up to `last`, and the one after them."""
        start = self.entries * self.entry_bytes
        size = DIRECTORY_ENTRY.size
        return Read(self.key, start + first * size, start + (last + 1) * size)

    def block(self, before: int, after: int, checksum: int | None = None) -> Read:
        """Name the blocks with the entries `before` up to `after`."""
        size = self.entry_bytes
        return Read(self.key, before * size, after * size, checksum)


def tail_of(segment: SegmentRef) -> Read:
    """Name the end of a segment, which holds its footer."""
    return Read(segment.blob_key, max(0, segment.stored_bytes - _TAIL_BYTES), segment.stored_bytes)


def parse_tail(ref: SegmentRef, tail: bytes) -> Segment:
    """Read the footer at the end of `tail`. Raises ObjectDamaged."""
    if len(tail) < FOOTER.size:
        raise ObjectDamaged("a segment of the index is cut off")
    fields = FOOTER.unpack(tail[-FOOTER.size :])
    magic, version, bits, sequence_bytes, entries, *range_, seed_check = fields
    first, last = range_ if ref.sequence is None else (ref.sequence, ref.sequence)
    segment = Segment(
        key=ref.blob_key,
        block_bits=bits,
        sequence_bytes=sequence_bytes,
        entries=entries,
        first_sequence=first,
        last_sequence=last,
        seed_check=seed_check,
    )
    directory = segment.directory(0, segment.blocks) if bits < HASH_BITS else None
    if (
        (magic, version) != (MAGIC, VERSION)
        or directory is None
        or directory.end + FOOTER.size != ref.stored_bytes
    ):
        raise ObjectDamaged("a segment of the index has no valid footer")
    return segment


def checksum_of(block: bytes) -> int:
    """Return the checksum of a block."""
    return xxh3_64_intdigest(block) & _CHECKSUM_MASK


def require_checksum(content: bytes, checksum: int | None) -> None:
    """Compare a block with its checksum. Raises ObjectDamaged."""
    if checksum is not None and checksum_of(content) != checksum:
        raise ObjectDamaged("a block of the index does not match its checksum")
