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

DELETE_EXPIRED_UPLOADS = """
WITH due AS MATERIALIZED (
    SELECT id, tenant_id
    FROM dataset_uploads
    WHERE expires_at < clock_timestamp()
    ORDER BY expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
),
files AS MATERIALIZED (
    SELECT f.id
    FROM due
    JOIN dataset_files AS f ON f.upload_id = due.id AND f.added_in IS NULL
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
    USING due
    WHERE u.id = due.id
    RETURNING u.id
)
SELECT (SELECT count(*) FROM deleted) AS items,
       (SELECT count(*) FROM deleted_files) AS rows,
       ARRAY(SELECT blob_key FROM parts
             UNION ALL SELECT index_key FROM parts WHERE index_key IS NOT NULL) AS blob_keys
"""


async def delete_expired_uploads(conn: Connection, limit: int) -> ExpiredBatch:
    """Delete up to `limit` uploads that have expired; what they published stays."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_EXPIRED_UPLOADS, limit))


class DueDataset(Struct, frozen=True, kw_only=True):
    """A dataset with snapshots to delete: those numbered up to `last_due`."""

    id: UUID
    tenant_id: UUID
    last_due: int


SELECT_DUE_DATASETS = """
SELECT d.id, d.tenant_id, due.number AS last_due
FROM datasets AS d
CROSS JOIN LATERAL (
    SELECT coalesce(max(number), 0) AS number
    FROM (
        (SELECT s.number
         FROM dataset_snapshots AS s
         WHERE s.dataset_id = d.id AND coalesce(d.keep_snapshots, $1) > 0
         ORDER BY s.number DESC
         OFFSET coalesce(d.keep_snapshots, $1)
         LIMIT 1)
        UNION ALL
        (SELECT s.number
         FROM dataset_snapshots AS s
         WHERE s.dataset_id = d.id AND s.number < d.last_snapshot
           AND coalesce(d.keep_days, $2) > 0
           AND s.created_at < clock_timestamp() - make_interval(days => coalesce(d.keep_days, $2))
         ORDER BY s.number DESC
         LIMIT 1)
    ) AS numbers
) AS due
WHERE due.number > 0
ORDER BY d.id
LIMIT $3
"""

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

# A removed file that no snapshot has; those of the newest snapshot are not removed.
DELETE_UNUSED_FILES = """
WITH unused AS MATERIALIZED (
    SELECT f.id, f.tenant_id
    FROM dataset_files AS f
    WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.removed_in IS NOT NULL
      AND NOT EXISTS (
          SELECT
          FROM dataset_snapshots AS s
          WHERE s.tenant_id = f.tenant_id AND s.dataset_id = f.dataset_id
            AND s.number >= f.added_in AND s.number < f.removed_in
      )
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
SELECT blob_key FROM parts
UNION ALL
SELECT index_key FROM parts WHERE index_key IS NOT NULL
"""

# A merged index whose parts are all deleted.
DELETE_UNUSED_SEGMENTS = """
DELETE FROM dataset_segments AS r
WHERE r.tenant_id = $1 AND r.dataset_id = $2
  AND NOT EXISTS (
      SELECT
      FROM dataset_files AS f
      JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
      WHERE f.tenant_id = r.tenant_id AND f.dataset_id = r.dataset_id
        AND p.sequence BETWEEN r.first_sequence AND r.last_sequence
  )
RETURNING r.blob_key
"""

COUNT_CHANGE = """
UPDATE datasets AS d
SET revision = d.revision + 1, updated_at = clock_timestamp(), unmerged = (
    SELECT count(*)
    FROM dataset_files AS f
    JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
    WHERE f.tenant_id = d.tenant_id AND f.dataset_id = d.id AND f.added_in IS NOT NULL
      AND p.index_key IS NOT NULL
)
WHERE d.tenant_id = $1 AND d.id = $2
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
    rows = await conn.fetch(DELETE_UNUSED_FILES, tenant, dataset_id)
    if rows:
        rows += await conn.fetch(DELETE_UNUSED_SEGMENTS, tenant, dataset_id)
    await conn.execute(COUNT_CHANGE, tenant, dataset_id)
    return DeletedSnapshots(snapshots=len(numbers), blob_keys=[row["blob_key"] for row in rows])


async def expire_snapshots(conn: Connection, settings: Settings, limit: int) -> ExpiredBatch:
    """Delete the snapshots of up to `limit` datasets that are over their number or age."""
    defaults = (settings.default_keep_snapshots, settings.default_keep_snapshots_days)
    due = [
        from_row(DueDataset, row) for row in await conn.fetch(SELECT_DUE_DATASETS, *defaults, limit)
    ]
    deleted: list[DeletedSnapshots] = []
    for each in due:
        async with conn.transaction():
            if await conn.fetchval(LOCK_DUE_DATASET, each.tenant_id, each.id) is not None:
                deleted.append(
                    await delete_snapshots(
                        conn, each.tenant_id, each.id, first=1, last=each.last_due
                    )
                )
    return ExpiredBatch(
        items=len(due),
        rows=sum(each.snapshots for each in deleted),
        blob_keys=[key for each in deleted for key in each.blob_keys],
    )


SELECT_REFERENCED_KEYS = """
SELECT blob_key FROM dataset_parts WHERE blob_key = ANY ($1)
UNION ALL
SELECT index_key FROM dataset_parts WHERE index_key = ANY ($1)
UNION ALL
SELECT blob_key FROM dataset_segments WHERE blob_key = ANY ($1)
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
