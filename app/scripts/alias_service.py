"""Move, show and remove aliases: the rules and the transactions."""

from uuid import UUID

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.errors import invalid
from app.pagination import Page, Paginator, invalid_cursor
from app.preconditions import NO_PRECONDITIONS, Preconditions
from app.resources import Resources
from app.scripts import alias_store as store
from app.scripts.model import Alias, is_alias
from app.scripts.service import locked, no_version, read_script, read_version, target_of


async def move(
    resources: Resources,
    who: Caller,
    script: UUID | str,
    *,
    alias: str,
    version: int,
    conditions: Preconditions = NO_PRECONDITIONS,
) -> Alias:
    """Point an alias at a version; at the one that it names already, that is no change.

    Raises InvalidRequest, ScriptNotFound, ScriptArchived, VersionNotFound, PreconditionFailed.
    """
    if not is_alias(alias):
        raise invalid("/alias", f"{alias!r} cannot name a version")
    # The lock on the script's row lets one client at a time look and move.
    async with locked(resources, who.tenant, script) as (conn, script_id):
        await read_version(conn, who.tenant, script_id, version)
        found = await store.select_alias(conn, who.tenant, script_id, alias)
        conditions.require(None if found is None else found.etag)
        if found is not None and found.version == version:
            return found
        moved = await store.put_alias(conn, who.tenant, script_id, alias=alias, version=version)
        target = f"{target_of(script_id)}/aliases/{alias}"
        await log_action(conn, who, Action.ALIAS_MOVED, target, details={"version": version})
        return moved


async def show(resources: Resources, tenant: UUID, script: UUID | str, alias: str) -> Alias:
    """Give one alias. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        found = await read_script(conn, tenant, script)
        known = await store.select_alias(conn, tenant, found.id, alias) if is_alias(alias) else None
    if known is None:
        raise no_version(found.name, alias)
    return known


async def browse(
    resources: Resources, tenant: UUID, script: UUID | str, *, cursor: str | None, limit: int
) -> Page[Alias]:
    """Give a page of a script's aliases, by name. Raises ScriptNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        found = await read_script(conn, tenant, script)
        listing = Paginator("aliases", found.id)
        after = "" if cursor is None else _alias_in(listing.position(cursor), cursor)
        aliases = await store.select_alias_page(
            conn, tenant, found.id, after=after, limit=limit + 1
        )
    shown = aliases[:limit]
    following = listing.cursor(shown[-1].alias.encode()) if len(aliases) > limit else None
    return Page(items=shown, next_cursor=following)


async def remove(
    resources: Resources,
    who: Caller,
    script: UUID | str,
    alias: str,
    *,
    conditions: Preconditions = NO_PRECONDITIONS,
) -> None:
    """Remove an alias. Raises ScriptNotFound, VersionNotFound, PreconditionFailed."""
    async with locked(resources, who.tenant, script, archived_too=True) as (conn, script_id):
        found = None
        if is_alias(alias):
            found = await store.select_alias(conn, who.tenant, script_id, alias)
        if found is None:
            name = (await read_script(conn, who.tenant, script_id)).name
            raise no_version(name, alias)
        conditions.require(found.etag)
        await store.delete_alias(conn, who.tenant, script_id, alias)
        target = f"{target_of(script_id)}/aliases/{alias}"
        await log_action(conn, who, Action.ALIAS_REMOVED, target)


def _alias_in(place: bytes, cursor: str) -> str:
    try:
        return place.decode("ascii")
    except UnicodeDecodeError:
        raise invalid_cursor(cursor) from None
