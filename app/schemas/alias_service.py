"""Move, show, list and remove aliases of schemas."""

from uuid import UUID

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.errors import invalid
from app.pagination import Page, Paginator
from app.preconditions import NO_PRECONDITIONS, Preconditions
from app.references import Alias, is_alias
from app.resources import Resources
from app.schemas import alias_store as store
from app.schemas.problems import schema_version_not_found
from app.schemas.service import locked_schema, read_schema, read_version, target_of


async def move(
    resources: Resources,
    caller: Caller,
    schema: UUID | str,
    *,
    alias: str,
    version: int,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> Alias:
    """Make an alias name a version. Moving it to the version that it names changes nothing.

    Raises InvalidRequest, SchemaNotFound, SchemaArchived, SchemaVersionNotFound,
    PreconditionFailed.
    """
    if not is_alias(alias):
        raise invalid("/alias", f"{alias!r} cannot name a version")
    tenant = caller.tenant
    # The schema's row is locked, so that reading the alias and moving it are one step.
    async with locked_schema(resources, tenant, schema) as (conn, schema_id):
        await read_version(conn, tenant, schema_id, version)
        current = await store.select_alias(conn, tenant, schema_id, alias)
        preconditions.require(None if current is None else current.etag)
        if current is not None and current.version == version:
            return current
        moved = await store.put_alias(conn, tenant, schema_id, alias=alias, version=version)
        target = f"{target_of(schema_id)}/aliases/{alias}"
        details = {"version": version}
        await log_action(conn, caller, Action.ALIAS_MOVED, target, details=details)
        return moved


async def show(resources: Resources, tenant: UUID, schema: UUID | str, alias: str) -> Alias:
    """Return one alias. Raises SchemaNotFound, SchemaVersionNotFound."""
    async with resources.pool.acquire() as conn:
        named = await read_schema(conn, tenant, schema)
        current = (
            await store.select_alias(conn, tenant, named.id, alias) if is_alias(alias) else None
        )
    if current is None:
        raise schema_version_not_found(named.name, alias)
    return current


async def list_aliases(
    resources: Resources, tenant: UUID, schema: UUID | str, *, cursor: str | None, limit: int
) -> Page[Alias]:
    """List a schema's aliases by name. Raises SchemaNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        schema_id = (await read_schema(conn, tenant, schema)).id
        paginator = Paginator("schema aliases", schema_id)
        aliases = await store.select_alias_page(
            conn, tenant, schema_id, after=paginator.after(cursor), limit=limit + 1
        )
    return paginator.page_by_name(aliases, [each.alias for each in aliases], limit=limit)


async def remove(
    resources: Resources,
    caller: Caller,
    schema: UUID | str,
    alias: str,
    *,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> None:
    """Remove an alias. Raises SchemaNotFound, SchemaVersionNotFound, PreconditionFailed."""
    tenant = caller.tenant
    async with locked_schema(resources, tenant, schema, allow_archived=True) as (conn, schema_id):
        current = (
            await store.select_alias(conn, tenant, schema_id, alias) if is_alias(alias) else None
        )
        if current is None:
            name = (await read_schema(conn, tenant, schema_id)).name
            raise schema_version_not_found(name, alias)
        preconditions.require(current.etag)
        await store.delete_alias(conn, tenant, schema_id, alias)
        target = f"{target_of(schema_id)}/aliases/{alias}"
        await log_action(conn, caller, Action.ALIAS_REMOVED, target)
