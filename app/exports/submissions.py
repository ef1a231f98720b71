"""Accept exports: resolve what they name, plan them, store them with their first tasks."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import uuid_utils.compat as uuid
from msgspec import Struct
from msgspec.structs import replace

from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets import service as datasets
from app.datasets.parts import Format
from app.datasets.problems import dataset_not_found
from app.datasets.refs import DatasetRef, parse_ref
from app.datasets.store import ResolvedSnapshot
from app.db import Connection
from app.errors import Problem, about, clipped, invalid, located
from app.executions.acceptance import require_room
from app.executions.callback_urls import callback_url_in_json, require_room_for_callback
from app.exports import scripted
from app.exports.acceptance_store import (
    NewExport,
    find_changed_file,
    has_engine,
    insert_export,
    require_room_for_export,
    select_base,
    select_latest,
    select_parts,
    select_schema,
)
from app.exports.choices import differences
from app.exports.destination_store import lock_destinations
from app.exports.destinations import require_allowed
from app.exports.first_tasks import first_tasks
from app.exports.model import ExportStatus, QueuedExport
from app.exports.plan.continuing import CannotRead, reading_of
from app.exports.plan.model import Plan
from app.exports.plans import fields_of, hash_of, plan_of
from app.exports.problems import CannotContinue
from app.exports.replacing import require_same
from app.exports.requests import CreateExport
from app.idempotency.model import IdempotencyKey, RequestKey, key_for
from app.idempotency.store import remember, require_new
from app.limits import MAX_CONTINUED_EXPORT_BYTES, MAX_WHOLE_EXPORT_BYTES, MIN_COUNTED_PART_BYTES
from app.metrics import count_export
from app.quotas.model import effective_caps
from app.resources import Resources
from app.runs import submissions as runs
from app.runs.acceptance_store import select_input
from app.schemas.ddl.types import Field
from app.tenants.store import select_tenant

_SINCE = "/since"
# What the export as it is shown has members of its own for.
_SHOWN_ELSEWHERE = ("labels", "callback_url")


class _Planned(Struct, frozen=True, kw_only=True):
    """What an export does, decided before its snapshot is kept."""

    snapshot: ResolvedSnapshot
    plan: Plan
    destination: str | None
    callback_url: str | None


async def create(
    resources: Resources, caller: Caller, wanted: CreateExport, *, key: RequestKey | None
) -> QueuedExport:
    """Accept an export of a snapshot.

    Raises InvalidRequest, DatasetNotFound, SnapshotNotFound, CannotContinue, ReplacesOtherExport,
    QuotaExceeded, ScriptNotFound, VersionNotFound, ScriptArchived, MissingScope, Repeated,
    IdempotencyKeyReused, RequestInProgress.
    """
    if wanted.replace and wanted.to is None:
        raise invalid("/replace", "is about what is at a destination, and `to` names none")
    if wanted.script is not None:
        scripted.require_possible(caller, wanted)
    callback_url = callback_url_in_json(resources.settings, wanted.callback_url)
    if callback_url is not None:
        await require_room_for_callback(resources, caller.tenant, key)
    once = key_for(key, wanted)
    planned = await _plan(resources, caller, wanted, callback_url, once)
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        async with resources.pool.acquire() as conn, conn.transaction():
            await require_new(conn, caller.tenant, once)
            new = await _insert(resources, conn, caller, wanted, planned, traceparent)
            limit = resources.settings.max_active_exports
            await require_room_for_export(conn, caller.tenant, limit=limit)
            hours = resources.settings.idempotency_hours
            await remember(conn, caller.tenant, once, str(new.id), hours=hours)
            await reauthorize_before_commit(caller)
            if wanted.script is not None:
                scripted.require_possible(caller, wanted)
    count_export("accepted")
    if new.run_id is not None:
        await runs.accepted(resources, new.run_id)
    return QueuedExport(id=new.id, status=ExportStatus.QUEUED, url=f"/exports/{new.id}")


async def _plan(
    resources: Resources,
    caller: Caller,
    wanted: CreateExport,
    callback_url: str | None,
    once: IdempotencyKey | None,
) -> _Planned:
    """Decide what an export does, while no row is locked: a schema can take a while to read."""
    async with resources.pool.acquire() as conn, conn.transaction():
        # A repetition is answered whatever has become of its dataset.
        await require_new(conn, caller.tenant, once)
        # Executions that are queued are none of its business, nor are bytes that arrive in a day.
        caps = effective_caps(resources.settings, caller.caps)
        caps = replace(caps, max_queued=None, max_bytes_per_day=None)
        # The least that one file counts.
        await require_room(conn, caller.tenant, size_bytes=MIN_COUNTED_PART_BYTES, caps=caps)
        with about("/dataset"):
            snapshot = await datasets.resolve(conn, caller.tenant, parse_ref(wanted.dataset))
        if snapshot.format is not Format.JSONL:
            message = (
                f"{snapshot.name!r} has the format {snapshot.format}, and an export needs jsonl; "
                "a run of a script makes a dataset of that (POST /runs with `output`, `crivo run "
                "--output`)"
            )
            raise invalid("/dataset", message)
        destination = None
        if wanted.to is not None:
            tenant = await select_tenant(conn, caller.tenant)
            assert tenant is not None  # noqa: S101 - the caller's own
            destination = require_allowed(resources.settings, tenant.name, wanted.to)
    fields: Sequence[Field] = ()
    if wanted.script is None:
        # What a script makes of the records need not satisfy their schema.
        fields = await _fields(resources, caller.tenant, snapshot.dataset_id)
    return _Planned(
        snapshot=snapshot,
        plan=plan_of(wanted, fields, destination),
        destination=destination,
        callback_url=callback_url,
    )


async def _fields(resources: Resources, tenant: UUID, dataset_id: UUID) -> Sequence[Field]:
    async with resources.pool.acquire() as conn:
        schema = await select_schema(conn, tenant, dataset_id)
        if schema is None:
            return ()
        schemas = await resources.bundles.schemas(conn, tenant, [schema])
        uri = await resources.bundles.uri(conn, tenant, *schema)
    return await fields_of(uri, schemas)


async def _insert(
    resources: Resources,
    conn: Connection,
    caller: Caller,
    wanted: CreateExport,
    planned: _Planned,
    traceparent: str | None,
) -> NewExport:
    tenant, found = caller.tenant, planned.snapshot
    assert found.number is not None  # noqa: S101 - it is resolved
    with about("/dataset"):
        totals = await select_input(conn, tenant, found.dataset_id, found.number)
        if totals is None:
            raise dataset_not_found(found.name)
        # Once its dataset is locked: it may have been deleted since it was found.
        await datasets.resolve(conn, tenant, DatasetRef(name=found.name, snapshot=found.number))
    if planned.destination is not None:
        # Before quotas, which lock the tenant; the id comes later, so that ids are in this order.
        await lock_destinations(conn, tenant)
    plan_sha256 = hash_of(planned.plan, planned.destination)
    base_id = None
    if wanted.since is not None:
        base_id = await _base(conn, tenant, planned, wanted.since, plan_sha256)
    parts = await select_parts(
        conn,
        tenant,
        found.dataset_id,
        found.number,
        since=None if base_id is None else wanted.since,
        skip_unchanged=not planned.plan.key,
    )
    raw_bytes = sum(each.raw_bytes for each in parts)
    if base_id is not None and raw_bytes > MAX_WHOLE_EXPORT_BYTES:
        raise _cannot_continue(
            f"{raw_bytes} bytes of records are newer, and at most {MAX_WHOLE_EXPORT_BYTES} are"
            " added to an earlier export"
        )
    stage, tasks = first_tasks(
        parts, is_whole=base_id is not None, for_engine=await has_engine(conn)
    )
    new = NewExport(
        id=uuid.uuid7(),
        dataset_id=found.dataset_id,
        dataset=found.name,
        snapshot=found.number,
        since=wanted.since,
        base_id=base_id,
        request=_shown(wanted),
        plan=msgspec.json.encode(planned.plan),
        plan_sha256=plan_sha256,
        destination=planned.destination,
        labels=wanted.labels,
        callback_url=planned.callback_url,
        request_id=caller.request_id,
        traceparent=traceparent,
        input_sha256=totals.sha256,
        stage=stage,
        raw_bytes=raw_bytes,
    )
    if wanted.script is not None:
        new = await scripted.prepare(resources, conn, caller, wanted, new)
        tasks = []
    if new.destination is not None and not wanted.replace:
        await require_same(conn, tenant, wanted, planned.plan, new)
    await insert_export(conn, tenant, new, tasks)
    return new


async def _base(
    conn: Connection, tenant: UUID, planned: _Planned, since: int, plan_sha256: bytes
) -> UUID:
    """Find the export that another continues. Raises CannotContinue, SnapshotNotFound."""
    found = planned.snapshot
    assert found.number is not None  # noqa: S101 - it is resolved
    if since > found.number:
        message = f"is after the snapshot to be exported, which is {found.number}"
        raise invalid(_SINCE, message)
    with about(_SINCE):
        # Its files would not be known otherwise.
        await datasets.resolve(conn, tenant, DatasetRef(name=found.name, snapshot=since))
    base = await select_base(conn, tenant, found.dataset_id, since, plan_sha256)
    if base is None:
        raise _cannot_continue(await _why_no_base(conn, tenant, planned, since))
    if not base.has_files:
        raise _cannot_continue(f"files of the export {base.id} are deleted")
    if base.bytes > MAX_CONTINUED_EXPORT_BYTES:
        raise _cannot_continue(
            f"the export {base.id} has {base.bytes} bytes, and at most {MAX_CONTINUED_EXPORT_BYTES}"
            " are continued"
        )
    if base.files:
        try:
            reading_of(planned.plan, base.columns)
        except CannotRead as reason:
            raise _cannot_continue(str(reason)) from None
    changed = await find_changed_file(conn, tenant, found.dataset_id, since, found.number)
    if changed is not None:
        raise _cannot_continue(
            f"{found.name}@{found.number} does not keep all files of {found.name}@{since}: "
            f"{clipped(changed)} has other content or was left out; new records belong into "
            "new files, and `crivo send --only-new` sends no file again that has not changed"
        )
    return base.id


async def _why_no_base(conn: Connection, tenant: UUID, planned: _Planned, since: int) -> str:
    found = planned.snapshot
    snapshot = f"{found.name}@{since}"
    latest = await select_latest(conn, tenant, found.dataset_id, since)
    if latest is None:
        return f"no export of {snapshot} has succeeded"
    names = differences(planned.plan, planned.destination, latest)
    return (
        f"no export of {snapshot} with the same choices and destination has succeeded; the latest, "
        f"{latest.id}, differs in {names or 'the schema of the dataset'}"
    )


def _cannot_continue(reason: str) -> Problem:
    message = f"{reason}; omit `since` to export everything"
    return located(_SINCE, CannotContinue(message))


def _shown(wanted: CreateExport) -> bytes:
    members = msgspec.structs.asdict(wanted)
    return msgspec.json.encode(
        {
            name: value
            for name, value in members.items()
            if value is not None and name not in _SHOWN_ELSEWHERE
        }
    )
