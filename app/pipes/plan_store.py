"""Read the scripts and schemas that the plans of pipes name."""

from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.sandbox.outcomes import ScriptKind
from app.schema_bundles import Version
from app.schemas.pinned import key_of
from app.scripts.model import ResolvedVersion


class StoredVersion(Struct, frozen=True, kw_only=True):
    """A version of a script as it is stored, with the schemas of its own."""

    name: str
    source: bytes
    kinds: tuple[ScriptKind, ...]
    wall_ms: int | None
    max_cpu_ms: int | None
    memory_bytes: int | None
    max_output_bytes: int | None
    input_schema_id: UUID | None
    input_schema_version: int | None
    output_schema_id: UUID | None
    output_schema_version: int | None


SELECT_VERSION = """
SELECT v.source, v.kinds, v.wall_ms, v.max_cpu_ms, v.memory_bytes, v.max_output_bytes, s.name,
       v.input_schema_id, v.input_schema_version, v.output_schema_id, v.output_schema_version
FROM script_versions AS v
JOIN scripts AS s ON s.tenant_id = v.tenant_id AND s.id = v.script_id
WHERE v.tenant_id = $1 AND v.script_id = $2 AND v.version = $3
"""


async def select_version(conn: Connection, tenant: UUID, version: ResolvedVersion) -> StoredVersion:
    """Read what a pipe needs of a version."""
    row = await conn.fetchrow(SELECT_VERSION, tenant, version.script_id, version.version)
    assert row is not None  # noqa: S101 - versions are never deleted
    return from_row(StoredVersion, row)


SELECT_RECORD_SCHEMA = """
SELECT record_schema_id, record_schema_version
FROM datasets
WHERE tenant_id = $1 AND name = $2
"""


async def select_record_schema(conn: Connection, tenant: UUID, dataset: str) -> Version | None:
    """Return the schema of a dataset; None also if there is no such dataset."""
    row = await conn.fetchrow(SELECT_RECORD_SCHEMA, tenant, dataset)
    return None if row is None else key_of(row, "record")
