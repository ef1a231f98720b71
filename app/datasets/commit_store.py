"""Publish what an upload holds as the next snapshot, in a transaction of the caller."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.datasets.model import CommitFile, Mode, Snapshot
from app.datasets.store import SELECT_SNAPSHOT, LockedDataset
from app.db import Connection, from_row


class HeldFile(Struct, frozen=True, kw_only=True):
    """What an upload holds of one file; `whole` says that all parts but the last end a line."""

    id: UUID
    path: str
    parts: int
    last_part: int
    whole: bool
    digest: str


SELECT_COMMITTED_FILES = """
SELECT path, parts, encode(digest, 'hex') AS digest
FROM dataset_files
WHERE tenant_id = $1 AND upload_id = $2 AND added_in IS NOT NULL
ORDER BY position
"""


async def select_committed_files(
    conn: Connection, tenant: UUID, upload_id: UUID
) -> list[CommitFile]:
    """Return what a commit named whose snapshot is still there."""
    rows = await conn.fetch(SELECT_COMMITTED_FILES, tenant, upload_id)
    return [from_row(CommitFile, row) for row in rows]


# In the order of bytes, 0 is next after the slash.
SELECT_NESTED_FILES = """
SELECT f.path
FROM unnest($3::text[]) AS n (path)
JOIN dataset_files AS f ON f.path > n.path || '/'
                       AND f.path < n.path || '0'
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.added_in IS NOT NULL AND f.removed_in IS NULL
UNION ALL
SELECT f.path
FROM unnest($4::text[]) AS n (path)
JOIN dataset_files AS f ON f.path = n.path
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.added_in IS NOT NULL AND f.removed_in IS NULL
LIMIT $5
"""


async def select_nested_files(
    conn: Connection,
    tenant: UUID,
    dataset_id: UUID,
    paths: Sequence[str],
    folders: Sequence[str],
    *,
    limit: int,
) -> list[str]:
    """List current files that are in a folder with one of the paths, or are one of the folders."""
    rows = await conn.fetch(SELECT_NESTED_FILES, tenant, dataset_id, paths, folders, limit)
    return [row["path"] for row in rows]


SELECT_FILES_TO_COMMIT = """
SELECT f.id, f.path, count(p.number) AS parts, coalesce(max(p.number), 0) AS last_part,
       coalesce(bool_and(p.ends_line OR p.number = p.last OR p.raw_bytes = 0), true) AS whole,
       encode(sha256(coalesce(string_agg(p.sha256, ''::bytea ORDER BY p.number), '')), 'hex')
       AS digest
FROM dataset_files AS f
LEFT JOIN (
    SELECT p.*, max(p.number) OVER (PARTITION BY p.file_id) AS last
    FROM dataset_files AS g
    JOIN dataset_parts AS p ON p.tenant_id = g.tenant_id AND p.file_id = g.id
    WHERE g.tenant_id = $1 AND g.upload_id = $2
) AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
WHERE f.tenant_id = $1 AND f.upload_id = $2
GROUP BY f.id, f.path
"""


async def select_files_to_commit(conn: Connection, tenant: UUID, upload_id: UUID) -> list[HeldFile]:
    """Describe the files of an upload, for a comparison with its commit."""
    return [
        from_row(HeldFile, row)
        for row in await conn.fetch(SELECT_FILES_TO_COMMIT, tenant, upload_id)
    ]


class PublishedParts(Struct, frozen=True, kw_only=True):
    """How many parts were published, and how many of them have an index."""

    parts: int
    indexed: int


PUBLISH_PARTS = """
WITH chosen AS (
    SELECT f.id, f.tenant_id, f.dataset_id, c.position
    FROM unnest($3::uuid[]) WITH ORDINALITY AS c (id, position)
    JOIN dataset_files AS f ON f.id = c.id
    WHERE f.tenant_id = $1 AND f.upload_id = $2
),
ordered AS (
    SELECT p.tenant_id, p.file_id, p.number, c.dataset_id,
           $4 + row_number() OVER (ORDER BY c.position, p.number) - 1 AS sequence,
           coalesce(sum(p.raw_bytes) OVER earlier, 0) AS first_byte,
           coalesce(sum(p.lines) OVER earlier, 0) AS first_line
    FROM chosen AS c
    JOIN dataset_parts AS p ON p.tenant_id = c.tenant_id AND p.file_id = c.id
    WINDOW earlier AS (
        PARTITION BY p.file_id ORDER BY p.number
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),
published AS (
    UPDATE dataset_parts AS p
    SET dataset_id = o.dataset_id, sequence = o.sequence, first_byte = o.first_byte,
        first_line = o.first_line
    FROM ordered AS o
    WHERE p.tenant_id = $1 AND p.tenant_id = o.tenant_id AND p.file_id = o.file_id
      AND p.number = o.number
    RETURNING p.index_key
)
SELECT count(*) AS parts, count(index_key) AS indexed
FROM published
"""


async def publish_parts(
    conn: Connection,
    tenant: UUID,
    upload_id: UUID,
    file_ids: Sequence[UUID],
    *,
    first_sequence: int,
    timeout_seconds: float | None = None,
) -> PublishedParts:
    """Number the parts of an upload in the order of `file_ids`, and note where each begins."""
    row = await conn.fetchrow(
        PUBLISH_PARTS, tenant, upload_id, file_ids, first_sequence, timeout=timeout_seconds
    )
    assert row is not None  # noqa: S101 - a count has a row
    return from_row(PublishedParts, row)


# Before the new files are published: a path names one file of a snapshot.
REMOVE_ALL_FILES = """
UPDATE dataset_files
SET removed_in = $3
WHERE tenant_id = $1 AND dataset_id = $2 AND added_in IS NOT NULL AND removed_in IS NULL
"""

# A join, as a comparison with an array of many paths would not be looked up by them.
REMOVE_FILES = """
UPDATE dataset_files AS f
SET removed_in = $3
FROM unnest($4::text[]) AS n (path)
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.path = n.path
  AND f.added_in IS NOT NULL AND f.removed_in IS NULL
"""

PUBLISH_FILES = """
UPDATE dataset_files AS f
SET added_in = $3, position = c.position, digest = c.digest, parts = c.parts,
    raw_bytes = c.raw_bytes, stored_bytes = c.stored_bytes, lines = c.lines,
    records = c.records, missing_keys = c.missing_keys, duplicates = c.duplicates
FROM (
    SELECT p.tenant_id, c.id, c.position, count(*) AS parts,
           sha256(string_agg(p.sha256, ''::bytea ORDER BY p.number)) AS digest,
           sum(p.raw_bytes) AS raw_bytes, sum(p.stored_bytes + p.index_bytes) AS stored_bytes,
           sum(p.lines) AS lines, sum(p.records) AS records, sum(p.missing_keys) AS missing_keys,
           sum(p.duplicates) AS duplicates
    FROM unnest($4::uuid[]) WITH ORDINALITY AS c (id, position)
    JOIN dataset_parts AS p ON p.file_id = c.id
    WHERE p.tenant_id = $1
    GROUP BY p.tenant_id, c.id, c.position
) AS c
WHERE f.tenant_id = $1 AND f.tenant_id = c.tenant_id AND f.upload_id = $2 AND f.id = c.id
"""


async def publish_files(
    conn: Connection,
    tenant: UUID,
    dataset_id: UUID,
    upload_id: UUID,
    files: Sequence[HeldFile],
    *,
    mode: Mode,
    snapshot: int,
    timeout_seconds: float | None = None,
) -> None:
    """Make files part of a snapshot, in this order, in place of those that `mode` removes."""
    if mode is Mode.REPLACE:
        await conn.execute(REMOVE_ALL_FILES, tenant, dataset_id, snapshot)
    else:
        paths = [each.path for each in files]
        await conn.execute(REMOVE_FILES, tenant, dataset_id, snapshot, paths)
    file_ids = [each.id for each in files]
    await conn.execute(
        PUBLISH_FILES, tenant, upload_id, snapshot, file_ids, timeout=timeout_seconds
    )


# The totals of the snapshot before, which is never deleted, and what has changed since.
INSERT_SNAPSHOT = """
INSERT INTO dataset_snapshots
       (dataset_id, number, tenant_id, mode, files, raw_bytes, stored_bytes, lines, records,
        missing_keys)
SELECT $2, $3, $1, $4, coalesce(sum(t.files), 0), coalesce(sum(t.raw_bytes), 0),
       coalesce(sum(t.stored_bytes), 0), coalesce(sum(t.lines), 0), coalesce(sum(t.records), 0),
       coalesce(sum(t.missing_keys), 0)
FROM (
    SELECT s.files, s.raw_bytes, s.stored_bytes, s.lines, s.records, s.missing_keys
    FROM dataset_snapshots AS s
    WHERE s.tenant_id = $1 AND s.dataset_id = $2 AND s.number = $3 - 1
    UNION ALL
    SELECT 1, f.raw_bytes, f.stored_bytes, f.lines, f.records, f.missing_keys
    FROM dataset_files AS f
    WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.added_in = $3
    UNION ALL
    SELECT -1, -f.raw_bytes, -f.stored_bytes, -f.lines, -f.records, -f.missing_keys
    FROM dataset_files AS f
    WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.removed_in = $3
) AS t
"""

ADVANCE_DATASET = """
UPDATE datasets
SET last_snapshot = $3, next_sequence = next_sequence + $4, unmerged = unmerged + $5,
    revision = revision + 1, updated_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2
"""

COMMIT_UPLOAD = """
UPDATE dataset_uploads
SET snapshot = $3, expires_at = greatest(expires_at, clock_timestamp() + make_interval(hours => $4))
WHERE tenant_id = $1 AND id = $2
"""


async def insert_snapshot(
    conn: Connection,
    tenant: UUID,
    dataset: LockedDataset,
    upload_id: UUID,
    *,
    mode: Mode,
    published: PublishedParts,
    hours: int,
) -> Snapshot:
    """Add the next snapshot with the totals of its files, and commit its upload.

    The commit can be repeated for `hours`.
    """
    number = dataset.last_snapshot + 1
    await conn.execute(INSERT_SNAPSHOT, tenant, dataset.id, number, mode)
    await conn.execute(
        ADVANCE_DATASET, tenant, dataset.id, number, published.parts, published.indexed
    )
    await conn.execute(COMMIT_UPLOAD, tenant, upload_id, number, hours)
    row = await conn.fetchrow(SELECT_SNAPSHOT, tenant, dataset.id, number)
    assert row is not None  # noqa: S101 - it was inserted
    return from_row(Snapshot, row)
