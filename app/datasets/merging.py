"""Merge the key indexes of datasets in the background, so that lookups search few of them.

Every part comes with an index of its own. A merge takes the oldest of those, and the newest merged
indexes as long as they are not much larger than what it has: their sizes grow at least twofold
from the newest to the oldest, so a dataset has few, and an entry is rewritten few times.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import replace

from app.background import background, retry_forever
from app.blobs import BlobMissing, Blobs
from app.datasets import merge_store, retention, store
from app.datasets.blob_cleanup import delete_blobs, new_index_key
from app.datasets.merge_store import ClaimedDataset, MergedIndex, PartIndex, Replacement
from app.datasets.parts import MergedSegment, SegmentRef, SliceTooLarge, merge_segments
from app.db import Pool
from app.metrics import INDEXES_MERGED
from app.outages import DatabaseUnavailable

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 1.0
# Renewed during a merge. Two processes that merge the same indexes waste time only.
_CLAIM_SECONDS: Final = 120.0
_RENEWAL_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 5.0
# Only other parts make it possible.
_UNEVEN_SECONDS: Final = 3_600.0
_GROWTH: Final = 2
# A merge reads a range of each of its indexes for every million entries.
_MAX_PARTS: Final = 256
_FEWEST: Final = 2
# Bounds the time of a merge, and its result by what a segment can hold.
_MAX_ENTRIES: Final = 2**30


async def merge_forever(pool: Pool, blobs: Blobs) -> None:
    """Merge indexes of all datasets as they come, until cancelled."""

    async def merge_all() -> None:
        while await merge_next(pool, blobs):
            pass

    await retry_forever("indexes.merge_failed", merge_all, pause_seconds=_INTERVAL_SECONDS)


async def merge_next(pool: Pool, blobs: Blobs) -> bool:
    """Merge the indexes of one dataset; return whether there was one to merge."""
    async with pool.acquire() as conn:
        claimed = await merge_store.claim_dataset(conn, seconds=_CLAIM_SECONDS)
    if claimed is None:
        return False
    # Such as in an outage of the blob store: the claim would last longer than that.
    pause: float | None = _RETRY_SECONDS
    try:
        pause = await _merge_claimed(pool, blobs, claimed)
    finally:
        if pause is not None:
            with suppress(DatabaseUnavailable):
                async with pool.acquire() as conn:
                    await merge_store.release_dataset(conn, claimed, seconds=pause)
    return True


async def _merge_claimed(pool: Pool, blobs: Blobs, claimed: ClaimedDataset) -> float | None:
    """Merge what a dataset has; return the seconds until the next attempt, None if it is done."""
    plan = await _plan(pool, claimed)
    if plan is None:
        return _RETRY_SECONDS
    blob_key = new_index_key(claimed.tenant_id)
    try:
        async with background(_renew_claim(pool, claimed)):
            merged = await _merge(blobs, plan, to=blob_key)
    except BlobMissing:
        await delete_blobs(blobs, [blob_key])
        await _report_lost(pool, claimed, plan)
        return _RETRY_SECONDS
    except SliceTooLarge as error:
        # Lookups go on with the indexes as they are.
        log.warning(
            "indexes.slice_too_large",
            tenant=str(claimed.tenant_id),
            dataset=str(claimed.id),
            reason=str(error),
        )
        await delete_blobs(blobs, [blob_key])
        return _UNEVEN_SECONDS
    if not await _replace(pool, claimed, _replacement(plan, merged, blob_key)):
        await delete_blobs(blobs, [blob_key])
        return _RETRY_SECONDS
    INDEXES_MERGED.inc(len(plan.keys))
    log.info("indexes.merged", indexes=len(plan.keys), entries=merged.entries)
    await delete_blobs(blobs, plan.keys)
    return None


class MergePlan(Struct, frozen=True, kw_only=True):
    """Adjacent indexes to merge, oldest first: merged ones, then those of parts."""

    merged: Sequence[MergedIndex]
    parts: Sequence[PartIndex]
    # Sequences of the parts that exist, filled in once the indexes are chosen.
    live: Sequence[range] = ()

    @property
    def refs(self) -> list[SegmentRef]:
        """The references to the indexes."""
        return [*(each.ref() for each in self.merged), *(each.ref() for each in self.parts)]

    @property
    def keys(self) -> list[str]:
        """The keys of the indexes."""
        return [each.blob_key for each in self.refs]

    @property
    def first_sequence(self) -> int:
        """The first sequence that the indexes can have."""
        oldest = self.merged[0].first_sequence if self.merged else self.parts[0].sequence
        return min(oldest, self.parts[0].sequence)


async def _plan(pool: Pool, claimed: ClaimedDataset) -> MergePlan | None:
    async with (
        pool.acquire() as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        # With those that come after a merge of _MAX_PARTS: whether its last file goes on there,
        # and no single one is left.
        parts = await merge_store.select_part_indexes(conn, claimed, limit=_MAX_PARTS + 2)
        merged = await merge_store.select_merged_indexes(conn, claimed)
        plan = plan_merge(parts, merged, max_parts=_MAX_PARTS)
        if plan is None:
            return None
        live = await merge_store.select_live_ranges(
            conn, claimed, first=plan.first_sequence, last=plan.parts[-1].sequence
        )
        return replace(plan, live=live)


def plan_merge(
    parts: Sequence[PartIndex], merged: Sequence[MergedIndex], *, max_parts: int
) -> MergePlan | None:
    """Choose what to merge: of the parts, oldest first, and of the merged, newest first.

    Parts are merged in order, so all that are left are newer than any merged index.
    """
    count = max_parts if len(parts) > max_parts + 1 else len(parts)
    sums = list(accumulate(each.entries for each in parts[:count]))
    count = max(min(count, 1), bisect_right(sums, _MAX_ENTRIES))
    if not count:
        return None
    chosen, rest = parts[:count], parts[count:]
    file = chosen[0].file
    # All indexes of a file come together once, so that its duplicates are counted.
    ends_file = not rest or rest[0].file_id != chosen[0].file_id
    entries = sums[count - 1]
    older: list[MergedIndex] = []
    for index in merged:
        is_of_file = ends_file and index.last_sequence >= file.start
        is_much_larger = index.entries > _GROWTH * entries
        if entries + index.entries > _MAX_ENTRIES or (is_much_larger and not is_of_file):
            break
        older.insert(0, index)
        entries += index.entries
    if len(older) + len(chosen) < _FEWEST:
        return None
    return MergePlan(merged=older, parts=chosen)


async def _merge(blobs: Blobs, plan: MergePlan, *, to: str) -> MergedSegment:
    return await merge_segments(
        blobs,
        plan.refs,
        to=to,
        live=plan.live,
        files=[each.file for each in _files_of(plan).values()],
    )


def _files_of(plan: MergePlan) -> dict[UUID, PartIndex]:
    """Return one part of each file, in the order of their sequences."""
    return {each.file_id: each for each in plan.parts}


async def _renew_claim(pool: Pool, claimed: ClaimedDataset) -> None:
    while True:
        await asyncio.sleep(_RENEWAL_SECONDS)
        with suppress(DatabaseUnavailable):
            async with pool.acquire() as conn:
                await merge_store.renew_claim(conn, claimed, seconds=_CLAIM_SECONDS)


async def _report_lost(pool: Pool, claimed: ClaimedDataset, plan: MergePlan) -> None:
    """Log an error if all rows still name the indexes: one of them is lost.

    Otherwise retention or a deletion has been faster than the merge.
    """
    async with pool.acquire() as conn:
        referenced = await retention.select_referenced_keys(conn, plan.keys)
    if referenced.issuperset(plan.keys):
        log.error("indexes.blob_lost", tenant=claimed.tenant_id, dataset=claimed.id)


def _replacement(plan: MergePlan, merged: MergedSegment, blob_key: str) -> Replacement:
    duplicates: Counter[UUID] = Counter()
    files = list(_files_of(plan).values())
    for sequence, count in merged.duplicates.items():
        at = bisect_right(files, sequence, key=lambda each: each.first_of_file) - 1
        duplicates[files[at].file_id] += count
    return Replacement(
        segment_keys=[each.blob_key for each in plan.merged],
        part_keys=[each.blob_key for each in plan.parts],
        blob_key=blob_key if merged.entries else None,
        first_sequence=merged.first_sequence,
        last_sequence=merged.last_sequence,
        entries=merged.entries,
        stored_bytes=merged.stored_bytes,
        duplicates=duplicates,
    )


async def _replace(pool: Pool, claimed: ClaimedDataset, replacement: Replacement) -> bool:
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        try:
            locked = await store.lock_dataset(conn, claimed.tenant_id, claimed.id)
            replaced = locked is not None and await merge_store.replace_indexes(
                conn, claimed.tenant_id, claimed.id, replacement
            )
        except BaseException:
            with suppress(DatabaseUnavailable):
                await transaction.rollback()
            raise
        if replaced:
            await transaction.commit()
        else:
            await transaction.rollback()
        return replaced
