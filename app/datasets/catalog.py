"""Keep in memory where the records of datasets are: files, parts and indexes.

A catalog is valid for one revision of its dataset. Published files and parts do not change, so a
newer revision reads only what has been added.
"""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.datasets import catalog_store
from app.datasets.catalog_store import CatalogFile, CatalogPart, DatasetState, PartPosition
from app.datasets.parts import ObjectCache, PartRef, SegmentRef
from app.db import Connection, Pool

# A part takes about 500 bytes.
_MAX_PARTS: Final = 100_000
_LISTED_PARTS: Final = 2_000
_NO_PARTS: Final = PartPosition(snapshot=0, sequence=-1)


class PartLines(Struct, frozen=True, kw_only=True):
    """Lines of one part: `count` from `first` on."""

    part: PartRef
    first: int
    count: int


class Catalog:
    """The snapshots, published files, parts and indexes of one dataset at one revision."""

    def __init__(
        self,
        state: DatasetState,
        files: Sequence[CatalogFile],
        parts: Sequence[CatalogPart],
        segments: Sequence[SegmentRef],
    ) -> None:
        """Take files and parts (by sequence) up to the newest snapshot, and indexes."""
        self.revision = state.revision
        self.snapshot = state.last_snapshot
        self.snapshots = state.snapshots
        self.files = {file.id: file for file in files}
        self.parts = [part for part in parts if part.file_id in self.files]
        # Newest first, as readers search them.
        self.segments = segments
        self._by_sequence = {part.sequence: part for part in self.parts}
        # Of the snapshot whose lines were read last: its parts, and the first line of each.
        self._lines: tuple[int, list[CatalogPart], list[int]] = (0, [], [])

    def has_snapshot(self, number: int) -> bool:
        """Return whether the dataset has a snapshot at this revision."""
        return number in self.snapshots

    def part_of(self, snapshot: int) -> Callable[[int], PartRef | None]:
        """Return how to find a part of a snapshot by its sequence."""

        def find_part(sequence: int) -> PartRef | None:
            part = self._by_sequence.get(sequence)
            return part if part and self.files[part.file_id].is_in(snapshot) else None

        return find_part

    def part_up_to(self, snapshot: int) -> Callable[[int], PartRef | None]:
        """Return how to find a part of a snapshot, or of an earlier one, by its sequence."""

        def find_part(sequence: int) -> PartRef | None:
            part = self._by_sequence.get(sequence)
            return part if part and self.files[part.file_id].added_in <= snapshot else None

        return find_part

    def has(self, sequence: int) -> bool:
        """Return whether the dataset still has a part."""
        return sequence in self._by_sequence

    def file_at(self, sequence: int) -> CatalogFile:
        """Return the file of a part."""
        return self.files[self._by_sequence[sequence].file_id]

    def lines_of(self, snapshot: int, *, first: int, count: int) -> list[PartLines]:
        """Return where up to `count` lines of a snapshot are, from line `first` on.

        Its files are in the order in which they were published.
        """
        if self._lines[0] != snapshot:
            self._lines = (snapshot, *self._lines_in(snapshot))
        _, present, starts = self._lines
        found = []
        for number in range(max(0, bisect_right(starts, first) - 1), len(present)):
            part, start = present[number], starts[number]
            skipped = max(0, first - start)
            taken = min(part.lines - skipped, first + count - max(first, start))
            if start >= first + count:
                break
            if taken > 0:
                found.append(PartLines(part=part, first=skipped, count=taken))
        return found

    def _lines_in(self, snapshot: int) -> tuple[list[CatalogPart], list[int]]:
        present = [part for part in self.parts if self.files[part.file_id].is_in(snapshot)]
        starts = [0, *accumulate(part.lines for part in present)]
        return present, starts[: len(present)]


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
        parts = sum(len(each.parts) for each in self._catalogs.values())
        while parts > _MAX_PARTS and len(self._catalogs) > 1:
            _, forgotten = self._catalogs.popitem(last=False)
            parts -= len(forgotten.parts)


async def load_catalog(
    conn: Connection, tenant: UUID, dataset_id: UUID, known: Catalog | None = None
) -> Catalog | None:
    """Read a catalog in a transaction that sees one state; `known` is an earlier one."""
    state = await catalog_store.select_state(conn, tenant, dataset_id)
    if state is None:
        return None
    parts = [] if known is None else list(known.parts)
    after = _NO_PARTS
    if known is not None:
        after = PartPosition(snapshot=known.snapshot, sequence=-1)
    while True:
        more = await catalog_store.select_catalog_parts(
            conn, tenant, dataset_id, after=after, limit=_LISTED_PARTS
        )
        parts += more
        if len(more) < _LISTED_PARTS:
            break
        after = PartPosition(snapshot=after.snapshot, sequence=more[-1].sequence)
    files = await catalog_store.select_catalog_files(conn, tenant, dataset_id)
    segments = await catalog_store.select_segments(conn, tenant, dataset_id)
    return Catalog(state, files, parts, [segment.ref() for segment in segments])
