"""Create scripts and add versions to them: the rules and the transactions."""

from contextlib import suppress
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET, Struct
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize
from app.errors import invalid
from app.preconditions import NO_PRECONDITIONS, Preconditions
from app.quotas.model import effective_caps
from app.resources import Resources
from app.scripts import store
from app.scripts.model import (
    RESERVED_NAMES,
    Accepted,
    AddedVersion,
    AddVersion,
    CheckScript,
    CreatedScript,
    CreateScript,
    NameTaken,
    Version,
    is_uuid,
)
from app.scripts.params import read_params
from app.scripts.samples import try_sample
from app.scripts.service import (
    archived,
    locked,
    no_script,
    read_script,
    read_version,
    require_limits,
    show,
    target_of,
)
from app.scripts.validation import Validated, validate

# A script has no ETag: conditions can only ask whether it is there.
_ANY_ETAG: Final = ""


async def create(resources: Resources, who: Caller, request: CreateScript) -> CreatedScript:
    """Check the source, then store the script with its version 1.

    Raises InvalidRequest, SourceTooLarge, InvalidScript, CheckBusy, TooManyChecks,
    NameTaken, QuotaExceeded.
    """
    _require_name(request.name)
    require_limits(resources.settings, request.limits)
    checked = await validate(resources, who, source=request.source)
    return await _insert(resources, who, request, checked)


async def add_version(
    resources: Resources, who: Caller, script: UUID | str, request: AddVersion
) -> tuple[AddedVersion, bool]:
    """Store the next version, and say whether it is new.

    The newest version's source and limits again change nothing: that version comes back.
    Raises as create, and ScriptNotFound, ScriptArchived.
    """
    require_limits(resources.settings, request.limits)
    async with resources.pool.acquire() as conn:
        await read_script(conn, who.tenant, script)
    # Checked before the row is locked: user code must not decide how long others wait.
    checked = await validate(resources, who, source=request.source)
    return await _append(resources, who, script, request, checked)


class Put(StrEnum):
    """What came of a source that was put."""

    CREATED = "created"
    ADDED = "added"
    UNCHANGED = "unchanged"


async def put(
    resources: Resources,
    who: Caller,
    script: UUID | str,
    request: AddVersion,
    *,
    conditions: Preconditions = NO_PRECONDITIONS,
) -> tuple[CreatedScript, Put]:
    """Have a source as the newest version of a script, which is made where it is not there.

    Raises as create and add_version; ScriptNotFound for an id only; PreconditionFailed.
    """
    if isinstance(script, str):
        _require_name(script, pointer="/script")
    require_limits(resources.settings, request.limits)
    async with resources.pool.acquire() as conn:
        there = await store.select_script(conn, who.tenant, script)
    if there is None and isinstance(script, UUID):
        raise no_script(script)
    if there is not None and there.archived_at is not None:
        raise archived(script, "does not change")
    conditions.require(None if there is None else _ANY_ETAG)
    checked = await validate(resources, who, source=request.source)
    if there is None and isinstance(script, str):
        wanted = CreateScript(name=script, **_members(request))
        # Somebody may have made it meanwhile; nobody removes one.
        with suppress(NameTaken):
            return await _insert(resources, who, wanted, checked), Put.CREATED
        conditions.require(_ANY_ETAG)
    version, added = await _append(resources, who, script, request, checked)
    members = {**_members(version)}
    warnings = members.pop("warnings")
    now = replace(await show(resources, who.tenant, script), latest_version=Version(**members))
    made = CreatedScript(**_members(now), warnings=warnings)
    return made, Put.ADDED if added else Put.UNCHANGED


async def _insert(
    resources: Resources, who: Caller, request: CreateScript, checked: Validated
) -> CreatedScript:
    await reauthorize(who)
    tenant = who.tenant
    script_id = uuid.uuid7()
    caps = effective_caps(resources.settings, who.caps)
    async with resources.pool.acquire() as conn, conn.transaction():
        await store.require_quota(conn, tenant, caps, scripts=1)
        await store.insert_script(
            conn, tenant, script_id, name=request.name, description=request.description
        )
        await store.insert_version(
            conn, tenant, script_id, source=checked.source, limits=request.limits, note=request.note
        )
        script = await read_script(conn, tenant, script_id)
        details = {"name": script.name, "sha256": script.latest_version.sha256}
        await log_action(conn, who, Action.SCRIPT_CREATED, target_of(script_id), details=details)
    return CreatedScript(**_members(script), warnings=checked.warnings)


async def _append(
    resources: Resources,
    who: Caller,
    script: UUID | str,
    request: AddVersion,
    checked: Validated,
) -> tuple[AddedVersion, bool]:
    await reauthorize(who)
    tenant, source = who.tenant, checked.source
    async with locked(resources, tenant, script) as (conn, script_id):
        known = await store.newest_is(conn, tenant, script_id, source=source, limits=request.limits)
        if known is not None:
            version = await read_version(conn, tenant, script_id, known)
            return AddedVersion(**_members(version), warnings=checked.warnings), False
        caps = effective_caps(resources.settings, who.caps)
        await store.require_quota(conn, tenant, caps, scripts=0)
        number = await store.insert_version(
            conn, tenant, script_id, source=source, limits=request.limits, note=request.note
        )
        await store.update_script(conn, tenant, script_id, description=None, archived=None)
        version = await read_version(conn, tenant, script_id, number)
        target = f"{target_of(script_id)}/versions/{number}"
        await log_action(
            conn, who, Action.VERSION_ADDED, target, details={"sha256": version.sha256}
        )
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


def _require_name(name: str, *, pointer: str = "/name") -> None:
    if name in RESERVED_NAMES:
        raise invalid(pointer, f"{name!r} is the name of a route")
    if is_uuid(name):
        raise invalid(pointer, "a name cannot look like an id")


def _members(struct: Struct) -> dict[str, Any]:
    # One level: what is nested stays a struct.
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
