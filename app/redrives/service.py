"""Create re-drives or try them on ten samples, and show, list and cancel them."""

from typing import assert_never
from uuid import UUID

import structlog
import uuid_utils.compat as uuid
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize, reauthorize_before_commit
from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.batches import service as batches
from app.batches.problems import BatchFinished, BatchNotFound
from app.datasets.parts import ObjectCache
from app.db import Connection
from app.dead_letters.filters import find_pipe
from app.errors import InvalidRequest, Problem, invalid, located
from app.executions.queue_limit import QueueLimit
from app.idempotency.model import RequestKey, key_for
from app.idempotency.store import remember, require_new
from app.metrics import REDRIVES, count_batch
from app.pagination import Page, Paginator
from app.redrives import execution_store, executions, letters, runs, store
from app.redrives.model import (
    CreateRedrive,
    NewRedrive,
    Redrive,
    RedriveFilter,
    RedriveKind,
    RedriveListFilter,
    RedrivePlan,
    RedriveStatus,
)
from app.redrives.problems import RedriveFinished, nothing_to_redrive, redrive_not_found
from app.resources import Resources
from app.scripts import service as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.refs import parse_ref

log = structlog.get_logger(__name__)

# What creating and cancelling take, beside the scope of the route.
_SCOPES = {
    RedriveKind.PIPE: (Scope.WRITE_PIPES,),
    RedriveKind.RUN: (Scope.WRITE_EXECUTIONS, Scope.WRITE_DATASETS),
    RedriveKind.EXECUTION: (Scope.WRITE_EXECUTIONS,),
}
_WHAT = {
    RedriveKind.PIPE: "dead letter",
    RedriveKind.RUN: "failed record",
    RedriveKind.EXECUTION: "failed execution",
}
_OF_PIPES = ("schema", "script", "pointer", "from_", "to")


def require_scopes(caller: Caller, kind: RedriveKind) -> None:
    """Require the scopes that this kind of re-drive takes. Raises MissingScope."""
    for scope in _SCOPES[kind]:
        if scope not in caller.scopes:
            raise MissingScope(scope)


def kind_of(wanted: CreateRedrive) -> RedriveKind:
    """Return what a request is to try again. Raises InvalidRequest unless it is one kind."""
    chosen = wanted.filter
    kinds = [each for each in RedriveKind if getattr(chosen, each) is not UNSET]
    if not kinds:
        names = ", ".join(f"`{each}`" for each in RedriveKind)
        raise invalid("/filter", f"names nothing; it takes one of {names}")
    if len(kinds) > 1:
        names = " and ".join(f"`{each}`" for each in kinds)
        raise invalid("/filter", f"names {names}; a re-drive is of one kind")
    [kind] = kinds
    if kind is not RedriveKind.PIPE:
        _require_no_others(chosen, kind)
    if kind is RedriveKind.EXECUTION and wanted.per_second is not None:
        message = "is for pipes and runs; executions are replayed as one batch, behind all others"
        raise invalid("/per_second", message)
    return kind


async def plan(
    resources: Resources, cache: ObjectCache, caller: Caller, wanted: CreateRedrive
) -> RedrivePlan:
    """Count what a re-drive would match, and run ten samples; nothing is forwarded or stored.

    Raises what `create` raises about the filter and the script, CheckBusy, TooManyChecks.
    """
    kind = kind_of(wanted)
    await reauthorize(caller)
    require_scopes(caller, kind)
    tenant, chosen = caller.tenant, wanted.filter
    async with resources.pool.acquire() as conn:
        script = await _script(conn, tenant, wanted, kind)
    match kind:
        case RedriveKind.PIPE:
            return await letters.plan(resources, caller, chosen, script)
        case RedriveKind.RUN:
            return await runs.plan(resources, cache, caller, chosen, script)
        case RedriveKind.EXECUTION:
            return await executions.plan(resources, caller, chosen, script)
        case _:
            assert_never(kind)


async def create(
    resources: Resources,
    caller: Caller,
    wanted: CreateRedrive,
    *,
    key: RequestKey | None,
    queue_limit: QueueLimit,
) -> Redrive:
    """Mark what matches and is free as the re-drive's own, in one transaction.

    Raises InvalidRequest, MissingScope, PipeNotFound, RunNotFound, RunNotFinished, CannotRedrive,
    NothingToRedrive, TooManyToRedrive, ScriptNotFound, VersionNotFound, ScriptArchived, NoProcess,
    TooManyToReplay, QuotaExceeded, QueueFull, NoWorkerLargeEnough, Repeated, IdempotencyKeyReused,
    RequestInProgress.
    """
    kind = kind_of(wanted)
    require_scopes(caller, kind)
    tenant, request_key = caller.tenant, key_for(key, wanted)
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        async with resources.pool.acquire() as conn, conn.transaction():
            await require_new(conn, tenant, request_key)
            script = await _script(conn, tenant, wanted, kind)
            await store.lock_redrives(conn, tenant)
            new = await _mark(
                resources,
                conn,
                caller,
                wanted,
                kind,
                script,
                queue_limit=queue_limit,
                traceparent=traceparent,
            )
            await store.insert_redrive(conn, tenant, new)
            details = {"kind": kind, "subject": str(new.subject_id), "matched": new.matched}
            target = f"/redrives/{new.id}"
            await log_action(conn, caller, Action.REDRIVE_CREATED, target, details=details)
            hours = resources.settings.idempotency_hours
            await remember(conn, tenant, request_key, str(new.id), hours=hours)
            created = await store.select_redrive(conn, tenant, new.id)
            assert created is not None  # noqa: S101 - this transaction has inserted it
            await reauthorize_before_commit(caller)
            require_scopes(caller, kind)
    REDRIVES.labels(kind, "created").inc()
    if kind is RedriveKind.EXECUTION:
        count_batch("accepted", items=new.matched)
        resources.work_signal.notify()
    return created


async def show(resources: Resources, tenant: UUID, redrive_id: UUID) -> Redrive:
    """Return a re-drive in its current state. Raises RedriveNotFound."""
    async with resources.pool.acquire() as conn:
        redrive = await store.select_redrive(conn, tenant, redrive_id)
    if redrive is None:
        raise redrive_not_found(redrive_id)
    return redrive


async def list_redrives(
    resources: Resources,
    tenant: UUID,
    wanted: RedriveListFilter,
    *,
    pipe: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Redrive]:
    """Return a page of re-drives, newest first; `pipe` is its name or id. Raises InvalidRequest."""
    paginator = Paginator("redrives", wanted, pipe)
    below = paginator.below(cursor)
    async with resources.pool.acquire() as conn:
        if pipe is not None:
            wanted = replace(wanted, pipe_id=await find_pipe(conn, tenant, pipe))
        found = await store.select_redrive_page(conn, tenant, wanted, below=below, limit=limit + 1)
    return paginator.page(found, [each.id for each in found], limit=limit)


async def cancel(resources: Resources, caller: Caller, redrive_id: UUID) -> Redrive:
    """Cancel a re-drive: what it has not tried is free again. Repeating it changes nothing.

    A batch that a worker has in hand is still recorded. Raises RedriveNotFound, MissingScope,
    RedriveFinished.
    """
    before = await show(resources, caller.tenant, redrive_id)
    kind = kind_of(CreateRedrive(filter=before.filter))
    require_scopes(caller, kind)
    if not before.status.final:
        batch_id = None
        if not isinstance(before.batch_url, UnsetType):
            batch_id = UUID(before.batch_url.rpartition("/")[2])
        await _cancel(resources, caller, before, kind, batch_id)
    redrive = await show(resources, caller.tenant, redrive_id)
    if redrive.status is not RedriveStatus.CANCELLED:
        raise RedriveFinished(f"the re-drive has {redrive.status}; GET {redrive.url} shows it")
    return redrive


async def _cancel(
    resources: Resources,
    caller: Caller,
    before: Redrive,
    kind: RedriveKind,
    batch_id: UUID | None,
) -> None:
    if batch_id is not None:
        try:
            await batches.cancel(resources, caller, batch_id)
        except BatchFinished:
            raise RedriveFinished(
                f"all replays of the re-drive had ended; GET {before.url} shows it"
            ) from None
        except BatchNotFound:
            pass
    async with resources.pool.acquire() as conn, conn.transaction():
        remaining = await store.cancel_redrive(conn, caller.tenant, before.id)
        if batch_id is not None:
            await execution_store.settle_cancelled(conn, caller.tenant, before.id, batch_id)
        if remaining is not None:
            details = {"remaining": remaining}
            target = before.url
            await log_action(conn, caller, Action.REDRIVE_CANCELLED, target, details=details)
        await reauthorize_before_commit(caller)
        require_scopes(caller, kind)
    if remaining is not None:
        REDRIVES.labels(kind, "cancelled").inc()
        log.info("redrive.cancelled", id=str(before.id), remaining=remaining)
        resources.publisher.ended(before.id)


async def _mark(
    resources: Resources,
    conn: Connection,
    caller: Caller,
    wanted: CreateRedrive,
    kind: RedriveKind,
    script: ResolvedVersion | None,
    *,
    queue_limit: QueueLimit,
    traceparent: str | None,
) -> NewRedrive:
    """Mark what matches; return the re-drive that it is now of."""
    redrive_id, tenant = uuid.uuid7(), caller.tenant
    version = None if script is None else (script.script_id, script.version)
    if kind is RedriveKind.PIPE:
        letter_match = await letters.find(conn, tenant, wanted.filter, script)
        subject_id = letter_match.pipe.id
        matched = await letters.mark(conn, tenant, letter_match, redrive_id)
    elif kind is RedriveKind.RUN:
        run_match = await runs.find(conn, tenant, wanted.filter, script, redrive_id)
        subject_id = run_match.mapper.run.id
        matched = await runs.mark(conn, tenant, run_match)
        version = (run_match.mapper.version.script_id, run_match.mapper.version.version)
    else:
        accepted = await executions.accept(
            resources,
            conn,
            caller,
            wanted.filter,
            script,
            redrive_id,
            queue_limit=queue_limit,
            traceparent=traceparent,
        )
        subject_id, matched = accepted.batch_id, accepted.items
    if not matched:
        raise nothing_to_redrive(_WHAT[kind])
    script_id, script_version = version or (None, None)
    return NewRedrive(
        id=redrive_id,
        kind=kind,
        filter=wanted.filter,
        subject_id=subject_id,
        script_id=script_id,
        script_version=script_version,
        per_second=wanted.per_second,
        matched=matched,
    )


async def _script(
    conn: Connection, tenant: UUID, wanted: CreateRedrive, kind: RedriveKind
) -> ResolvedVersion | None:
    """Resolve the script that tries again. Raises what `scripts.resolve` raises, located."""
    if isinstance(wanted.script, UnsetType):
        return None
    try:
        ref = parse_ref(wanted.script)
        if kind is RedriveKind.EXECUTION:
            return await scripts.resolve_executable(conn, tenant, ref)
        return await scripts.resolve(conn, tenant, ref)
    except InvalidRequest:
        raise
    except Problem as problem:
        raise located("/script", problem) from None


def _require_no_others(chosen: RedriveFilter, kind: RedriveKind) -> None:
    """Refuse conditions of other kinds. Raises InvalidRequest."""
    refused = _OF_PIPES if kind is RedriveKind.RUN else ("kind", *_OF_PIPES)
    for name in refused:
        if getattr(chosen, name) is not UNSET:
            shown = name.removesuffix("_")
            raise invalid(f"/filter/{shown}", f"is a condition on dead letters, not on `{kind}`")
