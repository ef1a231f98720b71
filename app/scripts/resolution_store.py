"""Resolve references to versions of scripts."""

from uuid import UUID

import asyncpg

from app.db import Connection
from app.references import id_or_name, number_or_alias
from app.sandbox.outcomes import Io
from app.scripts.model import ResolvedVersion
from app.scripts.refs import ScriptRef
from app.sql_parameters import in_order

# A subquery that resolves the script and the version, alias or `latest` of the CTE `parameters`. A
# script without that version is a row whose version is NULL.
RESOLVED_VERSION = """(
    SELECT s.id AS script_id, s.archived_at, v.version, v.io,
           'process' = ANY (v.kinds) AS has_process,
           v.wall_ms, v.max_cpu_ms, v.memory_bytes, v.max_output_bytes
    FROM parameters
    JOIN scripts AS s
      ON s.tenant_id = parameters.tenant_id
     AND (s.id = parameters.script_id OR s.name = parameters.script_name)
    LEFT JOIN script_aliases AS a
           ON a.tenant_id = s.tenant_id AND a.script_id = s.id AND a.alias = parameters.alias
    LEFT JOIN LATERAL (
        SELECT * FROM script_versions AS v
        WHERE v.tenant_id = s.tenant_id AND v.script_id = s.id
          AND (v.version = coalesce(parameters.version, a.version) OR parameters.alias = 'latest')
        ORDER BY v.version DESC
        LIMIT 1
    ) AS v ON true
)"""

RESOLVE = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS script_id,
           $3::text AS script_name,
           $4::integer AS version,
           $5::text AS alias
)
SELECT script_id, archived_at, version, io, has_process
FROM {RESOLVED_VERSION} AS resolved
"""  # noqa: S608 - put together from constants


async def resolve(conn: Connection, tenant: UUID, ref: ScriptRef) -> ResolvedVersion | UUID | None:
    """Resolve a reference.

    Returns the script's id alone if it has no such version, None if there is no such script.
    """
    values = in_order(RESOLVE, tenant_id=tenant, **reference_columns(ref))
    return resolved(await conn.fetchrow(RESOLVE, *values))


def reference_columns(ref: ScriptRef) -> dict[str, UUID | str | int | None]:
    """Return the parameters of RESOLVED_VERSION that name a script and its version."""
    script_id, script_name = id_or_name(ref.script)
    version, alias = number_or_alias(ref.selector)
    return {
        "script_id": script_id,
        "script_name": script_name,
        "version": version,
        "alias": alias,
    }


def resolved(row: asyncpg.Record | None) -> ResolvedVersion | UUID | None:
    """Read the columns of RESOLVED_VERSION, which may be part of a wider row."""
    if row is None or row["script_id"] is None:
        return None
    if row["version"] is None:
        script_id: UUID = row["script_id"]
        return script_id
    return ResolvedVersion(
        script_id=row["script_id"],
        version=row["version"],
        archived_at=row["archived_at"],
        io=Io(row["io"]),
        has_process=row["has_process"],
    )
