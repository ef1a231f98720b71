"""Merge segments of the key index into one, a slice of the hashes at a time, in bounded memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from app.blobs import Blobs
from app.datasets.parts.hash_order import order_by_hash
from app.datasets.parts.merge_source import Slice, Source, open_source
from app.datasets.parts.model import MergedSegment, SegmentRef
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.segment_writer import SegmentWriter
from app.datasets.parts.segments import Entries
from app.datasets.parts.threads import in_thread

# Entries of a slice, each of which takes about 60 bytes while its slice is merged.
SLICE_ENTRIES: Final = 1_048_576
# Ranges that are read together.
_READS: Final = 16


class _NothingLeft(Exception):
    """Aborts the writing of a segment without entries; never leaves this module."""


async def merge_segments(
    blobs: Blobs,
    segments: Sequence[SegmentRef],
    *,
    to: str,
    live: Callable[[int], bool],
    file_of: Callable[[int], Hashable] | None = None,
    slice_entries: int = SLICE_ENTRIES,
) -> MergedSegment:
    """Write one segment under `to` with the entries of all segments whose part is `live`.

    `segments` are ordered oldest first, and their ranges of sequences do not overlap. Older values
    of a key stay: older snapshots need them. With `file_of`, the file of a sequence, records that
    a later part of the same file replaces are counted. Raises SegmentTooLarge, BlobMissing,
    BlobsUnavailable, ObjectDamaged.
    """
    cache = ObjectCache(blobs, max_bytes=0)
    sources = [await open_source(cache, ref) for ref in segments]
    parts = _Parts(sources, live, file_of)
    writer = SegmentWriter(
        entries=sum(each.segment.entries for each in sources),
        first_sequence=parts.first,
        last_sequence=parts.last,
    )
    size = 0
    try:
        async with blobs.writer(to) as blob:
            async for written in _blocks(cache, sources, parts, writer, slice_entries):
                await blob.write(written)
                size += len(written)
            _require_entries(writer)
            end = writer.end()
            await blob.write(end)
            size += len(end)
    except _NothingLeft:
        size = 0
    return MergedSegment(
        entries=writer.entries,
        stored_bytes=size,
        first_sequence=parts.first,
        last_sequence=parts.last,
        duplicates=parts.duplicates,
    )


def _require_entries(writer: SegmentWriter) -> None:
    if not writer.entries:
        raise _NothingLeft


class _Parts:
    """The parts of the segments: which are live, and in which file."""

    def __init__(
        self,
        sources: Iterable[Source],
        live: Callable[[int], bool],
        file_of: Callable[[int], Hashable] | None,
    ) -> None:
        sequences = [
            sequence
            for source in sources
            for sequence in range(source.segment.first_sequence, source.segment.last_sequence + 1)
            if live(sequence)
        ]
        self.first, self.last = min(sequences, default=0), max(sequences, default=0)
        self.duplicates: Counter[int] = Counter()
        self._live = np.zeros(self.last - self.first + 1, np.bool_)
        self._live[[each - self.first for each in sequences]] = True
        self._files: npt.NDArray[np.int64] | None = None
        if file_of is not None:
            numbers: dict[Hashable, int] = {}
            self._files = np.zeros(len(self._live), np.int64)
            for each in sequences:
                number = numbers.setdefault(file_of(each), len(numbers))
                self._files[each - self.first] = number

    def only_live(self, entries: Entries) -> Entries:
        """Drop the entries of other parts."""
        relative = entries.sequences.astype(np.int64) - self.first
        inside = (relative >= 0) & (relative < len(self._live))
        inside[inside] = self._live[relative[inside]]
        if inside.all():
            return entries
        return Entries(entries.hashes[inside], entries.offsets[inside], entries.sequences[inside])

    def count_duplicates(self, entries: Entries) -> None:
        """Count records that are replaced in their file; `entries` are in order."""
        if self._files is None:
            return
        same = np.flatnonzero(entries.hashes[1:] == entries.hashes[:-1])
        earlier, later = entries.sequences[same], entries.sequences[same + 1]
        first = np.uint32(self.first)
        replaced = earlier[self._files[earlier - first] == self._files[later - first]]
        sequences, counts = np.unique(replaced, return_counts=True)
        self.duplicates.update(dict(zip(sequences.tolist(), counts.tolist(), strict=True)))


async def _blocks(
    cache: ObjectCache,
    sources: Sequence[Source],
    parts: _Parts,
    writer: SegmentWriter,
    slice_entries: int,
) -> AsyncIterator[bytes]:
    """Yield the blocks of the merged segment, a slice at a time."""
    if not sources:
        return
    expected = sum(each.segment.entries for each in sources)
    bits = min(writer.block_bits, max(0, -(-expected // slice_entries) - 1).bit_length())
    for number in range(1 << bits):
        slice_ = Slice(number, bits)
        contents: list[bytes] = []
        for start in range(0, len(sources), _READS):
            some = sources[start : start + _READS]
            reads = (cache.pass_through(each.read_of(slice_)) for each in some)
            contents += await asyncio.gather(*reads)
        yield await in_thread(_merge, sources, contents, slice_, parts, writer)


def _merge(
    sources: Sequence[Source],
    contents: Sequence[bytes],
    slice_: Slice,
    parts: _Parts,
    writer: SegmentWriter,
) -> bytes:
    live = [
        parts.only_live(source.entries(slice_, content))
        for source, content in zip(sources, contents, strict=True)
    ]
    hashes = np.concatenate([each.hashes for each in live])
    # The sources are ordered by sequence, and the order is stable.
    order = order_by_hash(hashes)
    merged = Entries(
        hashes[order],
        np.concatenate([each.offsets for each in live])[order],
        np.concatenate([each.sequences for each in live])[order],
    )
    parts.count_duplicates(merged)
    first, last = slice_.blocks(writer.block_bits)
    return writer.write(merged, first=first, last=last)
