"""Merge segments of the key index into one, a slice of the hashes at a time, in bounded memory."""

import asyncio
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from app.blobs import Blobs
from app.datasets.parts.hash_order import order_by_hash
from app.datasets.parts.merge_source import Slice, Source, open_source
from app.datasets.parts.model import MergedSegment, SegmentRef, SliceTooLarge
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.segment_writer import ENTRIES_PER_BLOCK, SegmentWriter
from app.datasets.parts.segments import Entries, Sequences
from app.datasets.parts.threads import in_thread

T = TypeVar("T")
U = TypeVar("U")

# Entries of a slice, each of which takes about 60 bytes while its slice is merged.
SLICE_ENTRIES: Final = 1_048_576
# Chance does not make a slice this much larger than it should be; keys that are chosen by their
# hashes do, or one key in very many parts.
_UNEVEN: Final = 8
# Ranges that are read together.
_READS: Final = 16


class _NothingLeft(Exception):
    """Aborts the writing of a segment without entries; never leaves this module."""


async def merge_segments(
    blobs: Blobs,
    segments: Sequence[SegmentRef],
    *,
    to: str,
    live: Sequence[range],
    files: Sequence[range] = (),
    slice_entries: int = SLICE_ENTRIES,
) -> MergedSegment:
    """Write one segment under `to` with the entries of all segments whose part is `live`.

    `segments` are ordered oldest first, and their ranges of sequences do not overlap. `live` and
    `files` are ranges of sequences in order: the parts that exist, and those of one file each.
    Older values of a key stay: older snapshots need them. Counted are records that another segment
    of the same file replaces. Raises SegmentTooLarge, SliceTooLarge, BlobMissing, BlobsUnavailable,
    ObjectDamaged.
    """
    cache = ObjectCache(blobs, max_bytes=0)
    sources = await _together(partial(open_source, cache), segments)
    parts = _Parts(sources, live, files)
    writer = SegmentWriter(
        entries=sum(each.segment.entries for each in sources),
        seed_check=_common_seed(sources),
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


def _common_seed(sources: Sequence[Source]) -> int:
    """Return the check value of the seed that all hashes have. Raises ObjectDamaged."""
    check = sources[0].segment.seed_check if sources else 0
    for each in sources:
        each.segment.require_seed(check)
    return check


def _require_even(sources: Sequence[Source], bits: int, limit: int) -> None:
    """Raise SliceTooLarge before anything is read of a slice that would take too much memory."""
    counts = sum((each.counts(bits) for each in sources), np.zeros(1 << bits, np.int64))
    largest = int(counts.max())
    if largest > limit:
        raise SliceTooLarge(largest, limit)


def _require_entries(writer: SegmentWriter) -> None:
    if not writer.entries:
        raise _NothingLeft


class _Parts:
    """The parts of the segments: which are live, and in which file."""

    def __init__(
        self, sources: Sequence[Source], live: Sequence[range], files: Sequence[range]
    ) -> None:
        ranges = [each.segment.sequences for each in sources]
        inside = [_common(run, each) for run in live for each in _overlapping(run, ranges)]
        self.first = min((run.start for run in inside), default=0)
        self.last = max((run.stop - 1 for run in inside), default=0)
        self.duplicates: Counter[int] = Counter()
        self._live = _Ranges(live)
        self._files = _Ranges(files)
        self._sources = _Ranges(ranges)

    def only_live(self, source: Source, entries: Entries) -> Entries:
        """Drop the entries of other parts."""
        if self._live.hold(source.segment.sequences):
            return entries
        inside = self._live.numbers(entries.sequences) >= 0
        return Entries(entries.hashes[inside], entries.offsets[inside], entries.sequences[inside])

    def count_duplicates(self, entries: Entries) -> None:
        """Count records that another segment of their file replaces; `entries` are in order."""
        same = np.flatnonzero(entries.hashes[1:] == entries.hashes[:-1])
        earlier, later = entries.sequences[same], entries.sequences[same + 1]
        files = self._files.numbers(earlier)
        # Those within a segment are counted already.
        counted = (files >= 0) & (files == self._files.numbers(later))
        counted &= self._sources.numbers(earlier) != self._sources.numbers(later)
        sequences, counts = np.unique(earlier[counted], return_counts=True)
        self.duplicates.update(dict(zip(sequences.tolist(), counts.tolist(), strict=True)))


class _Ranges:
    """Ranges of sequences, in order."""

    def __init__(self, ranges: Sequence[range]) -> None:
        self._ranges = ranges
        self._starts = np.array([each.start for each in ranges], np.int64)
        self._ends = np.array([each.stop for each in ranges], np.int64)

    def numbers(self, sequences: Sequences) -> npt.NDArray[np.int64]:
        """Return the number of the range that each sequence is in, -1 for none."""
        if not self._ranges:
            return np.full(len(sequences), -1, np.int64)
        wide = sequences.astype(np.int64)
        numbers = np.searchsorted(self._starts, wide, "right").astype(np.int64) - 1
        # Those before the first range are at -1: the last range, which ends after them.
        return np.where(wide < self._ends[numbers], numbers, -1)

    def hold(self, sequences: range) -> bool:
        """Return whether one range has all of the sequences."""
        at = bisect_right(self._ranges, sequences.start, key=lambda each: each.start) - 1
        return at >= 0 and sequences.stop <= self._ranges[at].stop


def _common(one: range, other: range) -> range:
    return range(max(one.start, other.start), min(one.stop, other.stop))


def _overlapping(run: range, ranges: Sequence[range]) -> Sequence[range]:
    """Return those of the ranges, in order, that have a sequence of the run."""
    first = bisect_right(ranges, run.start, key=lambda each: each.stop)
    return ranges[first : bisect_left(ranges, run.stop, key=lambda each: each.start)]


async def _together(read: Callable[[U], Coroutine[Any, Any, T]], what: Sequence[U]) -> list[T]:
    """Read some at a time; after an error, no read goes on."""
    results: list[T] = []
    for start in range(0, len(what), _READS):
        tasks = [asyncio.create_task(read(each)) for each in what[start : start + _READS]]
        try:
            results += await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
    return results


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
    # Each source may read a block that it shares with other slices.
    limit = _UNEVEN * (slice_entries + len(sources) * ENTRIES_PER_BLOCK)
    await in_thread(_require_even, sources, bits, limit)
    for number in range(1 << bits):
        slice_ = Slice(number, bits)
        reads = [each.read_of(slice_) for each in sources]
        contents = await _together(cache.pass_through, reads)
        yield await in_thread(_merge, sources, contents, slice_, parts, writer)


def _merge(
    sources: Sequence[Source],
    contents: Sequence[bytes],
    slice_: Slice,
    parts: _Parts,
    writer: SegmentWriter,
) -> bytes:
    live = [
        parts.only_live(source, source.entries(slice_, content))
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
