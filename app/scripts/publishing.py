"""Create scripts and add versions, each in one transaction."""

from contextlib import suppress
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Struct

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize
from app.idempotency.model import IdempotencyKey, Repeated, RequestKey, key_for
from app.idempotency.store import remember, require_new
from app.preconditions import Preconditions
from app.quotas.model import effective_caps
from app.references import require_free_name
from app.resources import Resources
from app.scripts import store
from app.scripts.model import (
    AddedVersion,
    AddVersion,
    CreatedScript,
    CreateScript,
    Script,
)
from app.scripts.problems import NameTaken, script_archived, script_not_found
from app.scripts.refs import ScriptRef
from app.scripts.service import (
    locked_script,
    read_script,
    require_limits,
    show_version,
    target_of,
)
from app.scripts.upload_check import CheckedSource
from app.scripts.version_schemas import resolve_schemas
from app.settings import Settings

# A script has no entity tag: a precondition can only test whether it exists.
_ANY_ETAG: Final = ""


class UploadOutcome(StrEnum):
    """The effect of an upload; a repeated one's is that of an earlier request with its key."""

    CREATED = "created"
    ADDED = "added"
    UNCHANGED = "unchanged"
    REPEATED = "repeated"
    REPEATED_UNCHANGED = "repeated_unchanged"

    @property
    def unchanged(self) -> bool:
        """Whether there was nothing to store."""
        return self in (UploadOutcome.UNCHANGED, UploadOutcome.REPEATED_UNCHANGED)

    @property
    def repeated(self) -> bool:
        """Whether an earlier request has had the effect."""
        return self in (UploadOutcome.REPEATED, UploadOutcome.REPEATED_UNCHANGED)


def require_new_script(settings: Settings, upload: CreateScript) -> None:
    """Reject a new script before its source is checked. Raises InvalidRequest."""
    require_free_name(upload.name, pointer="/name")
    require_limits(settings, upload.limits)


async def require_new_version(
    resources: Resources, tenant: UUID, script: UUID | str, upload: AddVersion
) -> None:
    """Reject a new version before its source is checked.

    Raises InvalidRequest, ScriptNotFound.
    """
    require_limits(resources.settings, upload.limits)
    async with resources.pool.acquire() as conn:
        await read_script(conn, tenant, script)


async def require_put(
    resources: Resources,
    tenant: UUID,
    script: UUID | str,
    upload: AddVersion,
    *,
    preconditions: Preconditions,
) -> bool:
    """Reject a put before its source is checked; return whether the script exists.

    Raises InvalidRequest, ScriptNotFound for an id, ScriptArchived, PreconditionFailed.
    """
    if isinstance(script, str):
        require_free_name(script, pointer="/script")
    require_limits(resources.settings, upload.limits)
    async with resources.pool.acquire() as conn:
        existing = await store.select_script(conn, tenant, script)
    if existing is None and isinstance(script, UUID):
        raise script_not_found(script)
    if existing is not None and existing.archived_at is not None:
        raise script_archived(script, "does not change")
    preconditions.require(None if existing is None else _ANY_ETAG)
    return existing is not None


async def create_script(
    resources: Resources,
    caller: Caller,
    upload: CreateScript,
    source: CheckedSource,
    *,
    key: RequestKey | None = None,
) -> tuple[CreatedScript, UploadOutcome]:
    """Store a script with its version 1, once for each idempotency key.

    Raises NameTaken, QuotaExceeded, and whatever `reauthorize`, `require_new` and
    `resolve_schemas` raise.
    """
    # The check took a while: the caller's key may have been revoked since.
    await reauthorize(caller)
    outcome = UploadOutcome.CREATED
    try:
        script = await _insert(resources, caller, upload, source, key_for(key, upload))
    except Repeated as earlier:
        outcome = UploadOutcome.REPEATED
        async with resources.pool.acquire() as conn:
            script = await read_script(conn, caller.tenant, UUID(earlier.resource))
    return CreatedScript(**_members(script), warnings=source.warnings), outcome


async def _insert(
    resources: Resources,
    caller: Caller,
    upload: CreateScript,
    source: CheckedSource,
    key: IdempotencyKey | None,
) -> Script:
    tenant, script_id = caller.tenant, uuid.uuid7()
    caps = effective_caps(resources.settings, caller.caps)
    async with resources.pool.acquire() as conn, conn.transaction():
        await require_new(conn, tenant, key)
        await store.require_quota(conn, tenant, caps, scripts=1)
        await store.insert_script(
            conn, tenant, script_id, name=upload.name, description=upload.description
        )
        await store.insert_version(
            conn,
            tenant,
            script_id,
            source=source.encoded,
            kinds=source.kinds,
            io=upload.io,
            schemas=await resolve_schemas(conn, tenant, upload),
            limits=upload.limits,
            note=upload.note,
        )
        script = await read_script(conn, tenant, script_id)
        details = {"name": script.name, "sha256": script.latest_version.sha256}
        await log_action(conn, caller, Action.SCRIPT_CREATED, target_of(script_id), details=details)
        hours = resources.settings.idempotency_hours
        await remember(conn, tenant, key, str(script_id), hours=hours)
    return script


async def add_version(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    upload: AddVersion,
    source: CheckedSource,
    *,
    key: RequestKey | None = None,
) -> tuple[AddedVersion, UploadOutcome]:
    """Store the next version, once for each idempotency key.

    If the newest version has the same source, limits and schemas, it is returned unchanged. Raises
    ScriptNotFound, ScriptArchived, QuotaExceeded, and whatever `reauthorize`, `require_new` and
    `resolve_schemas` raise.
    """
    once = key_for(key, upload)
    try:
        changed, outcome = await _append(resources, caller, script, upload, source, key=once)
        version = changed.latest_version
    except Repeated as earlier:
        script_id, number, first = earlier.resource.split("@")
        ref = ScriptRef(script=UUID(script_id), selector=int(number))
        version = await show_version(resources, caller.tenant, ref)
        outcome = UploadOutcome.REPEATED
        if UploadOutcome(first).unchanged:
            outcome = UploadOutcome.REPEATED_UNCHANGED
    return AddedVersion(**_members(version), warnings=source.warnings), outcome


async def put_script(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    upload: AddVersion,
    source: CheckedSource,
    *,
    exists: bool,
    preconditions: Preconditions,
) -> tuple[CreatedScript, UploadOutcome]:
    """Make a source the newest version of a script; create the script if it does not exist.

    Raises PreconditionFailed, and whatever `create_script` and `add_version` raise.
    """
    if not exists and isinstance(script, str):
        new = CreateScript(name=script, **_members(upload))
        # A concurrent request may have created the script since; scripts are never deleted.
        with suppress(NameTaken):
            return await create_script(resources, caller, new, source)
        preconditions.require(_ANY_ETAG)
    changed, outcome = await _append(resources, caller, script, upload, source)
    return CreatedScript(**_members(changed), warnings=source.warnings), outcome


async def _append(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    upload: AddVersion,
    source: CheckedSource,
    *,
    key: IdempotencyKey | None = None,
) -> tuple[Script, UploadOutcome]:
    """Add a version unless the newest one is the same; return the script and which it was."""
    # The check took a while: the caller's key may have been revoked since.
    await reauthorize(caller)
    tenant, hours = caller.tenant, resources.settings.idempotency_hours
    async with locked_script(resources, tenant, script, key=key) as (conn, script_id):
        schemas = await resolve_schemas(conn, tenant, upload, allow_archived=True)
        same = await store.newest_is(
            conn,
            tenant,
            script_id,
            source=source.encoded,
            kinds=source.kinds,
            io=upload.io,
            schemas=schemas,
            limits=upload.limits,
        )
        if same is not None:
            outcome = UploadOutcome.UNCHANGED
            await remember(conn, tenant, key, f"{script_id}@{same}@{outcome}", hours=hours)
            return await read_script(conn, tenant, script_id), outcome
        # The newest version keeps schemas that have been archived since; a new one gets none.
        schemas = await resolve_schemas(conn, tenant, upload)
        caps = effective_caps(resources.settings, caller.caps)
        await store.require_quota(conn, tenant, caps, scripts=0)
        number = await store.insert_version(
            conn,
            tenant,
            script_id,
            source=source.encoded,
            kinds=source.kinds,
            io=upload.io,
            schemas=schemas,
            limits=upload.limits,
            note=upload.note,
        )
        await store.update_script(conn, tenant, script_id, description=None, archived=None)
        changed = await read_script(conn, tenant, script_id)
        target = f"{target_of(script_id)}/versions/{number}"
        details = {"sha256": changed.latest_version.sha256}
        await log_action(conn, caller, Action.VERSION_ADDED, target, details=details)
        outcome = UploadOutcome.ADDED
        await remember(conn, tenant, key, f"{script_id}@{number}@{outcome}", hours=hours)
    return changed, outcome


def _members(struct: Struct) -> dict[str, Any]:
    # Unlike msgspec's asdict, this keeps nested structs.
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
