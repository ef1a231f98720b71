"""Drop index entries of records that a later record of the same part replaces."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

import numpy as np
import numpy.typing as npt

from app.blobs import Blobs
from app.datasets.parts.key_reader import KeyReader, key_reader
from app.datasets.parts.lines import Hashes, Offsets
from app.datasets.parts.model import CollidingKeys, PartRef
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.part_reader import read_frames
from app.datasets.parts.pointers import Pointer
from app.datasets.parts.threads import in_thread
from app.limits import MIB

Positions = npt.NDArray[np.intp]

# Records whose keys are compared in one pass over the part: it bounds the memory.
_PASS_RECORDS: Final = 65_536
# Each costs a lookup of the others a line that is read in vain.
MAX_KEYS_OF_A_HASH: Final = 8
# Room for the seek table of the part.
_CACHE_BYTES: Final = 1 * MIB


async def drop_replaced(
    hashes: Hashes, offsets: Offsets, *, blobs: Blobs, part: PartRef, key: Pointer
) -> tuple[Hashes, Offsets]:
    """Keep the last record of each key; entries are in order of hash, then offset.

    Equal hashes are no proof, so the keys themselves are read back and compared. Raises
    CollidingKeys, BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    reader = key_reader(key)
    cache = ObjectCache(blobs, max_bytes=_CACHE_BYTES)
    comparison = await in_thread(_Comparison, hashes, offsets)
    while await in_thread(comparison.begin_pass):
        frames = read_frames(cache, part, comparison.first_byte, comparison.last_byte + 1)
        async with aclosing(frames):
            async for first_byte, raw in frames:
                await in_thread(comparison.note_keys, reader, first_byte, raw)
        await in_thread(comparison.end_pass)
    return await in_thread(comparison.kept)


class _Comparison:
    """Finds the last record of each key, some records at a time. Called in threads only."""

    def __init__(self, hashes: Hashes, offsets: Offsets) -> None:
        """Begin with what may be kept: all."""
        self._hashes = hashes
        self._offsets = offsets
        self._keep = np.ones(len(hashes), np.bool_)
        self._passes = _passes(hashes)
        # Of the pass: its records by offset, how many of them are read, and the last of each key.
        self._positions: Positions = np.empty(0, np.intp)
        self._starts: Positions = self._positions
        self._read = 0
        self._last: dict[bytes, int] = {}
        self._has_all = False

    def begin_pass(self) -> bool:
        """Choose the records of the next pass; return False if there are none."""
        following = next(self._passes, None)
        if following is None:
            return False
        positions, self._has_all = following
        self._keep[positions] = False
        self._positions = positions[np.argsort(self._offsets[positions])]
        self._starts = self._offsets[self._positions].astype(np.intp)
        self._read = 0
        return True

    @property
    def first_byte(self) -> int:
        """The offset of the first record of the pass."""
        return int(self._starts[0])

    @property
    def last_byte(self) -> int:
        """The offset of the last record of the pass."""
        return int(self._starts[-1])

    def note_keys(self, reader: KeyReader, first_byte: int, raw: bytes) -> None:
        """Read the keys of the records in the next frames."""
        begin = self._read
        self._read = int(np.searchsorted(self._starts, first_byte + len(raw)))
        starts = (self._starts[begin : self._read] - first_byte).tolist()
        positions = self._positions[begin : self._read].tolist()
        for start, position in zip(starts, positions, strict=True):
            end = raw.find(b"\n", start)
            key = reader.read(raw[start : None if end < 0 else end])
            if key is not None:
                self._last[key] = position

    def end_pass(self) -> None:
        """Keep the last record of each key, unless others of its hash follow.

        Raises CollidingKeys.
        """
        last = np.fromiter(self._last.values(), np.intp, len(self._last))
        _, counts = np.unique(self._hashes[last], return_counts=True)
        if counts.max(initial=0) > MAX_KEYS_OF_A_HASH:
            raise CollidingKeys(MAX_KEYS_OF_A_HASH)
        if self._has_all:
            self._keep[last] = True
            self._last = {}

    def kept(self) -> tuple[Hashes, Offsets]:
        """Return the entries that are kept."""
        return self._hashes[self._keep], self._offsets[self._keep]


def _passes(hashes: Hashes) -> Iterator[tuple[Positions, bool]]:
    """Yield the positions of entries whose hash another has, in passes.

    A pass has all entries of its hashes, or some of one that many entries have: only the last such
    pass has the rest of them, as its flag says.
    """
    same = hashes[1:] == hashes[:-1]
    alike = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    start = 0
    while start < len(alike):
        end = start + _PASS_RECORDS
        if end >= len(alike):
            yield alike[start:], True
            return
        hash_ = hashes[alike[end]]
        group = int(np.searchsorted(alike, np.searchsorted(hashes, hash_)))
        if group > start:
            yield alike[start:group], True
            start = group
            continue
        group_end = int(np.searchsorted(alike, np.searchsorted(hashes, hash_, "right")))
        while start < group_end:
            end = min(start + _PASS_RECORDS, group_end)
            yield alike[start:end], end == group_end
            start = end
