"""Store uploads, and the files and parts that they hold until they are committed.

Locks are taken in one order: the dataset's row, then the upload's, then the tenant's quota.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from app.datasets.model import Mode
from app.datasets.parts import Format, StoredPart
from app.db import Connection, from_row, optional_from_row
from app.limits import MIN_COUNTED_PART_BYTES
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.quotas.store import select_stored_bytes_cap
from app.schemas.pinned import SchemaKey
from app.sql_parameters import in_order

INSERT_UPLOAD = """
INSERT INTO dataset_uploads (id, tenant_id, dataset_id, mode, expires_at)
SELECT $1, d.tenant_id, d.id, $4, clock_timestamp() + make_interval(hours => $5)
FROM datasets AS d
WHERE d.tenant_id = $2 AND d.name = $3
FOR KEY SHARE
RETURNING id
"""


async def insert_upload(
    conn: Connection, tenant: UUID, upload_id: UUID, *, dataset: str, mode: Mode, hours: int
) -> bool:
    """Begin an upload; return whether the dataset exists."""
    row = await conn.fetchval(INSERT_UPLOAD, upload_id, tenant, dataset, mode, hours)
    return row is not None


class StoredUpload(Struct, frozen=True, kw_only=True):
    """An upload with its dataset; `snapshot` is None while it is open."""

    id: UUID
    dataset_id: UUID
    dataset: str
    format: Format
    key: str | None
    hash_seed: int
    record_schema_id: UUID | None
    record_schema_version: int | None
    mode: Mode
    snapshot: int | None
    created_at: datetime
    expires_at: datetime

    @property
    def record_schema(self) -> SchemaKey | None:
        """The schema that each record has to satisfy."""
        if self.record_schema_id is None or self.record_schema_version is None:
            return None
        return SchemaKey(self.record_schema_id, self.record_schema_version)


SELECT_UPLOAD = """
SELECT u.id, d.id AS dataset_id, d.name AS dataset, d.format, d.key, d.hash_seed,
       d.record_schema_id, d.record_schema_version, u.mode, u.snapshot, u.created_at, u.expires_at
FROM dataset_uploads AS u
JOIN datasets AS d ON d.tenant_id = u.tenant_id AND d.id = u.dataset_id
WHERE u.tenant_id = $1 AND u.id = $2 AND u.expires_at > clock_timestamp()
"""


async def select_upload(conn: Connection, tenant: UUID, upload_id: UUID) -> StoredUpload | None:
    """Find an upload that has not expired."""
    return optional_from_row(StoredUpload, await conn.fetchrow(SELECT_UPLOAD, tenant, upload_id))


# The dataset is locked first, as a deletion does.
SHARE_DATASET = """
SELECT d.id
FROM dataset_uploads AS u
JOIN datasets AS d ON d.tenant_id = u.tenant_id AND d.id = u.dataset_id
WHERE u.tenant_id = $1 AND u.id = $2
FOR KEY SHARE OF d
"""

LOCK_UPLOAD = SELECT_UPLOAD + "FOR UPDATE OF u"


async def lock_upload(conn: Connection, tenant: UUID, upload_id: UUID) -> StoredUpload | None:
    """Lock an upload's row until the transaction ends; its dataset stays until then."""
    if await conn.fetchval(SHARE_DATASET, tenant, upload_id) is None:
        return None
    return optional_from_row(StoredUpload, await conn.fetchrow(LOCK_UPLOAD, tenant, upload_id))


SELECT_OPEN_UPLOADS = """
SELECT u.id, d.id AS dataset_id, d.name AS dataset, d.format, d.key, d.hash_seed,
       d.record_schema_id, d.record_schema_version, u.mode, u.snapshot, u.created_at, u.expires_at
FROM dataset_uploads AS u
JOIN datasets AS d ON d.tenant_id = u.tenant_id AND d.id = u.dataset_id
WHERE u.tenant_id = $1 AND u.dataset_id = $2 AND u.snapshot IS NULL
  AND u.expires_at > clock_timestamp() AND u.id < $3
ORDER BY u.id DESC
LIMIT $4
"""


async def select_open_uploads(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, below: UUID, limit: int
) -> list[StoredUpload]:
    """List the open uploads of a dataset, newest first."""
    rows = await conn.fetch(SELECT_OPEN_UPLOADS, tenant, dataset_id, below, limit)
    return [from_row(StoredUpload, row) for row in rows]


EXTEND_UPLOAD = """
UPDATE dataset_uploads
SET expires_at = clock_timestamp() + make_interval(hours => $3)
WHERE tenant_id = $1 AND id = $2
"""


async def extend_upload(conn: Connection, tenant: UUID, upload_id: UUID, *, hours: int) -> None:
    """Let an upload expire `hours` from now."""
    await conn.execute(EXTEND_UPLOAD, tenant, upload_id, hours)


class HeldCounts(Struct, frozen=True, kw_only=True):
    """How many files an upload holds, and the bytes of their paths."""

    files: int
    path_bytes: int


COUNT_FILE = """
UPDATE dataset_uploads
SET files = files + $3, path_bytes = path_bytes + $3 * octet_length($4)
WHERE tenant_id = $1 AND id = $2
RETURNING files, path_bytes
"""


async def count_file(
    conn: Connection, tenant: UUID, upload_id: UUID, path: str, *, change: int
) -> HeldCounts:
    """Count a file of a locked upload, which is added (1) or removed (-1)."""
    row = await conn.fetchrow(COUNT_FILE, tenant, upload_id, change, path)
    assert row is not None  # noqa: S101 - it is locked
    return from_row(HeldCounts, row)


class HeldPart(Struct, frozen=True, kw_only=True):
    """A part that an upload holds; `described` is the JSON of an `UploadPart`."""

    path: str
    number: int
    described: str


_HELD_PARTS = """
SELECT f.path, p.number, json_build_object(
           'part', p.number, 'sha256', encode(p.sha256, 'hex'), 'raw_bytes', p.raw_bytes,
           'lines', p.lines, 'records', p.records, 'missing_keys', p.missing_keys,
           'duplicates', p.duplicates
       )::text AS described
FROM dataset_files AS f
JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
WHERE f.tenant_id = $1 AND f.upload_id = $2
"""

SELECT_HELD_PARTS = _HELD_PARTS + "AND f.path > $3 ORDER BY f.path, p.number LIMIT $4"

SELECT_HELD_PARTS_OF_FILE = (
    _HELD_PARTS + "AND f.path = $3 AND p.number > $4 ORDER BY p.number LIMIT $5"
)


async def select_held_parts(
    conn: Connection, tenant: UUID, upload_id: UUID, *, path: str, number: int, limit: int
) -> list[HeldPart]:
    """List parts of an upload by path and number, from the one after a part on."""
    rows = await conn.fetch(SELECT_HELD_PARTS_OF_FILE, tenant, upload_id, path, number, limit)
    if len(rows) < limit:
        missing = limit - len(rows)
        rows += await conn.fetch(SELECT_HELD_PARTS, tenant, upload_id, path, missing)
    return [from_row(HeldPart, row) for row in rows]


# The function is in migrations/sql/quota_against_part_v1.sql.
QUOTA_AGAINST_PART = """
SELECT quota, cap, used
FROM quota_against_part_v1(
    tenant => $1, more_stored_bytes => $2, more_day_bytes => $3,
    max_stored_bytes => $4, max_bytes_per_day => $5
)
"""


async def require_room(
    conn: Connection, tenant: UUID, caps: Caps, *, stored_bytes: int, raw_bytes: int
) -> None:
    """Check that a part is within the tenant's quotas; others wait until the transaction ends.

    Raises QuotaExceeded.
    """
    if caps.max_stored_bytes is None and caps.max_bytes_per_day is None:
        return
    row = await conn.fetchrow(
        QUOTA_AGAINST_PART,
        tenant,
        stored_bytes,
        raw_bytes,
        caps.max_stored_bytes,
        caps.max_bytes_per_day,
    )
    if row is not None:
        raise QuotaExceeded(row["quota"], limit=row["cap"], used=row["used"])


async def require_stored_bytes(conn: Connection, tenant: UUID, stored_bytes: int) -> None:
    """Check that what a worker stores is within the tenant's quota; others wait, as above.

    Raises QuotaExceeded.
    """
    caps = Caps(max_stored_bytes=await select_stored_bytes_cap(conn, tenant))
    await require_room(conn, tenant, caps, stored_bytes=stored_bytes, raw_bytes=0)


def counted_bytes(parts: Iterable[StoredPart]) -> int:
    """Return what parts count as in the quota of stored bytes."""
    return sum(max(each.stored_bytes + each.index_bytes, MIN_COUNTED_PART_BYTES) for each in parts)


INSERT_FILE = """
INSERT INTO dataset_files AS f (id, tenant_id, dataset_id, upload_id, path)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (upload_id, path) DO NOTHING
RETURNING id
"""

SELECT_HELD_FILE = """
SELECT id
FROM dataset_files
WHERE tenant_id = $1 AND upload_id = $2 AND path = $3
"""


async def ensure_file(
    conn: Connection, tenant: UUID, upload: StoredUpload, *, path: str, new_id: UUID
) -> tuple[UUID, bool]:
    """Return the id of an upload's file, which is added if it is new, and whether it is."""
    added: UUID | None = await conn.fetchval(
        INSERT_FILE, new_id, tenant, upload.dataset_id, upload.id, path
    )
    if added is not None:
        return added, True
    file_id: UUID = await conn.fetchval(SELECT_HELD_FILE, tenant, upload.id, path)
    return file_id, False


class PartKeys(Struct, frozen=True, kw_only=True):
    """The keys of the blobs of one part: its bytes, and its index."""

    blob: str
    index: str


INSERT_PART = """
INSERT INTO dataset_parts
       (file_id, number, tenant_id, sha256, raw_bytes, stored_bytes, index_bytes, lines, records,
        missing_keys, duplicates, ends_line, blob_key, index_key)
SELECT $1 AS file_id, $2 AS number, $3 AS tenant_id, $4 AS sha256, $5 AS raw_bytes,
       $6 AS stored_bytes, $7 AS index_bytes, $8 AS lines, $9 AS records, $10 AS missing_keys,
       $11 AS duplicates, $12 AS ends_line, $13 AS blob_key, $14 AS index_key
ON CONFLICT (file_id, number) DO NOTHING
RETURNING number
"""


async def insert_part(
    conn: Connection,
    tenant: UUID,
    file_id: UUID,
    *,
    number: int,
    part: StoredPart,
    keys: PartKeys,
) -> bool:
    """Add a part to a file; return whether the number was free."""
    values = in_order(
        INSERT_PART,
        file_id=file_id,
        number=number,
        tenant_id=tenant,
        sha256=part.sha256,
        raw_bytes=part.raw_bytes,
        stored_bytes=part.stored_bytes,
        index_bytes=part.index_bytes,
        lines=part.lines,
        records=part.records,
        missing_keys=part.missing_keys,
        duplicates=part.duplicates,
        ends_line=part.ends_line,
        blob_key=keys.blob,
        index_key=keys.index if part.index_bytes else None,
    )
    return await conn.fetchval(INSERT_PART, *values) is not None


SELECT_PART_DIGEST = """
SELECT sha256
FROM dataset_parts
WHERE tenant_id = $1 AND file_id = $2 AND number = $3
"""


async def select_part_digest(
    conn: Connection, tenant: UUID, file_id: UUID, number: int
) -> bytes | None:
    """Return the SHA-256 of a part; None if there is none."""
    digest: bytes | None = await conn.fetchval(SELECT_PART_DIGEST, tenant, file_id, number)
    return digest
