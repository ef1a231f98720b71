"""Delete datasets, uploads and files, and return the keys of the blobs that nothing needs then."""

from uuid import UUID

from app.db import Connection

DELETE_HELD_FILE = """
WITH file AS (
    SELECT f.id, f.tenant_id
    FROM dataset_files AS f
    WHERE f.tenant_id = $1 AND f.upload_id = $2 AND f.path = $3 AND f.added_in IS NULL
),
parts AS (
    DELETE FROM dataset_parts AS p
    USING file
    WHERE p.tenant_id = $1 AND p.tenant_id = file.tenant_id AND p.file_id = file.id
    RETURNING p.blob_key, p.index_key
),
deleted AS (
    DELETE FROM dataset_files AS f
    USING file
    WHERE f.tenant_id = $1 AND f.tenant_id = file.tenant_id AND f.id = file.id
    RETURNING f.id
)
SELECT (SELECT count(*) FROM deleted) AS files,
       ARRAY(SELECT blob_key FROM parts
             UNION ALL SELECT index_key FROM parts WHERE index_key IS NOT NULL) AS blob_keys
"""


async def delete_held_file(
    conn: Connection, tenant: UUID, upload_id: UUID, path: str
) -> list[str] | None:
    """Delete a file of an open upload; return the keys of its blobs, None if there is none."""
    row = await conn.fetchrow(DELETE_HELD_FILE, tenant, upload_id, path)
    assert row is not None  # noqa: S101 - the statement returns one row
    blob_keys: list[str] = row["blob_keys"]
    return blob_keys if row["files"] else None


DELETE_UPLOAD = """
WITH files AS (
    SELECT f.id, f.tenant_id
    FROM dataset_files AS f
    WHERE f.tenant_id = $1 AND f.upload_id = $2 AND f.added_in IS NULL
),
parts AS (
    DELETE FROM dataset_parts AS p
    USING files
    WHERE p.tenant_id = $1 AND p.tenant_id = files.tenant_id AND p.file_id = files.id
    RETURNING p.blob_key, p.index_key
),
deleted_files AS (
    DELETE FROM dataset_files AS f
    USING files
    WHERE f.tenant_id = $1 AND f.tenant_id = files.tenant_id AND f.id = files.id
),
deleted AS (
    DELETE FROM dataset_uploads AS u
    WHERE u.tenant_id = $1 AND u.id = $2
)
SELECT blob_key FROM parts
UNION ALL
SELECT index_key FROM parts WHERE index_key IS NOT NULL
"""


async def delete_upload(conn: Connection, tenant: UUID, upload_id: UUID) -> list[str]:
    """Delete an upload and what it holds; return the keys of its blobs. Published files stay."""
    rows = await conn.fetch(DELETE_UPLOAD, tenant, upload_id)
    return [row["blob_key"] for row in rows]


# FOR UPDATE: waits for transactions that insert rows of the dataset, and keeps out others.
LOCK_FOR_DELETION = """
SELECT id
FROM datasets
WHERE tenant_id = $1 AND name = $2
FOR UPDATE
"""


async def lock_for_deletion(conn: Connection, tenant: UUID, name: str) -> UUID | None:
    """Lock a dataset that is to be deleted; return its id."""
    dataset_id: UUID | None = await conn.fetchval(LOCK_FOR_DELETION, tenant, name)
    return dataset_id


# Runs and exports are accepted while they share a lock on the dataset, which a deletion excludes.
SELECT_READER = """
SELECT id, 'run' AS kind
FROM runs
WHERE tenant_id = $1 AND dataset_id = $2 AND snapshot = $3 AND finished_at IS NULL
UNION ALL
SELECT id, 'export'
FROM exports
WHERE tenant_id = $1 AND dataset_id = $2 AND snapshot = $3 AND finished_at IS NULL
LIMIT 1
"""


async def find_reader(
    conn: Connection, tenant: UUID, dataset_id: UUID, snapshot: int
) -> tuple[str, UUID] | None:
    """Find a `run` or an `export` that has not ended and reads a snapshot of a locked dataset."""
    row = await conn.fetchrow(SELECT_READER, tenant, dataset_id, snapshot)
    return None if row is None else (row["kind"], row["id"])


DELETE_DATASET = """
WITH files AS (
    DELETE FROM dataset_files AS f
    WHERE f.tenant_id = $1 AND f.dataset_id = $2
    RETURNING f.id, f.tenant_id
),
parts AS (
    DELETE FROM dataset_parts AS p
    USING files
    WHERE p.tenant_id = $1 AND p.tenant_id = files.tenant_id AND p.file_id = files.id
    RETURNING p.blob_key, p.index_key
),
segments AS (
    DELETE FROM dataset_segments AS r
    WHERE r.tenant_id = $1 AND r.dataset_id = $2
    RETURNING r.blob_key
),
uploads AS (
    DELETE FROM dataset_uploads AS u
    WHERE u.tenant_id = $1 AND u.dataset_id = $2
),
snapshots AS (
    DELETE FROM dataset_snapshots AS s
    WHERE s.tenant_id = $1 AND s.dataset_id = $2
),
deleted AS (
    DELETE FROM datasets AS d
    WHERE d.tenant_id = $1 AND d.id = $2
)
SELECT blob_key FROM parts
UNION ALL
SELECT index_key FROM parts WHERE index_key IS NOT NULL
UNION ALL
SELECT blob_key FROM segments
"""


async def delete_dataset(conn: Connection, tenant: UUID, dataset_id: UUID) -> list[str]:
    """Delete a dataset with all that belongs to it; return the keys of its blobs."""
    rows = await conn.fetch(DELETE_DATASET, tenant, dataset_id)
    return [row["blob_key"] for row in rows]
