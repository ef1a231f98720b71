"""Find, list, describe and archive scripts, and resolve references to their versions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Connection
from app.errors import InvalidRequest
from app.idempotency.model import IdempotencyKey
from app.idempotency.store import require_new
from app.limits import LimitChoice
from app.pagination import Page, Paginator
from app.resources import Resources
from app.scripts import resolution_store, store
from app.scripts.model import ResolvedVersion, Script, Version
from app.scripts.problems import no_process, script_archived, script_not_found, version_not_found
from app.scripts.refs import ScriptRef, parse_ref
from app.settings import Settings


async def show(resources: Resources, tenant: UUID, script: UUID | str) -> Script:
    """Return one script. Raises ScriptNotFound."""
    async with resources.pool.acquire() as conn:
        return await read_script(conn, tenant, script)


async def show_ref(resources: Resources, tenant: UUID, ref: ScriptRef) -> Script:
    """Return one script with the version that a reference names now.

    Raises ScriptNotFound, VersionNotFound.
    """
    async with resources.pool.acquire() as conn:
        script = await read_script(conn, tenant, ref.script)
        return replace(script, version=await _read_referenced(conn, tenant, ref))


async def list_scripts(
    resources: Resources,
    tenant: UUID,
    *,
    name: str | None,
    archived: bool,
    cursor: str | None,
    limit: int,
) -> Page[Script]:
    """List scripts, newest first. Raises InvalidRequest."""
    paginator = Paginator("scripts", name, archived)
    below = paginator.below(cursor)
    async with resources.pool.acquire() as conn:
        scripts = await store.select_script_page(
            conn, tenant, below=below, archived=archived, name=name, limit=limit + 1
        )
    return paginator.page(scripts, [script.id for script in scripts], limit=limit)


async def describe(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    *,
    description: str | UnsetType = UNSET,
    archived: bool | UnsetType = UNSET,
) -> Script:
    """Change a script's description, archive it, or restore it.

    Values that the script has already change nothing. Raises ScriptNotFound.
    """
    async with locked_script(resources, caller.tenant, script, allow_archived=True) as (
        conn,
        script_id,
    ):
        before = await read_script(conn, caller.tenant, script_id)
        was_archived = before.archived_at is not None
        changes_description = description not in (UNSET, before.description)
        changes_archived = archived not in (UNSET, was_archived)
        if not changes_description and not changes_archived:
            return before
        await store.update_script(
            conn,
            caller.tenant,
            script_id,
            description=None if description is UNSET else description,
            archived=None if archived is UNSET else archived,
        )
        changed = await read_script(conn, caller.tenant, script_id)
        action = Action.SCRIPT_DESCRIBED
        if changes_archived:
            action = Action.SCRIPT_ARCHIVED if archived else Action.SCRIPT_RESTORED
        details = {"name": changed.name, "described": changes_description}
        await log_action(conn, caller, action, target_of(script_id), details=details)
        return changed


async def show_version(resources: Resources, tenant: UUID, ref: ScriptRef) -> Version:
    """Return the version that a reference names now. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        return await _read_referenced(conn, tenant, ref)


async def read_source(resources: Resources, tenant: UUID, ref: ScriptRef) -> bytes:
    """Return a version's source, byte for byte. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        version = await resolve(conn, tenant, ref, allow_archived=True)
        source = await store.select_source(conn, tenant, version.script_id, version.version)
    if source is None:
        raise version_not_found(str(ref.script), ref.selector)
    return source


async def list_versions(
    resources: Resources, tenant: UUID, script: UUID | str, *, cursor: str | None, limit: int
) -> Page[Version]:
    """List a script's versions, newest first. Raises ScriptNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        script_id = (await read_script(conn, tenant, script)).id
        paginator = Paginator("versions", script_id)
        versions = await store.select_version_page(
            conn, tenant, script_id, below=paginator.below_number(cursor), limit=limit + 1
        )
    return paginator.page_by_number(versions, [each.version for each in versions], limit=limit)


async def resolve(
    conn: Connection, tenant: UUID, ref: ScriptRef, *, allow_archived: bool = False
) -> ResolvedVersion:
    """Resolve a reference to the version that it names now.

    Raises ScriptNotFound, VersionNotFound, and ScriptArchived unless `allow_archived`.
    """
    return require_version(
        ref, await resolution_store.resolve(conn, tenant, ref), allow_archived=allow_archived
    )


async def resolve_filter(conn: Connection, tenant: UUID, text: str) -> tuple[UUID, int | None]:
    """Return the script that a filter names, and the version if it names one: `cards@3`.

    Raises ScriptNotFound, VersionNotFound.
    """
    found = await resolve(conn, tenant, parse_ref(text), allow_archived=True)
    return found.script_id, found.version if "@" in text else None


def require_version(
    ref: ScriptRef, resolved: ResolvedVersion | UUID | None, *, allow_archived: bool = False
) -> ResolvedVersion:
    """Return the version that the store resolved a reference to.

    The store gives a script's id if the script has no such version, None if there is no script.

    Raises ScriptNotFound, VersionNotFound, and ScriptArchived unless `allow_archived`.
    """
    if resolved is None:
        raise script_not_found(ref.script)
    if isinstance(resolved, UUID):
        raise version_not_found(str(ref.script), ref.selector)
    if resolved.archived_at is not None and not allow_archived:
        raise script_archived(ref.script, "takes no executions")
    return resolved


async def resolve_executable(conn: Connection, tenant: UUID, ref: ScriptRef) -> ResolvedVersion:
    """Resolve a reference to a version that executions can have.

    Raises ScriptNotFound, VersionNotFound, ScriptArchived, NoProcess.
    """
    return require_executable(ref, await resolution_store.resolve(conn, tenant, ref))


def require_executable(ref: ScriptRef, resolved: ResolvedVersion | UUID | None) -> ResolvedVersion:
    """Return the version that the store resolved a reference to, if executions can have it.

    Raises ScriptNotFound, VersionNotFound, ScriptArchived, NoProcess.
    """
    version = require_version(ref, resolved)
    if not version.has_process:
        raise no_process(ref.script, version.version)
    return version


def require_limits(settings: Settings, limits: LimitChoice) -> None:
    """Refuse limits above the installation's ceilings. Raises InvalidRequest."""
    ceilings = {
        "wall_ms": settings.max_wall_ms,
        "max_cpu_ms": settings.max_cpu_ms,
        "memory_bytes": settings.max_memory_bytes,
        "max_output_bytes": settings.max_output_bytes,
    }
    over = [
        {"pointer": f"/limits/{name}", "message": f"{value} is above the ceiling, {ceilings[name]}"}
        for name, value in asdict(limits).items()
        if value is not None and value > ceilings[name]
    ]
    if over:
        raise InvalidRequest("limits are above this installation's ceilings", errors=over)


@asynccontextmanager
async def locked_script(
    resources: Resources,
    tenant: UUID,
    script: UUID | str,
    *,
    allow_archived: bool = False,
    key: IdempotencyKey | None = None,
) -> AsyncIterator[tuple[Connection, UUID]]:
    """Open a transaction that locks a script's row, so that changes to it take turns.

    Raises what `require_new` raises about the key, ScriptNotFound, and ScriptArchived unless
    `allow_archived`.
    """
    async with resources.pool.acquire() as conn, conn.transaction():
        await require_new(conn, tenant, key)
        locked = await store.lock_script(conn, tenant, script)
        if locked is None:
            raise script_not_found(script)
        script_id, is_archived = locked
        if is_archived and not allow_archived:
            raise script_archived(script, "does not change")
        yield conn, script_id


async def read_script(conn: Connection, tenant: UUID, script: UUID | str) -> Script:
    """Read a script. Raises ScriptNotFound."""
    existing = await store.select_script(conn, tenant, script)
    if existing is None:
        raise script_not_found(script)
    return existing


async def read_version(conn: Connection, tenant: UUID, script_id: UUID, number: int) -> Version:
    """Read a version. Raises VersionNotFound."""
    version = await store.select_version(conn, tenant, script_id, number)
    if version is None:
        raise version_not_found(str(script_id), number)
    return version


def target_of(script_id: UUID) -> str:
    """Return the path that names a script in the audit log."""
    return f"/scripts/{script_id}"


async def _read_referenced(conn: Connection, tenant: UUID, ref: ScriptRef) -> Version:
    version = await resolve(conn, tenant, ref, allow_archived=True)
    return await read_version(conn, tenant, version.script_id, version.version)
