"""Delete expired uploads, and snapshots by number and age, with the files that no other has.

Statements here serve all tenants until they have found a dataset: age and number alone decide.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.datasets.blob_cleanup import INDEX_FOLDER, PART_FOLDER
from app.db import Connection, from_row
from app.payloads.model import ExpiredBatch, Expiry, PayloadOwner
from app.settings import Settings

# With their datasets, as everything that locks an upload: a deletion of the dataset comes first.
LOCK_EXPIRED_UPLOADS = """
SELECT u.id
FROM dataset_uploads AS u
JOIN datasets AS d ON d.id = u.dataset_id
WHERE u.expires_at < now()
ORDER BY u.expires_at
LIMIT $1
FOR KEY SHARE OF d SKIP LOCKED
FOR UPDATE OF u SKIP LOCKED
"""

# A statement of its own: it sees what was committed before the uploads were locked.
DELETE_UPLOADS = """
WITH files AS MATERIALIZED (
    SELECT f.id
    FROM dataset_files AS f
    WHERE f.upload_id = ANY ($1) AND f.added_in IS NULL
),
parts AS (
    DELETE FROM dataset_parts AS p
    USING files
    WHERE p.file_id = files.id
    RETURNING p.blob_key, p.index_key
),
deleted_files AS (
    DELETE FROM dataset_files AS f
    USING files
    WHERE f.id = files.id
    RETURNING f.id
),
deleted AS (
    DELETE FROM dataset_uploads AS u
    WHERE u.id = ANY ($1)
    RETURNING u.id
)
SELECT (SELECT count(*) FROM deleted) AS items,
       (SELECT count(*) FROM deleted_files) AS rows,
       ARRAY(SELECT blob_key FROM parts
             UNION ALL SELECT index_key FROM parts WHERE index_key IS NOT NULL) AS blob_keys
"""


async def delete_expired_uploads(conn: Connection, limit: int) -> ExpiredBatch:
    """Delete up to `limit` uploads that have expired; what they published stays."""
    async with conn.transaction():
        expired = [row["id"] for row in await conn.fetch(LOCK_EXPIRED_UPLOADS, limit)]
        return from_row(ExpiredBatch, *await conn.fetch(DELETE_UPLOADS, expired))


class DueDataset(Struct, frozen=True, kw_only=True):
    """A dataset with snapshots to delete: those numbered up to `last_due`."""

    id: UUID
    tenant_id: UUID
    last_due: int


_DUE_DATASETS = """
SELECT d.id, d.tenant_id, due.number AS last_due
FROM datasets AS d
CROSS JOIN LATERAL (
    -- Snapshots that a run or an export reads stay, and those after them.
    SELECT least(
               coalesce(max(number), 0),
               (SELECT min(r.snapshot) - 1
                FROM runs AS r
                WHERE r.tenant_id = d.tenant_id AND r.dataset_id = d.id
                  AND r.finished_at IS NULL),
               (SELECT min(e.snapshot) - 1
                FROM exports AS e
                WHERE e.tenant_id = d.tenant_id AND e.dataset_id = d.id
                  AND e.finished_at IS NULL)
           ) AS number
    FROM (
        (SELECT s.number
         FROM dataset_snapshots AS s
         WHERE s.tenant_id = d.tenant_id AND s.dataset_id = d.id
           AND coalesce(d.keep_snapshots, $1) > 0
         ORDER BY s.number DESC
         OFFSET coalesce(d.keep_snapshots, $1)
         LIMIT 1)
        UNION ALL
        (SELECT s.number
         FROM dataset_snapshots AS s
         WHERE s.tenant_id = d.tenant_id AND s.dataset_id = d.id
           AND s.number < d.last_snapshot
           AND coalesce(d.keep_days, $2) > 0
           AND s.created_at < now() - make_interval(days => coalesce(d.keep_days, $2))
         ORDER BY s.number DESC
         LIMIT 1)
    ) AS numbers
) AS due
WHERE d.last_snapshot > 1 AND due.number > 0
"""

SELECT_DUE_DATASETS = _DUE_DATASETS + "ORDER BY d.id LIMIT $3"

SELECT_DUE_DATASET = _DUE_DATASETS + "AND d.tenant_id = $3 AND d.id = $4"

LOCK_DUE_DATASET = """
SELECT id
FROM datasets
WHERE tenant_id = $1 AND id = $2
FOR NO KEY UPDATE SKIP LOCKED
"""

DELETE_SNAPSHOTS = """
DELETE FROM dataset_snapshots
WHERE tenant_id = $1 AND dataset_id = $2 AND number BETWEEN $3 AND $4
RETURNING number
"""

# The files between the snapshots that stay before and after the deleted ones. The newest stays.
DELETE_UNUSED_FILES = """
WITH gap AS MATERIALIZED (
    SELECT coalesce(max(s.number) FILTER (WHERE s.number < $3), 0) AS before,
           min(s.number) FILTER (WHERE s.number > $4) AS after
    FROM dataset_snapshots AS s
    WHERE s.tenant_id = $1 AND s.dataset_id = $2
),
unused AS MATERIALIZED (
    SELECT f.id, f.tenant_id
    FROM gap
    JOIN dataset_files AS f ON f.removed_in > $3 AND f.removed_in <= gap.after
                           AND f.added_in > gap.before
    WHERE f.tenant_id = $1 AND f.dataset_id = $2
),
parts AS (
    DELETE FROM dataset_parts AS p
    USING unused
    WHERE p.tenant_id = $1 AND p.tenant_id = unused.tenant_id AND p.file_id = unused.id
    RETURNING p.blob_key, p.index_key
),
files AS (
    DELETE FROM dataset_files AS f
    USING unused
    WHERE f.tenant_id = $1 AND f.tenant_id = unused.tenant_id AND f.id = unused.id
)
SELECT (SELECT count(index_key) FROM parts) AS unmerged,
       ARRAY(SELECT blob_key FROM parts
             UNION ALL SELECT index_key FROM parts WHERE index_key IS NOT NULL) AS blob_keys
"""

# Merged indexes whose parts are all deleted.
DELETE_UNUSED_SEGMENTS = """
DELETE FROM dataset_segments AS r
WHERE r.tenant_id = $1 AND r.dataset_id = $2
  AND NOT EXISTS (
      SELECT
      FROM dataset_parts AS p
      WHERE p.tenant_id = r.tenant_id AND p.dataset_id = r.dataset_id
        AND p.sequence BETWEEN r.first_sequence AND r.last_sequence
  )
RETURNING r.blob_key
"""

COUNT_CHANGE = """
UPDATE datasets
SET revision = revision + 1, updated_at = clock_timestamp(), unmerged = unmerged - $3
WHERE tenant_id = $1 AND id = $2
"""


class DeletedSnapshots(Struct, frozen=True, kw_only=True):
    """How many snapshots were deleted, and the keys of blobs that nothing needs then."""

    snapshots: int
    blob_keys: list[str]


async def delete_snapshots(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, first: int, last: int
) -> DeletedSnapshots:
    """Delete snapshots of a locked dataset, except its newest, and files that only they had."""
    numbers = await conn.fetch(DELETE_SNAPSHOTS, tenant, dataset_id, first, last)
    unused = await conn.fetchrow(DELETE_UNUSED_FILES, tenant, dataset_id, first, last)
    assert unused is not None  # noqa: S101 - a count has a row
    blob_keys: list[str] = unused["blob_keys"]
    if blob_keys:
        segments = await conn.fetch(DELETE_UNUSED_SEGMENTS, tenant, dataset_id)
        blob_keys += [row["blob_key"] for row in segments]
    await conn.execute(COUNT_CHANGE, tenant, dataset_id, unused["unmerged"])
    return DeletedSnapshots(snapshots=len(numbers), blob_keys=blob_keys)


async def expire_snapshots(conn: Connection, settings: Settings, limit: int) -> ExpiredBatch:
    """Delete the snapshots of up to `limit` datasets that are over their number or age."""
    defaults = (settings.default_keep_snapshots, settings.default_keep_snapshots_days)
    due = [
        from_row(DueDataset, row) for row in await conn.fetch(SELECT_DUE_DATASETS, *defaults, limit)
    ]
    deleted = [await expire_snapshots_of(conn, settings, each.tenant_id, each.id) for each in due]
    return ExpiredBatch(
        items=sum(each.snapshots > 0 for each in deleted),
        rows=sum(each.snapshots for each in deleted),
        blob_keys=[key for each in deleted for key in each.blob_keys],
    )


async def expire_snapshots_of(
    conn: Connection, settings: Settings, tenant: UUID, dataset_id: UUID
) -> DeletedSnapshots:
    """Delete what is due of one dataset, by its settings of now, unless it is locked."""
    defaults = (settings.default_keep_snapshots, settings.default_keep_snapshots_days)
    async with conn.transaction():
        if await conn.fetchval(LOCK_DUE_DATASET, tenant, dataset_id) is not None:
            row = await conn.fetchrow(SELECT_DUE_DATASET, *defaults, tenant, dataset_id)
            if row is not None:
                last = from_row(DueDataset, row).last_due
                return await delete_snapshots(conn, tenant, dataset_id, first=1, last=last)
    return DeletedSnapshots(snapshots=0, blob_keys=[])


SELECT_REFERENCED_KEYS = """
SELECT blob_key FROM dataset_parts WHERE blob_key = ANY ($1)
UNION ALL
SELECT index_key FROM dataset_parts WHERE index_key = ANY ($1)
UNION ALL
SELECT blob_key FROM dataset_segments WHERE blob_key = ANY ($1)
UNION ALL
SELECT blob_key FROM run_outputs WHERE blob_key = ANY ($1)
UNION ALL
SELECT index_key FROM run_outputs WHERE index_key = ANY ($1)
"""


async def select_referenced_keys(conn: Connection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that a row references."""
    return {row["blob_key"] for row in await conn.fetch(SELECT_REFERENCED_KEYS, keys)}


_ALWAYS: Final = 1


def datasets_owner(settings: Settings) -> PayloadOwner:
    """Describe the blobs of datasets to retention, which runs with these settings."""

    async def expire_uploads(conn: Connection, _days: int, limit: int) -> ExpiredBatch:
        return await delete_expired_uploads(conn, limit)

    async def expire(conn: Connection, _days: int, limit: int) -> ExpiredBatch:
        return await expire_snapshots(conn, settings, limit)

    return PayloadOwner(
        name="datasets",
        folders=frozenset({PART_FOLDER, INDEX_FOLDER}),
        select_referenced_keys=select_referenced_keys,
        expiries=(
            Expiry(days=lambda _: _ALWAYS, expire_batch=expire_uploads, event="uploads.expired"),
            Expiry(days=lambda _: _ALWAYS, expire_batch=expire, event="snapshots.expired"),
        ),
    )
