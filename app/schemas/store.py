"""Store schemas, their versions, and what these refer to."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from app.db import Connection
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota
from app.references import id_or_name
from app.schema_bundles import Version, uri_of
from app.schemas.model import Compatibility, Schema, SchemaVerdict, SchemaVersion
from app.sql_parameters import in_order

# Additions of a tenant take turns from here to their end, so that the counts are exact.
LOCK_ADDITIONS = """
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 4))
"""

COUNT_SCHEMAS = """
SELECT count(*)
FROM schemas
WHERE tenant_id = $1
"""

COUNT_VERSIONS = """
SELECT count(*)
FROM schema_versions
WHERE tenant_id = $1
"""


async def require_quota(
    conn: Connection, tenant: UUID, *, max_schemas: int, max_versions: int
) -> None:
    """Check the numbers after the running transaction has added to them; 0 is no limit.

    Raises QuotaExceeded.
    """
    await conn.execute(LOCK_ADDITIONS, tenant)
    for quota, count, limit in (
        (Quota.SCHEMAS, COUNT_SCHEMAS, max_schemas),
        (Quota.SCHEMA_VERSIONS, COUNT_VERSIONS, max_versions),
    ):
        used: int = await conn.fetchval(count, tenant) if limit else 0
        if used > limit:
            raise QuotaExceeded(quota, limit=limit, used=used - 1)


INSERT_SCHEMA = """
INSERT INTO schemas (id, tenant_id, name, description, compatibility)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT schemas_name_key DO NOTHING
RETURNING true
"""


async def insert_schema(
    conn: Connection,
    tenant: UUID,
    schema_id: UUID,
    *,
    name: str,
    description: str,
    compatibility: Compatibility,
) -> bool:
    """Add a schema without a version yet; return False if there is one of this name."""
    added: bool | None = await conn.fetchval(
        INSERT_SCHEMA, schema_id, tenant, name, description, compatibility
    )
    return added is not None


INSERT_VERSION = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS schema_id,
           $3::integer AS version,
           $4::bytea AS document,
           $5::boolean AS strict,
           $6::text AS note,
           $7::jsonb AS verdict,
           $8::uuid[] AS target_ids,
           $9::integer[] AS target_versions
),
added AS (
    INSERT INTO schema_versions (tenant_id, schema_id, version, document, strict, note, verdict)
    SELECT tenant_id, schema_id, version, document, strict, note, verdict
    FROM parameters
)
INSERT INTO schema_references (tenant_id, schema_id, version, target_id, target_version)
SELECT p.tenant_id, p.schema_id, p.version, t.id, t.version
FROM parameters AS p
CROSS JOIN LATERAL unnest(p.target_ids, p.target_versions) AS t (id, version)
"""


async def insert_version(  # noqa: PLR0913 - one keyword for each column
    conn: Connection,
    tenant: UUID,
    schema_id: UUID,
    *,
    version: int,
    document: bytes,
    strict: bool,
    note: str,
    verdict: SchemaVerdict | None,
    references: Sequence[Version],
) -> None:
    """Add a version; the caller has locked the schema's row, and read the newest number."""
    values = in_order(
        INSERT_VERSION,
        tenant_id=tenant,
        schema_id=schema_id,
        version=version,
        document=document,
        strict=strict,
        note=note,
        verdict=msgspec.to_builtins(verdict),
        target_ids=[target for target, _ in references],
        target_versions=[number for _, number in references],
    )
    await conn.execute(INSERT_VERSION, *values)


# The columns of a version `v`.
_VERSION = """
       v.version, encode(v.sha256, 'hex') AS sha256, v.size_bytes, v.strict, v.note, v.verdict,
       v.created_at AS version_created_at,
       ARRAY(
           SELECT t.name || '@' || r.target_version
           FROM schema_references AS r
           JOIN schemas AS t ON t.tenant_id = r.tenant_id AND t.id = r.target_id
           WHERE r.tenant_id = s.tenant_id AND r.schema_id = v.schema_id AND r.version = v.version
           ORDER BY t.name COLLATE "C", r.target_version
       ) AS references
"""

# The newest version is at the end of the primary key: one index probe for each schema.
_SCHEMAS = f"""
SELECT s.id, s.name, s.description, s.compatibility, s.created_at, s.updated_at, s.archived_at,
       {_VERSION}
FROM schemas AS s
CROSS JOIN LATERAL (
    SELECT * FROM schema_versions AS v
    WHERE v.tenant_id = s.tenant_id AND v.schema_id = s.id
    ORDER BY v.version DESC
    LIMIT 1
) AS v
WHERE s.tenant_id = $1
"""  # noqa: S608 - put together from constants

SELECT_SCHEMA = _SCHEMAS + "AND (s.id = $2 OR s.name = $3)"


async def select_schema(conn: Connection, tenant: UUID, schema: UUID | str) -> Schema | None:
    """Find a schema by its id or its name."""
    row = await conn.fetchrow(SELECT_SCHEMA, tenant, *id_or_name(schema))
    return None if row is None else _schema(row)


SELECT_SCHEMA_PAGE = (
    _SCHEMAS
    + """
AND s.id < $2 AND ($3 OR s.archived_at IS NULL) AND ($4::text IS NULL OR s.name = $4)
ORDER BY s.id DESC
LIMIT $5
"""
)


async def select_schema_page(
    conn: Connection, tenant: UUID, *, below: UUID, archived: bool, name: str | None, limit: int
) -> list[Schema]:
    """List schemas, newest first: with archived ones if `archived`, and of one name if `name`."""
    rows = await conn.fetch(SELECT_SCHEMA_PAGE, tenant, below, archived, name, limit)
    return [_schema(row) for row in rows]


LOCK_SCHEMA = """
SELECT id, archived_at
FROM schemas
WHERE tenant_id = $1 AND (id = $2 OR name = $3)
FOR UPDATE
"""


async def lock_schema(
    conn: Connection, tenant: UUID, schema: UUID | str
) -> tuple[UUID, bool] | None:
    """Lock a schema's row until the transaction ends; return its id and whether it is archived."""
    row = await conn.fetchrow(LOCK_SCHEMA, tenant, *id_or_name(schema))
    return None if row is None else (row["id"], row["archived_at"] is not None)


UPDATE_SCHEMA = """
UPDATE schemas
SET description = coalesce($3, description),
    compatibility = coalesce($4, compatibility),
    archived_at = CASE WHEN $5::boolean IS NULL THEN archived_at
                       WHEN $5 THEN coalesce(archived_at, now()) END,
    updated_at = now()
WHERE tenant_id = $1 AND id = $2
"""


async def update_schema(
    conn: Connection,
    tenant: UUID,
    schema_id: UUID,
    *,
    description: str | None = None,
    compatibility: Compatibility | None = None,
    archived: bool | None = None,
) -> None:
    """Set what is not None; `updated_at` is set in any case."""
    await conn.execute(UPDATE_SCHEMA, tenant, schema_id, description, compatibility, archived)


_VERSIONS = f"""
SELECT s.name, {_VERSION}
FROM schema_versions AS v
JOIN schemas AS s ON s.tenant_id = v.tenant_id AND s.id = v.schema_id
WHERE v.tenant_id = $1 AND v.schema_id = $2
"""  # noqa: S608 - put together from constants

SELECT_VERSION = _VERSIONS + "AND v.version = $3"


async def select_version(
    conn: Connection, tenant: UUID, schema_id: UUID, version: int
) -> SchemaVersion | None:
    """Find one version."""
    row = await conn.fetchrow(SELECT_VERSION, tenant, schema_id, version)
    return None if row is None else _version(row)


SELECT_VERSION_PAGE = _VERSIONS + "AND v.version < $3 ORDER BY v.version DESC LIMIT $4"


async def select_version_page(
    conn: Connection, tenant: UUID, schema_id: UUID, *, below: int, limit: int
) -> list[SchemaVersion]:
    """List versions, newest first."""
    rows = await conn.fetch(SELECT_VERSION_PAGE, tenant, schema_id, below, limit)
    return [_version(row) for row in rows]


def _version(row: asyncpg.Record) -> SchemaVersion:
    uri = uri_of(row["name"], row["version"])
    members = {**row, "uri": uri, "created_at": row["version_created_at"]}
    return msgspec.convert(members, SchemaVersion)


def _schema(row: asyncpg.Record) -> Schema:
    members = {**row, "latest_version": _version(row)}
    # A row's `version` is the newest one's number; a schema's is the one that a reference names.
    del members["version"]
    return msgspec.convert(members, Schema)
