"""Receive the input of a submission, then accept an execution of it."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Struct

from app.auth.callers import Caller, reauthorize
from app.executions import acceptance
from app.executions.acceptance_groups import Acceptance, insert_executions
from app.executions.callback_urls import require_room_for_callback
from app.executions.model import Submission, media_type_of
from app.idempotency.model import IdempotencyKey, RequestKey, key_for
from app.idempotency.store import is_known
from app.lanes import ALONE, MAX_SHARED_BYTES, Alone
from app.limits import MAX_INLINE_BYTES, MAX_SEED
from app.outages import BlobsUnavailable, DatabaseUnavailable
from app.payloads.model import StoredPayload
from app.payloads.writer import PayloadWriter
from app.quotas.model import Caps, effective_caps
from app.resources import Resources
from app.scripts import service as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.refs import ScriptRef

# Smaller inputs are received before anything is checked: they take one round trip in all.
_UNCHECKED_BYTES: Final = 64 * 1024


class Received(Struct, frozen=True, kw_only=True):
    """A submission whose input is stored, and which no execution has yet.

    `ref` names a version if the input is large: the one that the client's reference named as the
    upload began. `traceparent` is the context that travels with the execution.
    """

    ref: ScriptRef
    submission: Submission
    input: StoredPayload
    traceparent: str | None
    key: IdempotencyKey | None


@asynccontextmanager
async def receive(
    resources: Resources,
    caller: Caller,
    ref: ScriptRef,
    submission: Submission,
    *,
    data: AsyncIterator[bytes],
    announced_bytes: int = 0,
    key: RequestKey | None = None,
) -> AsyncIterator[Received]:
    """Store an input, whose bytes are not inspected; accept it within the block.

    The block ends the trace's span of the acceptance. A large upload is refused early if its
    script is missing, or if the size that it announces exceeds a quota. Raises ScriptNotFound,
    VersionNotFound, ScriptArchived, NoProcess, InvalidRequest, QuotaExceeded, and what `data`
    raises.
    """
    attributes = {"crivo.request": caller.request_id}
    requested = str(ref)
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        scripts.require_limits(resources.settings, submission.limits)
        if submission.callback_url is not None:
            await require_room_for_callback(resources, caller.tenant, key)
        received_bytes = 0
        writer = PayloadWriter(resources.blobs, f"{caller.tenant}/inputs/{uuid.uuid7()}")
        # No database connection is held while the client sends, however slowly.
        async with writer:
            async for chunk in data:
                if received_bytes <= _UNCHECKED_BYTES < received_bytes + len(chunk):
                    ref = await _check_early(resources, caller, ref, announced_bytes, key)
                received_bytes += len(chunk)
                await writer.write(chunk)
        stored = writer.stored()
        yield Received(
            ref=ref,
            submission=submission,
            input=stored,
            traceparent=traceparent,
            key=key_for(key, requested, submission, stored.sha256),
        )


async def accept_received(
    resources: Resources,
    caller: Caller,
    receiving: AbstractAsyncContextManager[Received],
    on_id: Callable[[UUID], None],
) -> UUID:
    """Receive an input and accept an execution of it; call `on_id` before it exists.

    Raises what `receive` and `accept` raise.
    """
    async with receiving as received:
        # Once the input is received: ids then follow the order of acceptance.
        execution_id = uuid.uuid7()
        on_id(execution_id)
        await accept(resources, caller, received, execution_id)
    return execution_id


async def accept(
    resources: Resources, caller: Caller, received: Received, execution_id: UUID
) -> None:
    """Commit an execution and wake a worker; if it is refused, delete its input.

    Raises ScriptNotFound, VersionNotFound, ScriptArchived, NoProcess, InvalidRequest,
    QuotaExceeded, NoWorkerLargeEnough, Repeated, IdempotencyKeyReused, RequestInProgress.
    """
    try:
        # Completing a blob may have taken a while.
        await reauthorize(caller)
        handed_over = await _insert(resources, caller, received, execution_id)
    except DatabaseUnavailable:
        # The commit may have succeeded before the connection broke: its input must stay.
        raise
    except Exception:
        if received.input.blob_key is not None:
            # Retention deletes blobs that no row names.
            with suppress(BlobsUnavailable):
                await resources.blobs.delete(received.input.blob_key)
        raise
    if not handed_over:
        resources.work_signal.notify()


async def _insert(
    resources: Resources, caller: Caller, received: Received, execution_id: UUID
) -> bool:
    """Store an execution, together with others of its tenant that arrive meanwhile.

    Returns whether a worker has it already.
    """
    wanted = Acceptance(
        execution_id=execution_id,
        ref=received.ref,
        submission=received.submission,
        seed=_seed(received.submission),
        payload=received.input,
        traceparent=received.traceparent,
        request_id=caller.request_id,
        key=received.key,
    )
    caps = effective_caps(resources.settings, caller.caps)
    one = partial(_insert_one, resources, caller.tenant, caps)
    submission = received.submission
    size_bytes = received.input.size_bytes + len(submission.params or b"")
    # The statement for several knows no callbacks: they are few beside the others.
    if submission.callback_url is not None or size_bytes > MAX_SHARED_BYTES:
        version = await one(wanted)
    else:
        many = partial(_insert_several, resources, caller.tenant, caps)
        # The caps are those of the moment of each request.
        lane = ("acceptances", (caller.tenant, caps))
        version = await resources.lanes.submit(lane, wanted, one=one, many=many)
    scripts.require_executable(received.ref, version)
    return isinstance(version, acceptance.HandedOver)


async def _insert_one(
    resources: Resources,
    tenant: UUID,
    caps: Caps,
    wanted: Acceptance,
) -> ResolvedVersion | UUID | None:
    async with resources.pool.acquire() as conn:
        return await acceptance.insert_execution(
            conn,
            tenant,
            wanted.execution_id,
            ref=wanted.ref,
            chosen=wanted.submission.limits,
            policy=resources.settings.limit_policy,
            seed=wanted.seed,
            labels=wanted.submission.labels,
            params=wanted.submission.params,
            payload=wanted.payload,
            priority=wanted.submission.priority,
            caps=caps,
            traceparent=wanted.traceparent,
            request_id=wanted.request_id,
            # Claims alone count what a tenant runs.
            may_hand_over=not resources.settings.default_max_running,
            callback_url=wanted.submission.callback_url,
            media_type=media_type_of(wanted.submission),
            key=wanted.key,
            key_hours=resources.settings.idempotency_hours,
        )


async def _insert_several(
    resources: Resources, tenant: UUID, caps: Caps, wanted: Sequence[Acceptance]
) -> Sequence[ResolvedVersion | Alone]:
    async with resources.pool.acquire() as conn:
        versions = await insert_executions(
            conn,
            tenant,
            wanted,
            policy=resources.settings.limit_policy,
            caps=caps,
            key_hours=resources.settings.idempotency_hours,
        )
    return [ALONE if each is None else each for each in versions]


async def _check_early(
    resources: Resources,
    caller: Caller,
    ref: ScriptRef,
    announced_bytes: int,
    key: RequestKey | None,
) -> ScriptRef:
    """Refuse a large upload as it begins, or return the version that its reference names now.

    The acceptance checks again, and counts it. A repetition is not refused: it stores nothing.
    """
    async with resources.pool.acquire() as conn:
        if key is not None and await is_known(conn, caller.tenant, key):
            return ref
        version = await scripts.resolve_executable(conn, caller.tenant, ref)
        if announced_bytes > MAX_INLINE_BYTES:
            caps = effective_caps(resources.settings, caller.caps)
            await acceptance.require_room(
                conn, caller.tenant, size_bytes=announced_bytes, caps=caps
            )
    return ScriptRef(script=version.script_id, selector=version.version)


def _seed(submission: Submission) -> int:
    return secrets.randbelow(MAX_SEED + 1) if submission.seed is None else submission.seed
