"""Drop index entries of records that a later record of the same part replaces."""

from typing import Final

import numpy as np
import numpy.typing as npt

from app.blobs import Blobs
from app.datasets.parts.key_reader import KeyReader, key_reader
from app.datasets.parts.lines import Hashes, Offsets
from app.datasets.parts.model import CollidingKeys, PartRef
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.part_reader import read_range
from app.datasets.parts.pointers import Pointer
from app.datasets.parts.threads import in_thread

Positions = npt.NDArray[np.intp]

# Records whose keys are compared in one pass over the part: it bounds the memory.
_PASS_RECORDS: Final = 65_536
# Each costs a lookup of the others a line that is read in vain.
MAX_KEYS_OF_A_HASH: Final = 8


async def drop_replaced(
    hashes: Hashes, offsets: Offsets, *, blobs: Blobs, part: PartRef, key: Pointer
) -> tuple[Hashes, Offsets]:
    """Keep the last record of each key; entries are in order of hash, then offset.

    Equal hashes are no proof, so the keys themselves are read back and compared. Raises
    CollidingKeys, BlobMissing, BlobsUnavailable.
    """
    keep = np.ones(len(hashes), np.bool_)
    # Arrays of a part have millions of numbers: none is searched on the event loop.
    for alike in await in_thread(_passes, hashes):
        by_offset, starts = await in_thread(_in_order, alike, offsets)
        last = await _last_of_each(by_offset, starts, blobs=blobs, part=part, key=key)
        await in_thread(_keep_last, keep, hashes, alike, last)
    return await in_thread(_kept, keep, hashes, offsets)


def _passes(hashes: Hashes) -> list[Positions]:
    """Return the positions of entries whose hash another has, all of a hash together."""
    same = hashes[1:] == hashes[:-1]
    alike = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    shared = hashes[alike]
    passes = []
    start = 0
    while start < len(alike):
        end = start + _PASS_RECORDS
        if end < len(alike):
            end = int(np.searchsorted(shared, shared[end], "right"))
        passes.append(alike[start:end])
        start = end
    return passes


def _in_order(alike: Positions, offsets: Offsets) -> tuple[Positions, Offsets]:
    """Return positions in the order of their records, and the offsets of these."""
    by_offset = alike[np.argsort(offsets[alike])]
    return by_offset, offsets[by_offset]


def _keep_last(
    keep: npt.NDArray[np.bool_], hashes: Hashes, alike: Positions, last: list[int]
) -> None:
    _require_few(hashes[last])
    keep[alike] = False
    keep[last] = True


def _kept(keep: npt.NDArray[np.bool_], hashes: Hashes, offsets: Offsets) -> tuple[Hashes, Offsets]:
    return hashes[keep], offsets[keep]


async def _last_of_each(
    by_offset: Positions, starts: Offsets, *, blobs: Blobs, part: PartRef, key: Pointer
) -> list[int]:
    """Return the position of the last record of each key."""
    last: dict[bytes, int] = {}
    base = begin = 0
    async for raw in read_range(ObjectCache(blobs, max_bytes=0), part, 0, part.raw_bytes):
        end = int(np.searchsorted(starts, base + len(raw)))
        here, places = by_offset[begin:end], starts[begin:end].astype(np.intp) - base
        await in_thread(_note_keys, key_reader(key), raw, places, here, last)
        base, begin = base + len(raw), end
    return list(last.values())


def _note_keys(
    reader: KeyReader, raw: bytes, starts: Positions, positions: Positions, last: dict[bytes, int]
) -> None:
    for start, position in zip(starts.tolist(), positions.tolist(), strict=True):
        end = raw.find(b"\n", start)
        key = reader.read(raw[start : None if end < 0 else end])
        if key is not None:
            last[key] = position


def _require_few(hashes: Hashes) -> None:
    _, counts = np.unique(hashes, return_counts=True)
    if counts.max(initial=0) > MAX_KEYS_OF_A_HASH:
        raise CollidingKeys(MAX_KEYS_OF_A_HASH)
