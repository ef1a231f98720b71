"""Create schemas and add versions, each in one transaction."""

import hashlib
from enum import StrEnum
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET, Struct

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize
from app.check_turns import check_turn
from app.db import Connection
from app.errors import located
from app.preconditions import NO_PRECONDITIONS, Preconditions
from app.references import require_free_name
from app.resources import Resources
from app.schemas import store
from app.schemas.model import (
    CheckedSchema,
    CheckSchema,
    Compatibility,
    DescribeSchema,
    PutSchema,
    Schema,
    SchemaVerdict,
)
from app.schemas.problems import (
    SchemaBusy,
    SchemaNotFound,
    SchemaVersionNotFound,
    schema_archived,
    schema_not_found,
)
from app.schemas.refs import parse_schema_ref
from app.schemas.resolution_store import resolve
from app.schemas.service import locked_schema, read_schema, target_of, update_described
from app.schemas.upload_check import CheckedDocument, check_document
from app.schemas.verdicts import is_compatible, require_compatible, verdict_of

# A schema has no entity tag: a precondition can only test whether it exists.
_ANY_ETAG: Final = ""
# Checks that a put may lose to those of others.
_ATTEMPTS: Final = 5


class PutOutcome(StrEnum):
    """The effect of a put."""

    CREATED = "created"
    ADDED = "added"
    UNCHANGED = "unchanged"


class _Outrun(Exception):
    """Another request has created the schema, or added a version, since it was read."""


class _Candidate(Struct, frozen=True, kw_only=True):
    """A version that is about to be added, and what was the newest when it was checked."""

    before: Schema | None
    checked: CheckedDocument
    verdict: SchemaVerdict | None


async def put_schema(
    resources: Resources,
    caller: Caller,
    schema: UUID | str,
    upload: PutSchema,
    *,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> tuple[Schema, PutOutcome]:
    """Make a document the newest version of a schema; create the schema if it does not exist.

    The newest version that has this document and this strictness already stays the newest. Raises
    InvalidRequest, SchemaNotFound for an id, SchemaArchived, PreconditionFailed, SchemaTooLarge,
    InvalidSchema, IncompatibleSchema, QuotaExceeded, SchemaBusy, CheckBusy, TooManyChecks, and
    whatever `reauthorize` raises.
    """
    if isinstance(schema, str):
        require_free_name(schema, pointer="/schema")
    for _ in range(_ATTEMPTS):
        before = await _read_before(resources, caller.tenant, schema, preconditions)
        try:
            if before is not None and _is_newest(before, upload):
                return await _describe(resources, caller, before, upload), PutOutcome.UNCHANGED
            name = schema if before is None else before.name
            candidate = await _check(resources, caller, str(name), before, upload)
            # The check took a while: the caller's key may have been revoked since.
            await reauthorize(caller)
            if before is None:
                return await _create(resources, caller, str(name), candidate, upload)
            return await _append(resources, caller, before, candidate, upload)
        except _Outrun:
            continue
    raise SchemaBusy(f"the schema {str(schema)!r} was changed {_ATTEMPTS} times meanwhile")


async def check_schema(resources: Resources, caller: Caller, check: CheckSchema) -> CheckedSchema:
    """Check a schema as a put would, and compare it with a version; nothing is stored.

    Without `against` nothing is compared, and the schema is accepted. With it, its URI is that of
    the next version there. Raises InvalidRequest, SchemaNotFound and SchemaVersionNotFound for
    `against`, SchemaTooLarge, InvalidSchema, CheckBusy, TooManyChecks.
    """
    against = None
    demanded, newest = Compatibility.NONE, 0
    if isinstance(check.against, str):
        try:
            async with resources.pool.acquire() as conn:
                ref = parse_schema_ref(check.against)
                against = await resolve(conn, caller.tenant, ref, allow_archived=True)
                named = await read_schema(conn, caller.tenant, ref.schema)
                demanded, newest = named.compatibility, named.latest_version.version
        except (SchemaNotFound, SchemaVersionNotFound) as error:
            raise located("/against", error) from None
    checked = await check_document(
        resources,
        caller,
        bytes(check.schema),
        strict=check.strict,
        name=None if against is None else against.name,
        version=newest + 1,
    )
    if against is None:
        return CheckedSchema(references=checked.refs)
    verdict = await _verdict(
        resources, caller, against.schema_id, against.version, against.uri, checked
    )
    return CheckedSchema(
        accepted=is_compatible(demanded, verdict), references=checked.refs, verdict=verdict
    )


async def _read_before(
    resources: Resources, tenant: UUID, schema: UUID | str, preconditions: Preconditions
) -> Schema | None:
    async with resources.pool.acquire() as conn:
        before = await store.select_schema(conn, tenant, schema)
    if before is None and isinstance(schema, UUID):
        raise schema_not_found(schema)
    if before is not None and before.archived_at is not None:
        raise schema_archived(schema, "does not change")
    preconditions.require(None if before is None else _ANY_ETAG)
    return before


async def _check(
    resources: Resources, caller: Caller, name: str, before: Schema | None, upload: PutSchema
) -> _Candidate:
    newest = None if before is None else before.latest_version
    checked = await check_document(
        resources,
        caller,
        bytes(upload.schema),
        strict=upload.strict,
        name=name,
        version=1 if newest is None else newest.version + 1,
    )
    verdict = None
    if before is not None and newest is not None:
        verdict = await _verdict(resources, caller, before.id, newest.version, newest.uri, checked)
        demanded = before.compatibility if upload.compatibility is UNSET else upload.compatibility
        require_compatible(demanded, verdict)
    return _Candidate(before=before, checked=checked, verdict=verdict)


async def _verdict(
    resources: Resources,
    caller: Caller,
    schema_id: UUID,
    version: int,
    uri: str,
    checked: CheckedDocument,
) -> SchemaVerdict:
    old = await resources.bundles.schemas(resources.pool, caller.tenant, [(schema_id, version)])
    # In turns: a comparison takes up to some seconds of one thread.
    async with check_turn(resources, caller):
        return await verdict_of((uri, old), (checked.uri, checked.schemas), against=version)


async def _create(
    resources: Resources, caller: Caller, name: str, candidate: _Candidate, upload: PutSchema
) -> tuple[Schema, PutOutcome]:
    tenant, schema_id = caller.tenant, uuid.uuid7()
    demanded = Compatibility.NONE if upload.compatibility is UNSET else upload.compatibility
    async with resources.pool.acquire() as conn, conn.transaction():
        added = await store.insert_schema(
            conn,
            tenant,
            schema_id,
            name=name,
            description="" if upload.description is UNSET else upload.description,
            compatibility=demanded,
        )
        if not added:
            raise _Outrun
        created = await _insert_version(resources, conn, tenant, schema_id, candidate, upload)
        details = {"name": name, "sha256": created.latest_version.sha256}
        await log_action(conn, caller, Action.SCHEMA_CREATED, target_of(schema_id), details=details)
    return created, PutOutcome.CREATED


async def _append(
    resources: Resources, caller: Caller, before: Schema, candidate: _Candidate, upload: PutSchema
) -> tuple[Schema, PutOutcome]:
    tenant = caller.tenant
    async with locked_schema(resources, tenant, before.id) as (conn, schema_id):
        now = await read_schema(conn, tenant, schema_id)
        if (now.latest_version.version, now.compatibility) != (
            before.latest_version.version,
            before.compatibility,
        ):
            raise _Outrun
        described = await update_described(conn, tenant, now, _description(upload))
        await store.update_schema(conn, tenant, schema_id)
        changed = await _insert_version(resources, conn, tenant, schema_id, candidate, upload)
        newest = changed.latest_version
        target = f"{target_of(schema_id)}/versions/{newest.version}"
        details = {"sha256": newest.sha256, **described}
        await log_action(conn, caller, Action.VERSION_ADDED, target, details=details)
    return changed, PutOutcome.ADDED


async def _insert_version(
    resources: Resources,
    conn: Connection,
    tenant: UUID,
    schema_id: UUID,
    candidate: _Candidate,
    upload: PutSchema,
) -> Schema:
    """Add a version to a schema whose row is locked. Raises QuotaExceeded."""
    before, checked = candidate.before, candidate.checked
    await store.insert_version(
        conn,
        tenant,
        schema_id,
        version=1 if before is None else before.latest_version.version + 1,
        document=checked.document,
        strict=checked.strict,
        note=upload.note,
        verdict=candidate.verdict,
        references=checked.references,
    )
    settings = resources.settings
    await store.require_quota(
        conn, tenant, max_schemas=settings.max_schemas, max_versions=settings.max_schema_versions
    )
    return await read_schema(conn, tenant, schema_id)


async def _describe(
    resources: Resources, caller: Caller, before: Schema, upload: PutSchema
) -> Schema:
    """Set what a put of the newest version says of its schema."""
    await reauthorize(caller)
    tenant = caller.tenant
    async with locked_schema(resources, tenant, before.id) as (conn, schema_id):
        now = await read_schema(conn, tenant, schema_id)
        if not _is_newest(now, upload):
            raise _Outrun
        details = await update_described(conn, tenant, now, _description(upload))
        if not details:
            return now
        details = {"name": now.name, **details}
        target = target_of(schema_id)
        await log_action(conn, caller, Action.SCHEMA_DESCRIBED, target, details=details)
        return await read_schema(conn, tenant, schema_id)


def _is_newest(schema: Schema, upload: PutSchema) -> bool:
    newest = schema.latest_version
    digest = hashlib.sha256(upload.schema).hexdigest()
    return (newest.sha256, newest.strict) == (digest, upload.strict)


def _description(upload: PutSchema) -> DescribeSchema:
    return DescribeSchema(description=upload.description, compatibility=upload.compatibility)
