"""Store scripts and their versions."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from app.db import Connection
from app.limits import LimitChoice
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.references import id_or_name
from app.sandbox.outcomes import Io, ScriptKind
from app.schemas.pinned import columns_of, key_of, ref_column
from app.scripts.model import Script, Version
from app.scripts.problems import NameTaken
from app.scripts.version_schemas import NO_SCHEMAS, VersionSchemas
from app.sql_parameters import in_order

# The function is in migrations/sql/quota_against_upload_v2.sql.
QUOTA_AGAINST_UPLOAD = """
SELECT quota, cap, used
FROM quota_against_upload_v2(
    tenant => $1, more_scripts => $2, max_scripts => $3, max_versions => $4
)
"""


async def require_quota(conn: Connection, tenant: UUID, caps: Caps, *, scripts: int) -> None:
    """Check that one more version, and `scripts` more scripts, are within the tenant's quotas.

    The tenant's other uploads wait until the transaction ends. Raises QuotaExceeded.
    """
    if caps.max_scripts is None and caps.max_versions is None:
        return
    row = await conn.fetchrow(
        QUOTA_AGAINST_UPLOAD, tenant, scripts, caps.max_scripts, caps.max_versions
    )
    if row is not None:
        raise QuotaExceeded(row["quota"], limit=row["cap"], used=row["used"])


INSERT_SCRIPT = """
INSERT INTO scripts (id, tenant_id, name, description)
VALUES ($1, $2, $3, $4)
"""


async def insert_script(
    conn: Connection, tenant: UUID, script_id: UUID, *, name: str, description: str
) -> None:
    """Add a script without a version yet. Raises NameTaken."""
    try:
        await conn.execute(INSERT_SCRIPT, script_id, tenant, name, description)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "scripts_name_key":
            raise
        raise NameTaken(
            f"the name {name!r} is taken (archived scripts keep theirs); choose another, or add "
            f"a version with POST /scripts/{name}/versions or PUT /scripts/{name}"
        ) from None


INSERT_VERSION = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS script_id,
           $3::bytea AS source,
           $4::integer AS wall_ms,
           $5::integer AS max_cpu_ms,
           $6::bigint AS memory_bytes,
           $7::bigint AS max_output_bytes,
           $8::text AS note,
           $9::text[] AS kinds,
           $10::text AS io,
           $11::uuid AS input_schema_id,
           $12::integer AS input_schema_version,
           $13::uuid AS output_schema_id,
           $14::integer AS output_schema_version
),
newest AS (
    SELECT coalesce(max(v.version), 0) AS version
    FROM parameters
    JOIN script_versions AS v
      ON v.tenant_id = parameters.tenant_id AND v.script_id = parameters.script_id
)
INSERT INTO script_versions
       (tenant_id, script_id, version, source, sha256,
        wall_ms, max_cpu_ms, memory_bytes, max_output_bytes, note, kinds, io,
        input_schema_id, input_schema_version, output_schema_id, output_schema_version)
SELECT parameters.tenant_id, parameters.script_id, newest.version + 1, parameters.source,
       sha256(parameters.source), parameters.wall_ms, parameters.max_cpu_ms,
       parameters.memory_bytes, parameters.max_output_bytes, parameters.note,
       parameters.kinds, parameters.io,
       parameters.input_schema_id, parameters.input_schema_version,
       parameters.output_schema_id, parameters.output_schema_version
FROM parameters, newest
RETURNING version
"""


async def insert_version(  # noqa: PLR0913 - one keyword for each part of a version
    conn: Connection,
    tenant: UUID,
    script_id: UUID,
    *,
    source: bytes,
    kinds: Sequence[ScriptKind] = (ScriptKind.PROCESS,),
    io: Io = Io.JSON,
    schemas: VersionSchemas = NO_SCHEMAS,
    limits: LimitChoice,
    note: str,
) -> int:
    """Add the next version and return its number; the caller has locked the script's row."""
    values = in_order(
        INSERT_VERSION,
        tenant_id=tenant,
        script_id=script_id,
        source=source,
        wall_ms=limits.wall_ms,
        max_cpu_ms=limits.max_cpu_ms,
        memory_bytes=limits.memory_bytes,
        max_output_bytes=limits.max_output_bytes,
        note=note,
        kinds=kinds,
        io=io,
        **columns_of(schemas.input, "input"),
        **columns_of(schemas.output, "output"),
    )
    version: int = await conn.fetchval(INSERT_VERSION, *values)
    return version


# The newest version is at the end of the primary key: one index probe for each script.
_SCRIPTS = f"""
SELECT s.id, s.name, s.description, s.created_at, s.updated_at, s.archived_at,
       v.version, encode(v.sha256, 'hex') AS sha256, v.size_bytes, v.wall_ms,
       v.max_cpu_ms, v.memory_bytes, v.max_output_bytes, v.note, v.kinds, v.io,
       {ref_column("v", "input", tenant_of="s")} AS input_schema,
       {ref_column("v", "output", tenant_of="s")} AS output_schema,
       v.created_at AS version_created_at
FROM scripts AS s
CROSS JOIN LATERAL (
    SELECT * FROM script_versions AS v
    WHERE v.tenant_id = s.tenant_id AND v.script_id = s.id
    ORDER BY v.version DESC
    LIMIT 1
) AS v
WHERE s.tenant_id = $1
"""  # noqa: S608 - put together from constants

SELECT_SCRIPT = _SCRIPTS + "AND (s.id = $2 OR s.name = $3)"


async def select_script(conn: Connection, tenant: UUID, script: UUID | str) -> Script | None:
    """Find a script by its id or its name."""
    row = await conn.fetchrow(SELECT_SCRIPT, tenant, *id_or_name(script))
    return None if row is None else _script(row)


SELECT_SCRIPT_PAGE = (
    _SCRIPTS
    + """
AND s.id < $2 AND ($3 OR s.archived_at IS NULL) AND ($4::text IS NULL OR s.name = $4)
ORDER BY s.id DESC
LIMIT $5
"""
)


async def select_script_page(
    conn: Connection, tenant: UUID, *, below: UUID, archived: bool, name: str | None, limit: int
) -> list[Script]:
    """List scripts, newest first: with archived ones if `archived`, and of one name if `name`."""
    rows = await conn.fetch(SELECT_SCRIPT_PAGE, tenant, below, archived, name, limit)
    return [_script(row) for row in rows]


LOCK_SCRIPT = """
SELECT id, archived_at
FROM scripts
WHERE tenant_id = $1 AND (id = $2 OR name = $3)
FOR UPDATE
"""


async def lock_script(
    conn: Connection, tenant: UUID, script: UUID | str
) -> tuple[UUID, bool] | None:
    """Lock a script's row until the transaction ends; return its id and whether it is archived."""
    row = await conn.fetchrow(LOCK_SCRIPT, tenant, *id_or_name(script))
    return None if row is None else (row["id"], row["archived_at"] is not None)


UPDATE_SCRIPT = """
UPDATE scripts
SET description = coalesce($3, description),
    archived_at = CASE WHEN $4::boolean IS NULL THEN archived_at
                       WHEN $4 THEN coalesce(archived_at, now()) END,
    updated_at = now()
WHERE tenant_id = $1 AND id = $2
"""


async def update_script(
    conn: Connection,
    tenant: UUID,
    script_id: UUID,
    *,
    description: str | None,
    archived: bool | None,
) -> None:
    """Set what is not None; `updated_at` is set in any case."""
    await conn.execute(UPDATE_SCRIPT, tenant, script_id, description, archived)


SELECT_NEWEST_SOURCE = """
SELECT source, wall_ms, max_cpu_ms, memory_bytes, max_output_bytes, kinds, io, version,
       input_schema_id, input_schema_version, output_schema_id, output_schema_version
FROM script_versions
WHERE tenant_id = $1 AND script_id = $2
ORDER BY version DESC
LIMIT 1
"""


async def newest_is(
    conn: Connection,
    tenant: UUID,
    script_id: UUID,
    *,
    source: bytes,
    kinds: Sequence[ScriptKind],
    io: Io,
    schemas: VersionSchemas,
    limits: LimitChoice,
) -> int | None:
    """Return the newest version's number if it is the same, else None.

    An older release has not seen all that a source offers.
    """
    row = await conn.fetchrow(SELECT_NEWEST_SOURCE, tenant, script_id)
    if row is None or row["source"] != source or _limits(row) != limits:
        return None
    named = VersionSchemas(input=key_of(row, "input"), output=key_of(row, "output"))
    same = (row["kinds"], row["io"], named) == (list(kinds), io, schemas)
    return row["version"] if same else None


_VERSIONS = f"""
SELECT v.version, encode(v.sha256, 'hex') AS sha256, v.size_bytes, v.wall_ms, v.max_cpu_ms,
       v.memory_bytes, v.max_output_bytes, v.note, v.kinds, v.io,
       {ref_column("v", "input")} AS input_schema,
       {ref_column("v", "output")} AS output_schema,
       v.created_at
FROM script_versions AS v
WHERE v.tenant_id = $1 AND v.script_id = $2
"""  # noqa: S608 - put together from constants

SELECT_VERSION = _VERSIONS + "AND v.version = $3"


async def select_version(
    conn: Connection, tenant: UUID, script_id: UUID, version: int
) -> Version | None:
    """Find one version."""
    row = await conn.fetchrow(SELECT_VERSION, tenant, script_id, version)
    return None if row is None else _version(row)


SELECT_SOURCE = """
SELECT source
FROM script_versions
WHERE tenant_id = $1 AND script_id = $2 AND version = $3
"""


async def select_source(
    conn: Connection, tenant: UUID, script_id: UUID, version: int
) -> bytes | None:
    """Return a version's source, byte for byte."""
    source: bytes | None = await conn.fetchval(SELECT_SOURCE, tenant, script_id, version)
    return source


SELECT_VERSION_PAGE = _VERSIONS + "AND v.version < $3 ORDER BY v.version DESC LIMIT $4"


async def select_version_page(
    conn: Connection, tenant: UUID, script_id: UUID, *, below: int, limit: int
) -> list[Version]:
    """List versions, newest first."""
    rows = await conn.fetch(SELECT_VERSION_PAGE, tenant, script_id, below, limit)
    return [_version(row) for row in rows]


def _limits(row: asyncpg.Record) -> LimitChoice:
    return msgspec.convert({name: row[name] for name in LimitChoice.__struct_fields__}, LimitChoice)


def _version(row: asyncpg.Record) -> Version:
    return msgspec.convert({**row, "limits": _limits(row)}, Version)


def _script(row: asyncpg.Record) -> Script:
    newest = {**row, "created_at": row["version_created_at"], "limits": _limits(row)}
    members = {**row, "latest_version": msgspec.convert(newest, Version)}
    # A row's `version` is the newest one's number; a script's is the one that a reference names.
    del members["version"]
    return msgspec.convert(members, Script)
