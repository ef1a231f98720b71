"""Resolve the schemas that an upload names to exact versions."""

from typing import Final, Literal, Protocol
from uuid import UUID

from msgspec import Struct

from app.db import Connection
from app.errors import Problem, invalid, located
from app.sandbox.outcomes import Io
from app.schemas.pinned import SchemaKey
from app.schemas.refs import parse_schema_ref
from app.schemas.resolution_store import resolve


class NamesSchemas(Protocol):
    """An upload: of the references, None is none."""

    @property
    def io(self) -> Io:
        """What `process` takes."""

    @property
    def input_schema(self) -> str | None:
        """The schema of what `process` and `map` get."""

    @property
    def output_schema(self) -> str | None:
        """The schema of what they return."""


class VersionSchemas(Struct, frozen=True, kw_only=True):
    """The schemas of a version, which never change."""

    input: SchemaKey | None = None
    output: SchemaKey | None = None


NO_SCHEMAS: Final = VersionSchemas()


async def resolve_schemas(
    conn: Connection, tenant: UUID, upload: NamesSchemas, *, allow_archived: bool = False
) -> VersionSchemas:
    """Resolve both references of an upload.

    Raises InvalidRequest, SchemaNotFound, SchemaVersionNotFound, and SchemaArchived unless
    `allow_archived`, each with the pointer of the reference.
    """
    return VersionSchemas(
        input=await _resolve(conn, tenant, upload, "input", allow_archived=allow_archived),
        output=await _resolve(conn, tenant, upload, "output", allow_archived=allow_archived),
    )


async def _resolve(
    conn: Connection,
    tenant: UUID,
    upload: NamesSchemas,
    side: Literal["input", "output"],
    *,
    allow_archived: bool,
) -> SchemaKey | None:
    ref = upload.input_schema if side == "input" else upload.output_schema
    if ref is None:
        return None
    pointer = f"/{side}_schema"
    if upload.io is not Io.JSON:
        raise invalid(pointer, f"needs JSON, and `process` takes {upload.io}")
    try:
        found = await resolve(conn, tenant, parse_schema_ref(ref), allow_archived=allow_archived)
    except Problem as problem:
        raise located(pointer, problem) from None
    return SchemaKey(found.schema_id, found.version)
