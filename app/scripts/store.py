"""SQL of scripts and their versions."""

from uuid import UUID

import asyncpg
import msgspec

from app.db import Connection
from app.http.access import Caps
from app.http.quotas import QuotaExceeded
from app.scripts.model import LimitChoice, ResolvedVersion, Script, Version
from app.scripts.problems import NameTaken
from app.scripts.refs import ScriptRef

QUOTA_AGAINST_UPLOAD = """
SELECT quota, cap, used FROM quota_against_upload($1, $2, $3, $4)
"""


async def require_quota(conn: Connection, tenant: UUID, caps: Caps, *, scripts: int) -> None:
    """Refuse so many more scripts and one more version than the tenant may have.

    Others who upload for the tenant wait until the transaction ends. Raises QuotaExceeded.
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
INSERT INTO script_versions
       (script_id, version, tenant_id, source, sha256,
        wall_ms, max_cpu_ms, memory_bytes, max_output_bytes, note)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3, sha256($3), $4, $5, $6, $7, $8
FROM script_versions
WHERE script_id = $1 AND tenant_id = $2
RETURNING version
"""


async def insert_version(
    conn: Connection,
    tenant: UUID,
    script_id: UUID,
    *,
    source: bytes,
    limits: LimitChoice,
    note: str,
) -> int:
    """Add the next version; the caller holds the script's row locked."""
    version: int = await conn.fetchval(
        INSERT_VERSION,
        script_id,
        tenant,
        source,
        limits.wall_ms,
        limits.max_cpu_ms,
        limits.memory_bytes,
        limits.max_output_bytes,
        note,
    )
    return version


# The newest version comes from the primary key's end: one index probe a script.
_SCRIPTS = """
SELECT s.id, s.name, s.description, s.created_at, s.updated_at, s.archived_at,
       v.version, encode(v.sha256, 'hex') AS sha256, v.size_bytes, v.wall_ms,
       v.max_cpu_ms, v.memory_bytes, v.max_output_bytes, v.note, v.created_at AS version_created_at
FROM scripts AS s
CROSS JOIN LATERAL (
    SELECT * FROM script_versions AS v
    WHERE v.tenant_id = s.tenant_id AND v.script_id = s.id
    ORDER BY v.version DESC
    LIMIT 1
) AS v
WHERE s.tenant_id = $1
"""

SELECT_SCRIPT = _SCRIPTS + "AND (s.id = $2 OR s.name = $3)"


async def select_script(conn: Connection, tenant: UUID, script: UUID | str) -> Script | None:
    """Find a script by its id or its name."""
    row = await conn.fetchrow(SELECT_SCRIPT, tenant, *_id_or_name(script))
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
    """List scripts, newest first; archived ones only when asked for, all names or one."""
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
    """Lock a script's row until the transaction ends; give its id and whether it is archived."""
    row = await conn.fetchrow(LOCK_SCRIPT, tenant, *_id_or_name(script))
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
    """Change what is not None; touch `updated_at` in any case."""
    await conn.execute(UPDATE_SCRIPT, tenant, script_id, description, archived)


SELECT_NEWEST_SOURCE = """
SELECT source, wall_ms, max_cpu_ms, memory_bytes, max_output_bytes, version
FROM script_versions
WHERE tenant_id = $1 AND script_id = $2
ORDER BY version DESC
LIMIT 1
"""


async def newest_is(
    conn: Connection, tenant: UUID, script_id: UUID, *, source: bytes, limits: LimitChoice
) -> int | None:
    """Give the newest version's number when it has this very source and these limits."""
    row = await conn.fetchrow(SELECT_NEWEST_SOURCE, tenant, script_id)
    same = row is not None and row["source"] == source and _limits(row) == limits
    return row["version"] if row is not None and same else None


_VERSIONS = """
SELECT version, encode(sha256, 'hex') AS sha256, size_bytes, wall_ms, max_cpu_ms, memory_bytes,
       max_output_bytes, note, created_at
FROM script_versions
WHERE tenant_id = $1 AND script_id = $2
"""

SELECT_VERSION = _VERSIONS + "AND version = $3"


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
    """Give a version's source, byte for byte."""
    source: bytes | None = await conn.fetchval(SELECT_SOURCE, tenant, script_id, version)
    return source


SELECT_VERSION_PAGE = _VERSIONS + "AND version < $3 ORDER BY version DESC LIMIT $4"


async def select_version_page(
    conn: Connection, tenant: UUID, script_id: UUID, *, below: int, limit: int
) -> list[Version]:
    """List versions, newest first."""
    rows = await conn.fetch(SELECT_VERSION_PAGE, tenant, script_id, below, limit)
    return [_version(row) for row in rows]


# A number, an alias or `latest`; a script without that version gives a row with version NULL.
RESOLVE = """
SELECT s.id AS script_id, s.archived_at, v.version,
       v.wall_ms, v.max_cpu_ms, v.memory_bytes, v.max_output_bytes
FROM scripts AS s
LEFT JOIN script_aliases AS a
       ON a.tenant_id = s.tenant_id AND a.script_id = s.id AND a.alias = $5
LEFT JOIN LATERAL (
    SELECT * FROM script_versions AS v
    WHERE v.tenant_id = s.tenant_id AND v.script_id = s.id
      AND (v.version = coalesce($4, a.version) OR $5 = 'latest')
    ORDER BY v.version DESC
    LIMIT 1
) AS v ON true
WHERE s.tenant_id = $1 AND (s.id = $2 OR s.name = $3)
"""


async def resolve(conn: Connection, tenant: UUID, ref: ScriptRef) -> ResolvedVersion | UUID | None:
    """Resolve a reference; the script's id alone when it has no such version, None without it."""
    return resolved(await conn.fetchrow(RESOLVE, tenant, *reference_columns(ref)))


def reference_columns(ref: ScriptRef) -> tuple[UUID | None, str | None, int | None, str | None]:
    """Give RESOLVE's parameters after the tenant: a script's id or name, a number or an alias."""
    number, alias = (ref.selector, None) if isinstance(ref.selector, int) else (None, ref.selector)
    return *_id_or_name(ref.script), number, alias


def resolved(row: asyncpg.Record | None) -> ResolvedVersion | UUID | None:
    """Read what RESOLVE gives, which may be part of a wider row."""
    if row is None or row["script_id"] is None:
        return None
    if row["version"] is None:
        found: UUID = row["script_id"]
        return found
    return ResolvedVersion(
        script_id=row["script_id"], version=row["version"], archived_at=row["archived_at"]
    )


def _id_or_name(script: UUID | str) -> tuple[UUID | None, str | None]:
    return (script, None) if isinstance(script, UUID) else (None, script)


def _limits(row: asyncpg.Record) -> LimitChoice:
    return msgspec.convert({name: row[name] for name in LimitChoice.__struct_fields__}, LimitChoice)


def _version(row: asyncpg.Record) -> Version:
    return msgspec.convert({**row, "limits": _limits(row)}, Version)


def _script(row: asyncpg.Record) -> Script:
    newest = {**row, "created_at": row["version_created_at"], "limits": _limits(row)}
    members = {**row, "latest_version": msgspec.convert(newest, Version)}
    # The row's is the newest one's number; a script's is the version that a reference names.
    del members["version"]
    return msgspec.convert(members, Script)
