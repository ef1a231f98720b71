"""Resolve references to versions of schemas."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.references import LATEST, id_or_name, number_or_alias
from app.schemas.model import ResolvedSchema
from app.schemas.problems import (
    TooManySchemas,
    schema_archived,
    schema_not_found,
    schema_version_not_found,
)
from app.schemas.refs import SchemaRef

# Schemas that one event may choose from.
MAX_NAMED: Final = 1_000


# A schema without that version is a row whose version is NULL.
RESOLVE = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS schema_id,
           $3::text AS schema_name,
           $4::integer AS version,
           $5::text AS alias
)
SELECT s.id AS schema_id, s.name, s.archived_at, v.version
FROM parameters
JOIN schemas AS s
  ON s.tenant_id = parameters.tenant_id
 AND (s.id = parameters.schema_id OR s.name = parameters.schema_name)
LEFT JOIN schema_aliases AS a
       ON a.tenant_id = s.tenant_id AND a.schema_id = s.id AND a.alias = parameters.alias
LEFT JOIN LATERAL (
    SELECT v.version
    FROM schema_versions AS v
    WHERE v.tenant_id = s.tenant_id AND v.schema_id = s.id
      AND (v.version = coalesce(parameters.version, a.version) OR parameters.alias = 'latest')
    ORDER BY v.version DESC
    LIMIT 1
) AS v ON true
"""


async def resolve(
    conn: Connection, tenant: UUID, ref: SchemaRef, *, allow_archived: bool = False
) -> ResolvedSchema:
    """Resolve a reference to the version that it names now.

    Raises SchemaNotFound, SchemaVersionNotFound, and SchemaArchived unless `allow_archived`.
    """
    named = (*id_or_name(ref.schema), *number_or_alias(ref.selector))
    row = await conn.fetchrow(RESOLVE, tenant, *named)
    if row is None:
        raise schema_not_found(ref.schema)
    if row["version"] is None:
        raise schema_version_not_found(row["name"], ref.selector)
    if row["archived_at"] is not None and not allow_archived:
        raise schema_archived(ref.schema, "nothing new can refer to it")
    return ResolvedSchema(schema_id=row["schema_id"], name=row["name"], version=row["version"])


RESOLVE_ALL_NAMED = """
SELECT s.id AS schema_id, s.name, v.version
FROM schemas AS s
LEFT JOIN schema_aliases AS a
       ON a.tenant_id = s.tenant_id AND a.schema_id = s.id AND a.alias = $3::text
CROSS JOIN LATERAL (
    SELECT v.version
    FROM schema_versions AS v
    WHERE v.tenant_id = s.tenant_id AND v.schema_id = s.id
      AND (v.version = a.version OR $3 = 'latest')
    ORDER BY v.version DESC
    LIMIT 1
) AS v
WHERE s.tenant_id = $1 AND starts_with(s.name, $2) AND s.archived_at IS NULL
ORDER BY s.name COLLATE "C"
LIMIT $4
"""


async def resolve_all_named(
    conn: Connection, tenant: UUID, prefix: str, alias: str | None
) -> list[ResolvedSchema]:
    """Resolve every schema whose name begins with a prefix, which may be empty, by its name.

    Each to the version that the alias names, or with None to its newest; schemas without the alias
    and archived ones are left out. Raises TooManySchemas above `MAX_NAMED`.
    """
    rows = await conn.fetch(RESOLVE_ALL_NAMED, tenant, prefix, alias or LATEST, MAX_NAMED + 1)
    if len(rows) > MAX_NAMED:
        raise TooManySchemas(
            f"more than {MAX_NAMED} schemas have a name that begins with {prefix!r}; choose a "
            "longer prefix"
        )
    return [from_row(ResolvedSchema, row) for row in rows]


class FoundVersion(Struct, frozen=True, kw_only=True):
    """A version that an exact reference names."""

    schema_id: UUID
    version: int
    archived: bool


SELECT_NAMED = """
SELECT s.name, s.id AS schema_id, v.version, s.archived_at IS NOT NULL AS archived
FROM unnest($2::text[], $3::integer[]) AS w (name, version)
JOIN schemas AS s ON s.tenant_id = $1 AND s.name = w.name
JOIN schema_versions AS v
  ON v.tenant_id = $1 AND v.schema_id = s.id AND v.version = w.version
"""


async def select_named(
    conn: Connection, tenant: UUID, versions: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], FoundVersion]:
    """Find exact versions by name and number; missing ones are left out."""
    names = [name for name, _ in versions]
    numbers = [number for _, number in versions]
    rows = await conn.fetch(SELECT_NAMED, tenant, names, numbers)
    return {(row["name"], row["version"]): from_row(FoundVersion, row) for row in rows}
