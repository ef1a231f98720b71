"""Move, show, list and remove aliases."""

from uuid import UUID

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.errors import invalid
from app.pagination import Page, Paginator, invalid_cursor
from app.preconditions import NO_PRECONDITIONS, Preconditions
from app.resources import Resources
from app.scripts import alias_store as store
from app.scripts.model import Alias
from app.scripts.problems import version_not_found
from app.scripts.refs import is_alias
from app.scripts.service import locked_script, read_script, read_version, target_of


async def move(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    *,
    alias: str,
    version: int,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> Alias:
    """Make an alias name a version. Moving it to the version that it names changes nothing.

    Raises InvalidRequest, ScriptNotFound, ScriptArchived, VersionNotFound, PreconditionFailed.
    """
    if not is_alias(alias):
        raise invalid("/alias", f"{alias!r} cannot name a version")
    # The script's row is locked, so that reading the alias and moving it are one step.
    async with locked_script(resources, caller.tenant, script) as (conn, script_id):
        await read_version(conn, caller.tenant, script_id, version)
        current = await store.select_alias(conn, caller.tenant, script_id, alias)
        preconditions.require(None if current is None else current.etag)
        if current is not None and current.version == version:
            return current
        moved = await store.put_alias(conn, caller.tenant, script_id, alias=alias, version=version)
        target = f"{target_of(script_id)}/aliases/{alias}"
        await log_action(conn, caller, Action.ALIAS_MOVED, target, details={"version": version})
        return moved


async def show(resources: Resources, tenant: UUID, script: UUID | str, alias: str) -> Alias:
    """Return one alias. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        named = await read_script(conn, tenant, script)
        current = None
        if is_alias(alias):
            current = await store.select_alias(conn, tenant, named.id, alias)
    if current is None:
        raise version_not_found(named.name, alias)
    return current


async def list_aliases(
    resources: Resources, tenant: UUID, script: UUID | str, *, cursor: str | None, limit: int
) -> Page[Alias]:
    """List a script's aliases by name. Raises ScriptNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        script_id = (await read_script(conn, tenant, script)).id
        paginator = Paginator("aliases", script_id)
        after = "" if cursor is None else _alias_in(paginator.position(cursor), cursor)
        aliases = await store.select_alias_page(
            conn, tenant, script_id, after=after, limit=limit + 1
        )
    items = aliases[:limit]
    next_cursor = paginator.cursor(items[-1].alias.encode()) if len(aliases) > limit else None
    return Page(items=items, next_cursor=next_cursor)


async def remove(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    alias: str,
    *,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> None:
    """Remove an alias. Raises ScriptNotFound, VersionNotFound, PreconditionFailed."""
    async with locked_script(resources, caller.tenant, script, allow_archived=True) as (
        conn,
        script_id,
    ):
        current = None
        if is_alias(alias):
            current = await store.select_alias(conn, caller.tenant, script_id, alias)
        if current is None:
            name = (await read_script(conn, caller.tenant, script_id)).name
            raise version_not_found(name, alias)
        preconditions.require(current.etag)
        await store.delete_alias(conn, caller.tenant, script_id, alias)
        target = f"{target_of(script_id)}/aliases/{alias}"
        await log_action(conn, caller, Action.ALIAS_REMOVED, target)


def _alias_in(position: bytes, cursor: str) -> str:
    try:
        return position.decode("ascii")
    except UnicodeDecodeError:
        raise invalid_cursor(cursor) from None
