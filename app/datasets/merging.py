"""Merge the key indexes of datasets in the background, so that lookups search few of them.

Every part comes with an index of its own. A merge takes all of those, and the newest merged
indexes as long as they are not much larger than what it has: their sizes grow at least twofold
from the newest to the oldest, so a dataset has few, and an entry is rewritten few times.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct

from app.background import retry_forever
from app.blobs import BlobMissing, Blobs
from app.datasets import catalog_store, merge_store, store
from app.datasets.blob_cleanup import delete_blobs, new_index_key
from app.datasets.catalog import Catalog, load_catalog
from app.datasets.catalog_store import StoredSegment
from app.datasets.merge_store import ClaimedDataset, Replacement
from app.datasets.parts import MergedSegment, merge_segments
from app.db import Pool
from app.metrics import INDEXES_MERGED
from app.outages import DatabaseUnavailable

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 1.0
# Longer than a merge takes. Two processes that merge the same indexes waste time only.
_CLAIM_SECONDS: Final = 900.0
_RETRY_SECONDS: Final = 5.0
_GROWTH: Final = 2
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
    is_merged = False
    try:
        is_merged = await _merge_claimed(pool, blobs, claimed)
    finally:
        if not is_merged:
            # Such as in an outage of the blob store: the claim would last longer than that.
            with suppress(DatabaseUnavailable):
                async with pool.acquire() as conn:
                    await merge_store.release_dataset(conn, claimed, seconds=_RETRY_SECONDS)
    return True


async def _merge_claimed(pool: Pool, blobs: Blobs, claimed: ClaimedDataset) -> bool:
    """Merge what a dataset has; return False if its rows have changed meanwhile."""
    planned = await _plan(pool, claimed)
    if planned is None:
        return False
    blob_key = new_index_key(claimed.tenant_id)
    try:
        merged = await _merge(blobs, planned, to=blob_key)
    except BlobMissing:
        # Retention or a deletion has been faster; the rows say what is left.
        await delete_blobs(blobs, [blob_key])
        return False
    if not await _replace(pool, claimed, _replacement(planned, merged, blob_key)):
        await delete_blobs(blobs, [blob_key])
        return False
    INDEXES_MERGED.inc(len(planned.segments))
    log.info("indexes.merged", indexes=len(planned.segments), entries=merged.entries)
    await delete_blobs(blobs, [segment.blob_key for segment in planned.segments])
    return True


class _Plan(Struct, frozen=True, kw_only=True):
    """Indexes to merge, newest first, and the catalog that they belong to."""

    segments: Sequence[StoredSegment]
    catalog: Catalog


async def _plan(pool: Pool, claimed: ClaimedDataset) -> _Plan | None:
    async with (
        pool.acquire() as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        catalog = await load_catalog(conn, claimed.tenant_id, claimed.id)
        if catalog is None:
            return None
        segments = await catalog_store.select_segments(conn, claimed.tenant_id, claimed.id)
    chosen = segments_to_merge(segments)
    return _Plan(segments=chosen, catalog=catalog) if chosen else None


def segments_to_merge(segments: Sequence[StoredSegment]) -> list[StoredSegment]:
    """Choose what to merge of a dataset's indexes, newest first; they are adjacent."""
    chosen: list[StoredSegment] = []
    entries = 0
    for segment in segments:
        is_much_larger = segment.sequence is None and segment.entries > _GROWTH * entries
        if chosen and (is_much_larger or entries + segment.entries > _MAX_ENTRIES):
            break
        chosen.append(segment)
        entries += segment.entries
    return chosen


async def _merge(blobs: Blobs, planned: _Plan, *, to: str) -> MergedSegment:
    catalog = planned.catalog
    numbers = {file_id: number for number, file_id in enumerate(catalog.files)}
    new = {segment.sequence for segment in planned.segments if segment.sequence is not None}

    def file_of(sequence: int) -> int:
        # Duplicates of merged parts are counted already: each counts as a file of its own.
        if sequence in new and catalog.has(sequence):
            return numbers[catalog.file_at(sequence).id]
        return -1 - sequence

    return await merge_segments(
        blobs,
        [segment.ref() for segment in reversed(planned.segments)],
        to=to,
        live=catalog.has,
        file_of=file_of,
    )


def _replacement(planned: _Plan, merged: MergedSegment, blob_key: str) -> Replacement:
    duplicates: dict[UUID, int] = {}
    for sequence, count in merged.duplicates.items():
        with suppress(KeyError):
            file_id = planned.catalog.file_at(sequence).id
            duplicates[file_id] = duplicates.get(file_id, 0) + count
    return Replacement(
        segment_keys=[segment.blob_key for segment in planned.segments if segment.sequence is None],
        part_keys=[
            segment.blob_key for segment in planned.segments if segment.sequence is not None
        ],
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
