"""Claim datasets whose indexes are to be merged, and replace indexes by merged ones.

Statements here serve all tenants until they have claimed a dataset, whose tenant they return.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from app.db import Connection, optional_from_row
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

# The files of the dataset lead to its parts by their primary key.
TAKE_PART_INDEXES = """
UPDATE dataset_parts AS p
SET index_key = NULL
FROM dataset_files AS f
WHERE p.tenant_id = $1 AND f.tenant_id = $1 AND f.dataset_id = $2 AND p.file_id = f.id
  AND p.index_key = ANY ($3)
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
UPDATE datasets AS d
SET merging_until = NULL, revision = d.revision + 1, unmerged = (
    SELECT count(*)
    FROM dataset_files AS f
    JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
    WHERE f.tenant_id = d.tenant_id AND f.dataset_id = d.id AND f.added_in IS NOT NULL
      AND p.index_key IS NOT NULL
)
WHERE d.tenant_id = $1 AND d.id = $2
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
    await conn.execute(END_MERGE, tenant, dataset_id)
    return True
