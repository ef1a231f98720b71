"""Create, version, find and archive scripts: the rules and the transactions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from app.audit.model import Action
from app.audit.store import record
from app.db import Connection
from app.errors import InvalidRequest
from app.http.access import Caller, require_access
from app.http.bodies import invalid
from app.http.paging import Page, decode_cursor, page_of
from app.http.quotas import caps_in_force
from app.resources import Resources
from app.scripts import store
from app.scripts.model import (
    RESERVED_NAMES,
    Accepted,
    AddedVersion,
    AddVersion,
    Alias,
    CheckScript,
    CreatedScript,
    CreateScript,
    LimitChoice,
    ResolvedVersion,
    Script,
    ScriptArchived,
    ScriptNotFound,
    ScriptRef,
    Version,
    VersionNotFound,
    is_alias,
    is_uuid,
)
from app.scripts.params import read_params
from app.scripts.samples import try_sample
from app.scripts.validation import validate
from app.settings import Settings


async def create(resources: Resources, who: Caller, request: CreateScript) -> CreatedScript:
    """Check the source, then store the script with its version 1.

    Raises InvalidRequest, SourceTooLarge, InvalidScript, CheckBusy, TooManyChecks, NameTaken,
    QuotaExceeded.
    """
    _require_name(request.name)
    require_limits(resources.settings, request.limits)
    tenant = who.tenant
    checked = await validate(resources, who, source=request.source)
    await require_access(who)
    script_id = uuid.uuid7()
    caps = caps_in_force(resources.settings, who.caps)
    async with resources.pool.acquire() as conn, conn.transaction():
        await store.require_quota(conn, tenant, caps, scripts=1)
        await store.insert_script(
            conn, tenant, script_id, name=request.name, description=request.description
        )
        await store.insert_version(
            conn, tenant, script_id, source=checked.source, limits=request.limits, note=request.note
        )
        script = await _read(conn, tenant, script_id)
        details = {"name": script.name, "sha256": script.latest_version.sha256}
        await record(conn, who, Action.SCRIPT_CREATED, _target(script_id), details=details)
    return CreatedScript(**_members(script), warnings=checked.warnings)


async def add_version(
    resources: Resources, who: Caller, script: UUID | str, request: AddVersion
) -> tuple[AddedVersion, bool]:
    """Store the next version, and say whether it is new.

    The newest version's source and limits again change nothing: that version comes back.
    Raises as create, and ScriptNotFound, ScriptArchived.
    """
    require_limits(resources.settings, request.limits)
    tenant = who.tenant
    async with resources.pool.acquire() as conn:
        await _read(conn, tenant, script)
    # Checked before the row is locked: user code must not decide how long others wait.
    checked = await validate(resources, who, source=request.source)
    await require_access(who)
    source = checked.source
    async with _locked(resources, tenant, script) as (conn, script_id):
        known = await store.newest_is(conn, tenant, script_id, source=source, limits=request.limits)
        if known is not None:
            version = await _version(conn, tenant, script_id, known)
            return AddedVersion(**_members(version), warnings=checked.warnings), False
        caps = caps_in_force(resources.settings, who.caps)
        await store.require_quota(conn, tenant, caps, scripts=0)
        number = await store.insert_version(
            conn, tenant, script_id, source=source, limits=request.limits, note=request.note
        )
        await store.update_script(conn, tenant, script_id, description=None, archived=None)
        version = await _version(conn, tenant, script_id, number)
        target = f"{_target(script_id)}/versions/{number}"
        await record(conn, who, Action.VERSION_ADDED, target, details={"sha256": version.sha256})
    return AddedVersion(**_members(version), warnings=checked.warnings), True


async def check(resources: Resources, who: Caller, request: CheckScript) -> Accepted:
    """Judge a source as an upload would, run it on its sample if it has one; store nothing.

    Raises InvalidRequest, SourceTooLarge, InvalidScript, CheckBusy, TooManyChecks.
    """
    require_limits(resources.settings, request.limits)
    params = read_params(request.params)
    checked = await validate(resources, who, source=request.source)
    if request.sample is UNSET:
        return Accepted(warnings=checked.warnings)
    sample = await try_sample(
        resources,
        who,
        source=checked.source,
        sample=bytes(request.sample),
        params=params,
        limits=request.limits,
        seed=request.seed,
    )
    return Accepted(warnings=checked.warnings, sample=sample)


async def show(resources: Resources, tenant: UUID, script: UUID | str) -> Script:
    """Give one script. Raises ScriptNotFound."""
    async with resources.pool.acquire() as conn:
        return await _read(conn, tenant, script)


async def browse(
    resources: Resources, tenant: UUID, *, cursor: str | None, archived: bool, limit: int
) -> Page[Script]:
    """Give a page of scripts, newest first."""
    async with resources.pool.acquire() as conn:
        found = await store.select_script_page(
            conn, tenant, below=decode_cursor(cursor), archived=archived, limit=limit + 1
        )
    return page_of(found, [script.id for script in found], limit=limit)


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
    async with _locked(resources, who.tenant, script, archived_too=True) as (conn, script_id):
        before = await _read(conn, who.tenant, script_id)
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
        changed = await _read(conn, who.tenant, script_id)
        action = Action.SCRIPT_DESCRIBED
        if moved:
            action = Action.SCRIPT_ARCHIVED if archived else Action.SCRIPT_RESTORED
        details = {"name": changed.name, "described": described}
        await record(conn, who, action, _target(script_id), details=details)
        return changed


async def show_version(
    resources: Resources, tenant: UUID, script: UUID | str, number: int
) -> Version:
    """Give one version. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        found = await _read(conn, tenant, script)
        return await _version(conn, tenant, found.id, number)


async def read_source(resources: Resources, tenant: UUID, script: UUID | str, number: int) -> bytes:
    """Give a version's source, byte for byte. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn:
        found = await _read(conn, tenant, script)
        source = await store.select_source(conn, tenant, found.id, number)
    if source is None:
        raise _no_version(found.name, number)
    return source


async def browse_versions(
    resources: Resources, tenant: UUID, script: UUID | str, *, below: int, limit: int
) -> tuple[list[Version], bool]:
    """Give versions below a number, newest first, and whether more follow."""
    async with resources.pool.acquire() as conn:
        found = await _read(conn, tenant, script)
        versions = await store.select_version_page(
            conn, tenant, found.id, below=below, limit=limit + 1
        )
    return versions[:limit], len(versions) > limit


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
        raise _no_script(ref.script)
    if isinstance(found, UUID):
        raise _no_version(str(ref.script), ref.selector)
    if found.archived_at is not None and not archived_too:
        raise ScriptArchived(f"the script {str(ref.script)!r} is archived and takes no executions")
    return found


async def move_alias(
    resources: Resources, who: Caller, script: UUID | str, *, alias: str, version: int
) -> Alias:
    """Point an alias at a version; at the one that it names already, that is no change.

    Raises ScriptNotFound, ScriptArchived, VersionNotFound.
    """
    if not is_alias(alias):
        raise invalid("/alias", f"{alias!r} cannot name a version")
    async with _locked(resources, who.tenant, script) as (conn, script_id):
        await _version(conn, who.tenant, script_id, version)
        for known in await store.select_aliases(conn, who.tenant, script_id):
            if (known.alias, known.version) == (alias, version):
                return known
        moved = await store.put_alias(conn, who.tenant, script_id, alias=alias, version=version)
        target = f"{_target(script_id)}/aliases/{alias}"
        await record(conn, who, Action.ALIAS_MOVED, target, details={"version": version})
        return moved


async def aliases(resources: Resources, tenant: UUID, script: UUID | str) -> list[Alias]:
    """List a script's aliases. Raises ScriptNotFound."""
    async with resources.pool.acquire() as conn:
        found = await _read(conn, tenant, script)
        return await store.select_aliases(conn, tenant, found.id)


async def remove_alias(resources: Resources, who: Caller, script: UUID | str, alias: str) -> None:
    """Remove an alias. Raises ScriptNotFound, VersionNotFound."""
    async with resources.pool.acquire() as conn, conn.transaction():
        found = await _read(conn, who.tenant, script)
        if not is_alias(alias) or not await store.delete_alias(conn, who.tenant, found.id, alias):
            raise _no_version(found.name, alias)
        target = f"{_target(found.id)}/aliases/{alias}"
        await record(conn, who, Action.ALIAS_REMOVED, target)


def require_limits(settings: Settings, limits: LimitChoice) -> None:
    """Refuse limits above what this installation allows. Raises InvalidRequest."""
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
async def _locked(
    resources: Resources, tenant: UUID, script: UUID | str, *, archived_too: bool = False
) -> AsyncIterator[tuple[Connection, UUID]]:
    """Hold a script's row in a transaction: versions get their numbers one after another."""
    async with resources.pool.acquire() as conn, conn.transaction():
        locked = await store.lock_script(conn, tenant, script)
        if locked is None:
            raise _no_script(script)
        script_id, archived = locked
        if archived and not archived_too:
            raise ScriptArchived(f"the script {str(script)!r} is archived and does not change")
        yield conn, script_id


async def _read(conn: Connection, tenant: UUID, script: UUID | str) -> Script:
    found = await store.select_script(conn, tenant, script)
    if found is None:
        raise _no_script(script)
    return found


async def _version(conn: Connection, tenant: UUID, script_id: UUID, number: int) -> Version:
    found = await store.select_version(conn, tenant, script_id, number)
    if found is None:
        raise _no_version(str(script_id), number)
    return found


def _target(script_id: UUID) -> str:
    return f"/scripts/{script_id}"


def _no_script(script: UUID | str) -> ScriptNotFound:
    return ScriptNotFound(f"no script {str(script)!r}; GET /scripts lists them")


def _no_version(script: str, selector: int | str) -> VersionNotFound:
    address = f"/scripts/{script}/{'versions' if isinstance(selector, int) else 'aliases'}"
    return VersionNotFound(
        f"the script {script!r} has no version {selector!r}; GET {address} lists them"
    )


def _require_name(name: str) -> None:
    if name in RESERVED_NAMES:
        raise invalid("/name", f"{name!r} is the name of a route")
    if is_uuid(name):
        raise invalid("/name", "a name cannot look like an id")


def _members(struct: Struct) -> dict[str, Any]:
    # One level: what is nested stays a struct.
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
