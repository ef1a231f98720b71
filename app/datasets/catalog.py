"""Keep in memory where the records of datasets are: files, parts and indexes.

A catalog is valid for one revision of its dataset. Published files and parts do not change, so a
newer revision reads only what has been added and removed.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.datasets import catalog_store
from app.datasets.catalog_store import CatalogFile, DatasetState
from app.datasets.parts import ObjectCache, PartRef, SegmentRef
from app.datasets.published import Published
from app.db import Connection, Pool
from app.limits import MIB

# Of all catalogs; that of one dataset is kept whatever its size.
_MAX_BYTES: Final = 48 * MIB
_CATALOG_BYTES: Final = 2_000
_SEGMENT_BYTES: Final = 350
_SNAPSHOT_BYTES: Final = 40
# Snapshots of a dataset that are paged through at the same time.
_SNAPSHOTS_READ: Final = 4


class PartLines(Struct, frozen=True, kw_only=True):
    """Lines of one part: `count` from `first` on."""

    part: PartRef
    first: int
    count: int


class Catalog:
    """The published files, parts and indexes of one dataset at one revision."""

    def __init__(
        self, state: DatasetState, published: Published, segments: Sequence[SegmentRef]
    ) -> None:
        """Take what is published up to the newest snapshot, and the indexes."""
        self.revision = state.revision
        self.last_snapshot = state.last_snapshot
        self.next_sequence = state.next_sequence
        # The numbers of those that exist, in order.
        self.snapshots = state.snapshots
        self.published = published
        # Newest first, as readers search them.
        self.segments = segments
        # Of snapshots whose lines were read last: their files, and the first line of each.
        self._lines: OrderedDict[int, tuple[list[int], list[int]]] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """About how much memory the catalog takes."""
        return (
            self.published.size_bytes
            + len(self.segments) * _SEGMENT_BYTES
            + len(self.snapshots) * _SNAPSHOT_BYTES
            + _CATALOG_BYTES
        )

    def has_snapshot(self, number: int) -> bool:
        """Return whether the dataset has a snapshot at this revision."""
        at = bisect_left(self.snapshots, number)
        return at < len(self.snapshots) and self.snapshots[at] == number

    def part_of(self, snapshot: int) -> Callable[[int], PartRef | None]:
        """Return how to find a part of a snapshot by its sequence."""
        files, parts = self.published.files, self.published.parts

        def find_part(sequence: int) -> PartRef | None:
            at = parts.find(sequence)
            if at is None or not files.is_in(files.of_part(at), snapshot):
                return None
            return parts.ref(at)

        return find_part

    def part_up_to(self, snapshot: int) -> Callable[[int], PartRef | None]:
        """Return how to find a part of a snapshot, or of an earlier one, by its sequence."""
        files, parts = self.published.files, self.published.parts

        def find_part(sequence: int) -> PartRef | None:
            at = parts.find(sequence)
            if at is None or files.added_in[files.of_part(at)] > snapshot:
                return None
            return parts.ref(at)

        return find_part

    def file_at(self, sequence: int) -> CatalogFile:
        """Return the file of a part. Raises KeyError."""
        at = self.published.parts.find(sequence)
        if at is None:
            raise KeyError(sequence)
        return self.published.files.file(self.published.files.of_part(at))

    def lines_of(self, snapshot: int, *, first: int, count: int) -> list[PartLines]:
        """Return where up to `count` lines of a snapshot are, from line `first` on.

        Its files are in the order in which they were published.
        """
        files, starts = self._files_in(snapshot)
        end = first + count
        found: list[PartLines] = []
        for place in range(max(0, bisect_right(starts, first) - 1), len(files)):
            if starts[place] >= end:
                break
            # Counted within the file.
            found += self._lines_in(files[place], first - starts[place], end - starts[place])
        return found

    def _lines_in(self, number: int, first: int, end: int) -> Iterator[PartLines]:
        """Yield the lines `first` up to `end` of a file."""
        files, parts = self.published.files, self.published.parts
        begin = files.first_part[number]
        last = begin + files.parts[number]
        at = max(begin, bisect_right(parts.first_line, first, begin, last) - 1)
        while at < last and parts.first_line[at] < end:
            start = parts.first_line[at]
            skipped = max(0, first - start)
            taken = min(parts.lines[at], end - start) - skipped
            if taken > 0:
                yield PartLines(part=parts.ref(at), first=skipped, count=taken)
            at += 1

    def _files_in(self, snapshot: int) -> tuple[list[int], list[int]]:
        """Return the files of a snapshot, and the number of lines before each."""
        known = self._lines.get(snapshot)
        if known is None:
            files = self.published.files
            numbers = [each for each in range(len(files)) if files.is_in(each, snapshot)]
            starts = list(accumulate((files.lines[each] for each in numbers), initial=0))
            known = self._lines[snapshot] = numbers, starts
            if len(self._lines) > _SNAPSHOTS_READ:
                self._lines.popitem(last=False)
        self._lines.move_to_end(snapshot)
        return known


class Catalogs:
    """The catalogs of the datasets that this process has read last, with a cache of blobs."""

    def __init__(self, pool: Pool, cache: ObjectCache) -> None:
        """Take the pool, and the cache of indexes and parts."""
        self.cache = cache
        self._pool = pool
        self._catalogs: OrderedDict[UUID, Catalog] = OrderedDict()
        self._loading: dict[UUID, asyncio.Lock] = {}

    async def catalog(self, tenant: UUID, dataset_id: UUID, revision: int) -> Catalog | None:
        """Return a catalog of this revision or a later one; None if the dataset is deleted."""
        known = self._catalogs.get(dataset_id)
        if known is not None and known.revision >= revision:
            self._catalogs.move_to_end(dataset_id)
            return known
        lock = self._loading.setdefault(dataset_id, asyncio.Lock())
        try:
            async with lock:
                known = self._catalogs.get(dataset_id)
                if known is None or known.revision < revision:
                    known = await self._load(tenant, dataset_id, known)
        finally:
            if not lock.locked():
                self._loading.pop(dataset_id, None)
        return known

    async def _load(self, tenant: UUID, dataset_id: UUID, known: Catalog | None) -> Catalog | None:
        async with (
            self._pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            loaded = await load_catalog(conn, tenant, dataset_id, known)
        self._catalogs.pop(dataset_id, None)
        if loaded is not None:
            self._catalogs[dataset_id] = loaded
            self._forget_oldest()
        return loaded

    def _forget_oldest(self) -> None:
        size = sum(each.size_bytes for each in self._catalogs.values())
        while size > _MAX_BYTES and len(self._catalogs) > 1:
            _, forgotten = self._catalogs.popitem(last=False)
            size -= forgotten.size_bytes


async def load_catalog(
    conn: Connection, tenant: UUID, dataset_id: UUID, known: Catalog | None = None
) -> Catalog | None:
    """Read a catalog in a transaction that sees one state; `known` is an earlier one.

    Read are what was added after the newest snapshot of `known`, and which of its files were
    removed. Its files that no snapshot has any more are deleted.
    """
    state = await catalog_store.select_state(conn, tenant, dataset_id)
    if state is None:
        return None
    if known and known.last_snapshot not in state.snapshots:
        # Files that only this one had are deleted, and no row says so.
        known = None
    snapshot = known.last_snapshot if known else 0
    sequence = known.next_sequence if known else 0
    dataset = (conn, tenant, dataset_id)
    published = Published(tenant)
    async for file in catalog_store.select_added_files(*dataset, snapshot=snapshot):
        published.files.add(file)
    async for part in catalog_store.select_added_parts(*dataset, first_sequence=sequence):
        published.parts.add(part)
    segments = [each async for each in catalog_store.select_segments(*dataset)]
    if known:
        removed = catalog_store.select_removed_files(*dataset, snapshot=snapshot)
        async for each in removed:
            known.published.files.remove(each.id, each.removed_in)
        # Once all has been read: readers of `known` use the same tables.
        await known.published.extend(published)
        published = known.published
        if not set(known.snapshots).issubset(state.snapshots):
            published = await published.only_of(state.snapshots)
    return Catalog(state, published, segments)
