"""Accept executions and show them: the rules between HTTP and the store."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import record
from app.executions import acceptance, cancellations, store
from app.executions.dispatch import completion
from app.executions.model import (
    MAX_INLINE_BYTES,
    Execution,
    ExecutionFilter,
    LimitPolicy,
    Limits,
    Status,
    Submission,
)
from app.executions.payloads import PayloadWriter
from app.executions.problems import (
    AlreadyFinished,
    ExecutionNotFound,
)
from app.executions.waiting.queue_position import select_queue_position
from app.http.access import Caller, require_access
from app.http.quotas import caps_in_force
from app.outages import BlobsUnavailable, DatabaseUnavailable
from app.pagination import Listing, Page
from app.resources import Resources
from app.scripts import service as scripts
from app.scripts.model import MAX_SEED
from app.scripts.refs import ScriptRef, parse_ref
from app.settings import Settings
from app.workers.model import SEEN_WITHIN_SECONDS

# How long a client should wait before it asks again, in seconds.
RETRY_AFTER = {"Retry-After": "1"}
# So much of an upload is taken before anybody looks whether its script is there.
_UNSEEN_BYTES: Final = 64 * 1024


async def submit(
    resources: Resources,
    who: Caller,
    ref: ScriptRef,
    submission: Submission,
    *,
    data: AsyncIterator[bytes],
    announced_bytes: int = 0,
    named: Callable[[UUID], None] | None = None,
) -> UUID:
    """Accept an execution of `data`, whose bytes nobody looks into; give its id.

    A large upload is not taken for a script that is not there, nor one that says how large it is
    (`announced_bytes`) and is over a quota; it runs on the version that the reference named as it
    began. A small one takes a single round trip. Once this returns, the execution is committed;
    `named` gets its id before that, so that a waiter misses nothing. Raises
    ScriptNotFound, VersionNotFound, ScriptArchived, InvalidRequest, QuotaExceeded, and what
    `data` raises.
    """
    facts = {"crivo.request": who.request_id}
    with resources.tracing.accepting(who.traceparent, facts) as traceparent:
        return await _accept(
            resources,
            who,
            ref,
            submission,
            data=data,
            announced_bytes=announced_bytes,
            named=named,
            traceparent=traceparent,
        )


async def _accept(
    resources: Resources,
    who: Caller,
    ref: ScriptRef,
    submission: Submission,
    *,
    data: AsyncIterator[bytes],
    announced_bytes: int,
    named: Callable[[UUID], None] | None,
    traceparent: str | None,
) -> UUID:
    tenant = who.tenant
    scripts.require_limits(resources.settings, submission.limits)
    taken_bytes = 0
    writer = PayloadWriter(resources.blobs, f"{tenant}/inputs/{uuid.uuid7()}")
    # No connection is held while the client sends: it may take its time.
    async with writer:
        async for chunk in data:
            if taken_bytes <= _UNSEEN_BYTES < taken_bytes + len(chunk):
                ref = await _pinned(resources, tenant, ref)
                if announced_bytes > MAX_INLINE_BYTES:
                    await _require_room(resources, who, announced_bytes)
            taken_bytes += len(chunk)
            await writer.write(chunk)
    payload = writer.stored()
    # Drawn now, not before the upload: ids follow the order of acceptance.
    execution_id = uuid.uuid7()
    if named is not None:
        named(execution_id)
    try:
        # A blob may have taken a while to complete.
        await require_access(who)
        async with resources.pool.acquire() as conn:
            found = await acceptance.insert_execution(
                conn,
                tenant,
                execution_id,
                ref=ref,
                chosen=submission.limits,
                policy=_limit_policy(resources.settings),
                seed=_seed(submission),
                labels=submission.labels,
                params=submission.params,
                payload=payload,
                priority=submission.priority,
                caps=caps_in_force(resources.settings, who.caps),
                traceparent=traceparent,
                request_id=who.request_id,
            )
        scripts.require_version(ref, found)
    except DatabaseUnavailable:
        # It may have been committed before the connection broke: then its input is needed.
        raise
    except Exception:
        if payload.blob_key is not None:
            # What stays is swept.
            with suppress(BlobsUnavailable):
                await resources.blobs.delete(payload.blob_key)
        raise
    resources.work_signal.notify()
    return execution_id


async def show(
    resources: Resources, tenant: UUID, execution_id: UUID, *, with_result: bool = True
) -> Execution:
    """Give one execution, a small result with it. Raises ExecutionNotFound."""
    async with resources.pool.acquire() as conn:
        found = await store.select_execution(conn, tenant, execution_id, with_result=with_result)
        if found is None:
            raise _no_execution(execution_id)
        if found.status is Status.QUEUED:
            waiting = await select_queue_position(
                conn,
                tenant,
                execution_id,
                seen_within_seconds=SEEN_WITHIN_SECONDS,
                default_max_running=resources.settings.default_max_running or None,
            )
            found = replace(found, waiting=waiting or UNSET)
    return found


async def cancel(resources: Resources, who: Caller, execution_id: UUID) -> Execution:
    """End an execution, whatever its worker reports later; one that is cancelled stays so.

    Raises ExecutionNotFound, AlreadyFinished.
    """
    async with resources.pool.acquire() as conn:
        async with conn.transaction():
            before = await cancellations.cancel(conn, who.tenant, execution_id)
            if before is not None:
                target = f"/executions/{execution_id}"
                details = {"status": before}
                await record(conn, who, Action.EXECUTION_CANCELLED, target, details=details)
        if before is not None:
            resources.publisher.ended(execution_id)
        if before is Status.RUNNING:
            # It is cancelled; who cannot be told learns it from his lease.
            with suppress(DatabaseUnavailable):
                await cancellations.tell_workers(conn, execution_id)
        if before is not None:
            with suppress(DatabaseUnavailable):
                for ended in await completion.select_ended(conn, [execution_id]):
                    completion.report_completion(resources.tracing, ended)
    found = await show(resources, who.tenant, execution_id)
    if found.status is not Status.CANCELLED:
        raise AlreadyFinished(
            f"the execution has {found.status}; GET /executions/{execution_id} has what came of it"
        )
    return found


async def browse(
    resources: Resources,
    tenant: UUID,
    wanted: ExecutionFilter,
    *,
    script: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Execution]:
    """Give a page of executions, newest first; `script` is a reference, `@version` or not.

    Raises ScriptNotFound, VersionNotFound, InvalidRequest.
    """
    listing = Listing("executions", wanted, script)
    below = listing.below(cursor)
    async with resources.pool.acquire() as conn:
        if script is not None:
            version = await scripts.resolve(conn, tenant, parse_ref(script), allow_archived=True)
            wanted = replace(
                wanted,
                script_id=version.script_id,
                version=version.version if "@" in script else None,
            )
        found = await store.select_execution_page(
            conn, tenant, wanted, below=below, limit=limit + 1
        )
    return listing.page(found, [execution.id for execution in found], limit=limit)


async def _pinned(resources: Resources, tenant: UUID, ref: ScriptRef) -> ScriptRef:
    """Find the version that a reference names now, for what takes long to come."""
    async with resources.pool.acquire() as conn:
        version = await scripts.resolve(conn, tenant, ref)
    return ScriptRef(script=version.script_id, selector=version.version)


async def _require_room(resources: Resources, who: Caller, size_bytes: int) -> None:
    """Refuse what is over a quota as it begins; the acceptance asks again, and counts it."""
    caps = caps_in_force(resources.settings, who.caps)
    async with resources.pool.acquire() as conn:
        await acceptance.require_room(conn, who.tenant, size_bytes=size_bytes, caps=caps)


def _limit_policy(settings: Settings) -> LimitPolicy:
    return LimitPolicy(
        default_wall_ms=settings.default_wall_ms,
        default_memory_bytes=settings.default_memory_bytes,
        most=Limits(
            wall_ms=settings.max_wall_ms,
            max_cpu_ms=settings.max_cpu_ms,
            memory_bytes=settings.max_memory_bytes,
            max_output_bytes=settings.max_output_bytes,
        ),
    )


def _seed(submission: Submission) -> int:
    return secrets.randbelow(MAX_SEED + 1) if submission.seed is None else submission.seed


def _no_execution(execution_id: UUID) -> ExecutionNotFound:
    return ExecutionNotFound(f"no execution {execution_id}; GET /executions lists them")
