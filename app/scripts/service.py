"""Create, version, find and archive scripts: the rules and the transactions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Connection
from app.errors import InvalidRequest
from app.limits import LimitChoice
from app.pagination import Page, Paginator
from app.resources import Resources
from app.scripts import store
from app.scripts.model import (
    ResolvedVersion,
    Script,
    ScriptArchived,
    ScriptNotFound,
    ScriptRef,
    Version,
    VersionNotFound,
)
from app.settings import Settings

_HIGHEST_VERSION: Final = 2**31 - 1


async def show(resources: Resources, tenant: UUID, script: UUID | str) -> Script:
    """Give one script. Raises ScriptNotFound."""
    async with resources.pool.acquire() as conn:
        return await read_script(conn, tenant, script)


async def show_ref(resources: Resources, tenant: UUID, ref: ScriptRef) -> Script:
    """Give one script with the version that a reference names now.

    Raises ScriptNotFound, VersionNotFound.
    """
    async with resources.pool.acquire() as conn:
        found = await read_script(conn, tenant, ref.script)
        return replace(found, version=await _referred(conn, tenant, ref))


async def browse(
    resources: Resources,
    tenant: UUID,
    *,
    name: str | None,
    archived: bool,
    cursor: str | None,
    limit: int,
) -> Page[Script]:
    """Give a page of scripts, newest first. Raises InvalidRequest."""
    listing = Paginator("scripts", name, archived)
    below = listing.below(cursor)
    async with resources.pool.acquire() as conn:
        found = await store.select_script_page(
            conn, tenant, below=below, archived=archived, name=name, limit=limit + 1
        )
    return listing.page(found, [script.id for script in found], limit=limit)


async def describe(
    resources: Resources,
    who: Caller,
    script: UUID | str,
    *,
    description: str | UnsetType = UNSET,
    archived: bool | UnsetType = UNSET,
) -> Script:
    """Change a script's description, or archive it, or take it back.

    What is so already is no change. Raises ScriptNotFound.
    """
    async with locked(resources, who.tenant, script, archived_too=True) as (conn, script_id):
        before = await read_script(conn, who.tenant, script_id)
        was_archived = before.archived_at is not None
        described = description not in (UNSET, before.description)
        moved = archived not in (UNSET, was_archived)
        if not described and not moved:
            return before
        await store.update_script(
            conn,
            who.tenant,
            script_id,
            description=None if description is UNSET else description,
            archived=None if archived is UNSET else archived,
        )
        changed = await read_script(conn, who.tenant, script_id)
        action = Action.SCRIPT_DESCRIBED
        if moved:
            action = Action.SCRIPT_ARCHIVED if archived else Action.SCRIPT_RESTORED
        details = {"name": changed.name, "described": described}
        await log_action(conn, who, action, target_of(script_id), details=details)
        return changed


async def show_version(resources: Resources, tenant: UUID, ref: ScriptRef) -> Version:
    """Give the version that a reference names now. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        return await _referred(conn, tenant, ref)


async def read_source(resources: Resources, tenant: UUID, ref: ScriptRef) -> bytes:
    """Give a version's source, byte for byte. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        named = await resolve(conn, tenant, ref, archived_too=True)
        source = await store.select_source(conn, tenant, named.script_id, named.version)
    if source is None:
        raise no_version(str(ref.script), ref.selector)
    return source


async def browse_versions(
    resources: Resources, tenant: UUID, script: UUID | str, *, cursor: str | None, limit: int
) -> Page[Version]:
    """Give a page of versions, newest first. Raises ScriptNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        found = await read_script(conn, tenant, script)
        listing = Paginator("versions", found.id)
        below = _HIGHEST_VERSION if cursor is None else _number_in(listing.position(cursor))
        versions = await store.select_version_page(
            conn, tenant, found.id, below=below, limit=limit + 1
        )
    shown = versions[:limit]
    more = len(versions) > limit
    cursor = listing.cursor(shown[-1].version.to_bytes(4, "big")) if more else None
    return Page(items=shown, next_cursor=cursor)


async def resolve(
    conn: Connection, tenant: UUID, ref: ScriptRef, *, archived_too: bool = False
) -> ResolvedVersion:
    """Find the one version that a reference names now.

    Raises ScriptNotFound, VersionNotFound, and ScriptArchived unless `archived_too`.
    """
    return require_version(ref, await store.resolve(conn, tenant, ref), archived_too=archived_too)


def require_version(
    ref: ScriptRef, found: ResolvedVersion | UUID | None, *, archived_too: bool = False
) -> ResolvedVersion:
    """Refuse what the store found for a reference when it is no version that may be run.

    Raises ScriptNotFound, VersionNotFound, and ScriptArchived unless `archived_too`.
    """
    if found is None:
        raise no_script(ref.script)
    if isinstance(found, UUID):
        raise no_version(str(ref.script), ref.selector)
    if found.archived_at is not None and not archived_too:
        raise archived(ref.script, "takes no executions")
    return found


def require_limits(settings: Settings, limits: LimitChoice) -> None:
    """Refuse limits above what this installation allows. Raises InvalidRequest."""
    ceilings = asdict(settings.limit_policy.ceilings)
    over = [
        {"pointer": f"/limits/{name}", "message": f"{value} is above the ceiling, {ceilings[name]}"}
        for name, value in asdict(limits).items()
        if value is not None and value > ceilings[name]
    ]
    if over:
        raise InvalidRequest("limits are above this installation's ceilings", errors=over)


@asynccontextmanager
async def locked(
    resources: Resources, tenant: UUID, script: UUID | str, *, archived_too: bool = False
) -> AsyncIterator[tuple[Connection, UUID]]:
    """Hold a script's row in a transaction: versions get their numbers one after another."""
    async with resources.pool.acquire() as conn, conn.transaction():
        found = await store.lock_script(conn, tenant, script)
        if found is None:
            raise no_script(script)
        script_id, is_archived = found
        if is_archived and not archived_too:
            raise archived(script, "does not change")
        yield conn, script_id


async def read_script(conn: Connection, tenant: UUID, script: UUID | str) -> Script:
    """Find a script. Raises ScriptNotFound."""
    found = await store.select_script(conn, tenant, script)
    if found is None:
        raise no_script(script)
    return found


async def read_version(conn: Connection, tenant: UUID, script_id: UUID, number: int) -> Version:
    """Find a version. Raises VersionNotFound."""
    found = await store.select_version(conn, tenant, script_id, number)
    if found is None:
        raise no_version(str(script_id), number)
    return found


def target_of(script_id: UUID) -> str:
    """Give what the audit log calls a script."""
    return f"/scripts/{script_id}"


def no_script(script: UUID | str) -> ScriptNotFound:
    """Make the problem of a script that is not there."""
    return ScriptNotFound(f"no script {str(script)!r}; GET /scripts lists them")


def no_version(script: str, selector: int | str) -> VersionNotFound:
    """Make the problem of a version or an alias that is not there."""
    address = f"/scripts/{script}/{'versions' if isinstance(selector, int) else 'aliases'}"
    return VersionNotFound(
        f"the script {script!r} has no version {selector!r}; GET {address} lists them"
    )


def archived(script: UUID | str, what: str) -> ScriptArchived:
    """Make the problem of an archived script, with the way back."""
    return ScriptArchived(
        f"the script {str(script)!r} is archived and {what}; PATCH /scripts/{script} with "
        '{"archived": false} takes it out of the archive'
    )


async def _referred(conn: Connection, tenant: UUID, ref: ScriptRef) -> Version:
    named = await resolve(conn, tenant, ref, archived_too=True)
    return await read_version(conn, tenant, named.script_id, named.version)


def _number_in(place: bytes) -> int:
    return min(int.from_bytes(place, "big"), _HIGHEST_VERSION)
