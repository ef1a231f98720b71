"""Claim datasets with indexes to merge, list these, and replace them by merged ones.

Statements here serve all tenants until they have claimed a dataset, whose tenant they return.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from app.datasets.parts import SegmentRef
from app.db import Connection, from_row, optional_from_row
from app.sql_parameters import in_order


class ClaimedDataset(Struct, frozen=True, kw_only=True):
    """A dataset whose indexes this process merges, until the claim expires."""

    id: UUID
    tenant_id: UUID


CLAIM_DATASET = """
UPDATE datasets
SET merging_until = clock_timestamp() + make_interval(secs => $1)
WHERE id = (
    SELECT id
    FROM datasets
    WHERE unmerged > 1 AND (merging_until IS NULL OR merging_until < clock_timestamp())
    ORDER BY merging_until NULLS FIRST, id
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING id, tenant_id
"""


async def claim_dataset(conn: Connection, *, seconds: float) -> ClaimedDataset | None:
    """Claim a dataset with indexes to merge; None if there is none."""
    return optional_from_row(ClaimedDataset, await conn.fetchrow(CLAIM_DATASET, seconds))


RELEASE_DATASET = """
UPDATE datasets
SET merging_until = clock_timestamp() + make_interval(secs => $3)
WHERE tenant_id = $1 AND id = $2
"""


async def release_dataset(conn: Connection, claimed: ClaimedDataset, *, seconds: float) -> None:
    """Let a claim end `seconds` from now."""
    await conn.execute(RELEASE_DATASET, claimed.tenant_id, claimed.id, seconds)


RENEW_CLAIM = """
UPDATE datasets
SET merging_until = clock_timestamp() + make_interval(secs => $3)
WHERE tenant_id = $1 AND id = $2 AND merging_until > clock_timestamp()
"""


async def renew_claim(conn: Connection, claimed: ClaimedDataset, *, seconds: float) -> None:
    """Let a claim that has not ended last `seconds` from now."""
    await conn.execute(RENEW_CLAIM, claimed.tenant_id, claimed.id, seconds)


class MergedIndex(Struct, frozen=True, kw_only=True):
    """An index that was merged from parts of a range of sequences."""

    blob_key: str
    stored_bytes: int
    first_sequence: int
    last_sequence: int
    entries: int

    def ref(self) -> SegmentRef:
        """Return the reference that merges take."""
        return SegmentRef(blob_key=self.blob_key, stored_bytes=self.stored_bytes)


class PartIndex(Struct, frozen=True, kw_only=True):
    """The index of one part, and the sequences of all parts of its file."""

    blob_key: str
    stored_bytes: int
    sequence: int
    entries: int
    file_id: UUID
    first_of_file: int
    last_of_file: int

    @property
    def file(self) -> range:
        """The sequences of the file's parts."""
        return range(self.first_of_file, self.last_of_file + 1)

    def ref(self) -> SegmentRef:
        """Return the reference that merges take."""
        return SegmentRef(
            blob_key=self.blob_key, stored_bytes=self.stored_bytes, sequence=self.sequence
        )


# The parts of a file are published together: their sequences differ as their numbers do.
SELECT_PART_INDEXES = """
SELECT p.index_key AS blob_key, p.index_bytes AS stored_bytes, p.sequence, p.records AS entries,
       f.id AS file_id, p.sequence - p.number + 1 AS first_of_file,
       p.sequence - p.number + f.parts AS last_of_file
FROM (
    SELECT tenant_id, file_id, number, sequence, records, index_bytes, index_key
    FROM dataset_parts
    WHERE tenant_id = $1 AND dataset_id = $2 AND index_key IS NOT NULL
    ORDER BY sequence
    LIMIT $3
) AS p
JOIN dataset_files AS f ON f.tenant_id = p.tenant_id AND f.id = p.file_id
WHERE f.tenant_id = $1
ORDER BY p.sequence
"""


async def select_part_indexes(
    conn: Connection, claimed: ClaimedDataset, *, limit: int
) -> list[PartIndex]:
    """List indexes of published parts, oldest first."""
    rows = await conn.fetch(SELECT_PART_INDEXES, claimed.tenant_id, claimed.id, limit)
    return [from_row(PartIndex, row) for row in rows]


SELECT_MERGED_INDEXES = """
SELECT blob_key, stored_bytes, first_sequence, last_sequence, entries
FROM dataset_segments
WHERE tenant_id = $1 AND dataset_id = $2
ORDER BY first_sequence DESC
"""


async def select_merged_indexes(conn: Connection, claimed: ClaimedDataset) -> list[MergedIndex]:
    """List merged indexes, newest first: few, as each is much smaller than the one before."""
    rows = await conn.fetch(SELECT_MERGED_INDEXES, claimed.tenant_id, claimed.id)
    return [from_row(MergedIndex, row) for row in rows]


# Sequences that follow each other without a gap have the same distance to their row number.
SELECT_LIVE_RANGES = """
SELECT min(n.sequence) AS first, max(n.sequence) AS last
FROM (
    SELECT p.sequence, p.sequence - row_number() OVER (ORDER BY p.sequence) AS distance
    FROM dataset_parts AS p
    WHERE p.tenant_id = $1 AND p.dataset_id = $2 AND p.sequence BETWEEN $3 AND $4
) AS n
GROUP BY n.distance
ORDER BY first
"""


async def select_live_ranges(
    conn: Connection, claimed: ClaimedDataset, *, first: int, last: int
) -> list[range]:
    """Return the sequences from `first` to `last` whose parts exist, as ranges in order."""
    rows = await conn.fetch(SELECT_LIVE_RANGES, claimed.tenant_id, claimed.id, first, last)
    return [range(row["first"], row["last"] + 1) for row in rows]


class Replacement(Struct, frozen=True, kw_only=True):
    """A merged index in place of those with `segment_keys` (merged before) and `part_keys`.

    `blob_key` is None if nothing was left to index. `duplicates` are to be added to files.
    """

    segment_keys: Sequence[str]
    part_keys: Sequence[str]
    blob_key: str | None
    first_sequence: int
    last_sequence: int
    entries: int
    stored_bytes: int
    duplicates: Mapping[UUID, int]


DELETE_SEGMENTS = """
DELETE FROM dataset_segments
WHERE tenant_id = $1 AND dataset_id = $2 AND blob_key = ANY ($3)
RETURNING blob_key
"""

# A join, as a comparison with an array of many keys would not be looked up by them.
TAKE_PART_INDEXES = """
UPDATE dataset_parts AS p
SET index_key = NULL
FROM unnest($3::text[]) AS t (index_key)
WHERE p.tenant_id = $1 AND p.dataset_id = $2 AND p.index_key = t.index_key
RETURNING p.number
"""

INSERT_SEGMENT = """
INSERT INTO dataset_segments
       (blob_key, tenant_id, dataset_id, first_sequence, last_sequence, entries, stored_bytes)
SELECT $1 AS blob_key, $2 AS tenant_id, $3 AS dataset_id, $4 AS first_sequence,
       $5 AS last_sequence, $6 AS entries, $7 AS stored_bytes
"""

ADD_DUPLICATES = """
UPDATE dataset_files AS f
SET duplicates = f.duplicates + d.duplicates
FROM unnest($3::uuid[], $4::bigint[]) AS d (id, duplicates)
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.id = d.id
"""

END_MERGE = """
UPDATE datasets
SET merging_until = NULL, revision = revision + 1, unmerged = unmerged - $3
WHERE tenant_id = $1 AND id = $2
"""


async def replace_indexes(
    conn: Connection, tenant: UUID, dataset_id: UUID, merged: Replacement
) -> bool:
    """Replace indexes of a locked dataset; return False if some are not there any more."""
    deleted = await conn.fetch(DELETE_SEGMENTS, tenant, dataset_id, merged.segment_keys)
    if len(deleted) < len(merged.segment_keys):
        return False
    taken = await conn.fetch(TAKE_PART_INDEXES, tenant, dataset_id, merged.part_keys)
    if len(taken) < len(merged.part_keys):
        return False
    if merged.blob_key is not None:
        values = in_order(
            INSERT_SEGMENT,
            blob_key=merged.blob_key,
            tenant_id=tenant,
            dataset_id=dataset_id,
            first_sequence=merged.first_sequence,
            last_sequence=merged.last_sequence,
            entries=merged.entries,
            stored_bytes=merged.stored_bytes,
        )
        await conn.execute(INSERT_SEGMENT, *values)
    await conn.execute(
        ADD_DUPLICATES,
        tenant,
        dataset_id,
        list(merged.duplicates),
        list(merged.duplicates.values()),
    )
    await conn.execute(END_MERGE, tenant, dataset_id, len(taken))
    return True
