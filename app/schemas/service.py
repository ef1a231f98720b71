"""Find, list, describe and archive schemas and their versions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Connection
from app.pagination import Page, Paginator
from app.resources import Resources
from app.schemas import store
from app.schemas.model import DescribeSchema, ResolvedSchema, Schema, SchemaVersion
from app.schemas.problems import schema_archived, schema_not_found, schema_version_not_found
from app.schemas.refs import SchemaRef
from app.schemas.resolution_store import resolve


async def show(resources: Resources, tenant: UUID, schema: UUID | str) -> Schema:
    """Return one schema. Raises SchemaNotFound."""
    async with resources.pool.acquire() as conn:
        return await read_schema(conn, tenant, schema)


async def show_ref(resources: Resources, tenant: UUID, ref: SchemaRef) -> Schema:
    """Return one schema with the version that a reference names now.

    Raises SchemaNotFound, SchemaVersionNotFound.
    """
    async with resources.pool.acquire() as conn:
        schema = await read_schema(conn, tenant, ref.schema)
        return replace(schema, version=await _read_referenced(conn, tenant, ref))


async def list_schemas(
    resources: Resources,
    tenant: UUID,
    *,
    name: str | None,
    archived: bool,
    cursor: str | None,
    limit: int,
) -> Page[Schema]:
    """List schemas, newest first. Raises InvalidRequest."""
    paginator = Paginator("schemas", name, archived)
    below = paginator.below(cursor)
    async with resources.pool.acquire() as conn:
        schemas = await store.select_schema_page(
            conn, tenant, below=below, archived=archived, name=name, limit=limit + 1
        )
    return paginator.page(schemas, [schema.id for schema in schemas], limit=limit)


async def describe(
    resources: Resources, caller: Caller, schema: UUID | str, change: DescribeSchema
) -> Schema:
    """Change a schema's description or what it demands, archive it, or restore it.

    Values that the schema has already change nothing. Raises SchemaNotFound.
    """
    async with locked_schema(resources, caller.tenant, schema, allow_archived=True) as (
        conn,
        schema_id,
    ):
        before = await read_schema(conn, caller.tenant, schema_id)
        described = await update_described(conn, caller.tenant, before, change)
        archives = change.archived not in (UNSET, before.archived_at is not None)
        if archives:
            await store.update_schema(
                conn, caller.tenant, schema_id, archived=change.archived is True
            )
        if not described and not archives:
            return before
        action = Action.SCHEMA_DESCRIBED
        if archives:
            action = Action.SCHEMA_ARCHIVED if change.archived else Action.SCHEMA_RESTORED
        details = {"name": before.name, **described}
        await log_action(conn, caller, action, target_of(schema_id), details=details)
        return await read_schema(conn, caller.tenant, schema_id)


async def update_described(
    conn: Connection, tenant: UUID, before: Schema, change: DescribeSchema
) -> dict[str, object]:
    """Set a schema's description and what it demands; return what the audit log says of it."""
    description = None if change.description is UNSET else change.description
    compatibility = None if change.compatibility is UNSET else change.compatibility
    details: dict[str, object] = {}
    if description not in (None, before.description):
        details["described"] = True
    if compatibility not in (None, before.compatibility):
        details["compatibility"] = compatibility
    if details:
        await store.update_schema(
            conn, tenant, before.id, description=description, compatibility=compatibility
        )
    return details


async def show_version(resources: Resources, tenant: UUID, ref: SchemaRef) -> SchemaVersion:
    """Return the version that a reference names now.

    Raises SchemaNotFound, SchemaVersionNotFound.
    """
    async with resources.pool.acquire() as conn:
        return await _read_referenced(conn, tenant, ref)


async def read_document(
    resources: Resources, tenant: UUID, ref: SchemaRef
) -> tuple[ResolvedSchema, bytes]:
    """Return a version and its document, byte for byte.

    Raises SchemaNotFound, SchemaVersionNotFound.
    """
    async with resources.pool.acquire() as conn:
        version = await resolve(conn, tenant, ref, allow_archived=True)
        key = (version.schema_id, version.version)
        closure = await resources.bundles.closure(conn, tenant, [key])
    return version, closure[key].document


async def list_versions(
    resources: Resources, tenant: UUID, schema: UUID | str, *, cursor: str | None, limit: int
) -> Page[SchemaVersion]:
    """List a schema's versions, newest first. Raises SchemaNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        schema_id = (await read_schema(conn, tenant, schema)).id
        paginator = Paginator("schema versions", schema_id)
        versions = await store.select_version_page(
            conn, tenant, schema_id, below=paginator.below_number(cursor), limit=limit + 1
        )
    return paginator.page_by_number(versions, [each.version for each in versions], limit=limit)


@asynccontextmanager
async def locked_schema(
    resources: Resources, tenant: UUID, schema: UUID | str, *, allow_archived: bool = False
) -> AsyncIterator[tuple[Connection, UUID]]:
    """Open a transaction that locks a schema's row, so that changes to it take turns.

    Raises SchemaNotFound, and SchemaArchived unless `allow_archived`.
    """
    async with resources.pool.acquire() as conn, conn.transaction():
        locked = await store.lock_schema(conn, tenant, schema)
        if locked is None:
            raise schema_not_found(schema)
        schema_id, is_archived = locked
        if is_archived and not allow_archived:
            raise schema_archived(schema, "does not change")
        yield conn, schema_id


async def read_schema(conn: Connection, tenant: UUID, schema: UUID | str) -> Schema:
    """Read a schema. Raises SchemaNotFound."""
    existing = await store.select_schema(conn, tenant, schema)
    if existing is None:
        raise schema_not_found(schema)
    return existing


async def read_version(
    conn: Connection, tenant: UUID, schema_id: UUID, number: int
) -> SchemaVersion:
    """Read a version. Raises SchemaVersionNotFound."""
    version = await store.select_version(conn, tenant, schema_id, number)
    if version is None:
        raise schema_version_not_found(str(schema_id), number)
    return version


def target_of(schema_id: UUID) -> str:
    """Return the path that names a schema in the audit log."""
    return f"/schemas/{schema_id}"


async def _read_referenced(conn: Connection, tenant: UUID, ref: SchemaRef) -> SchemaVersion:
    version = await resolve(conn, tenant, ref, allow_archived=True)
    return await read_version(conn, tenant, version.schema_id, version.version)
