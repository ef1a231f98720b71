"""Accept batches: of uploaded inputs, or of recorded executions that are replayed."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import uuid_utils.compat as uuid

from app.auth.callers import Caller, reauthorize
from app.batches.acceptance import ALL_ITEMS_SECONDS, insert_batch, require_room_for_items
from app.batches.framing import Framer
from app.batches.model import BatchStatus, QueuedBatch
from app.batches.problems import BatchOfBytes, EmptyBatch
from app.batches.staging import Upload, received
from app.batches.staging_store import stage_replays
from app.db import Connection
from app.executions.acceptance import require_room
from app.executions.callback_urls import require_room_for_callback
from app.executions.model import Submission
from app.executions.queue_limit import QueueLimit
from app.idempotency.model import IdempotencyKey, RequestKey, key_for
from app.idempotency.store import is_known, remember, require_new
from app.metrics import count_batch
from app.quotas.model import Caps, effective_caps
from app.resources import Resources
from app.sandbox.outcomes import Io
from app.scripts import service as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.refs import ScriptRef


async def submit(  # noqa: PLR0913 - one keyword for each part of the request
    resources: Resources,
    caller: Caller,
    ref: ScriptRef,
    submission: Submission,
    *,
    data: AsyncIterator[bytes],
    framer: Framer,
    queue_limit: QueueLimit,
    announced_bytes: int = 0,
    key: RequestKey | None = None,
) -> QueuedBatch:
    """Receive the inputs of a batch, accept them all or none, and wake a worker.

    The version is the one that the reference names as the upload begins. Raises ScriptNotFound,
    VersionNotFound, ScriptArchived, NoProcess, InvalidRequest, QuotaExceeded, NoWorkerLargeEnough,
    QueueFull, BatchOfBytes, EmptyBatch, TooManyItems, UploadLost, Repeated, IdempotencyKeyReused,
    RequestInProgress, and what `data` and `framer` raise.
    """
    scripts.require_limits(resources.settings, submission.limits)
    if submission.callback_url is not None:
        await require_room_for_callback(resources, caller.tenant, key)
    async with resources.pool.acquire() as conn:
        # A repetition adds nothing: neither a quota nor the state of its script refuses it.
        known = key is not None and await is_known(conn, caller.tenant, key)
        caps = Caps() if known else effective_caps(resources.settings, caller.caps)
        version = None if known else await scripts.resolve_executable(conn, caller.tenant, ref)
        if version is not None and version.io is Io.BYTES:
            raise BatchOfBytes
        await require_room(conn, caller.tenant, size_bytes=announced_bytes, caps=caps)
    async with received(resources, caller.tenant, data, framer, caps=caps) as upload:
        if not known:
            # The request was counted as one before its body arrived.
            await queue_limit.require_room(resources.pool, more=upload.items - 1)
        once = key_for(key, str(ref), type(framer).__name__, submission, upload.sha256)
        if version is not None:
            # Again, as it may have been archived meanwhile.
            ref = ScriptRef(script=version.script_id, selector=version.version)
        return await _accept(resources, caller, upload, ref, submission, once)


async def _accept(
    resources: Resources,
    caller: Caller,
    upload: Upload,
    ref: ScriptRef,
    submission: Submission,
    key: IdempotencyKey | None,
) -> QueuedBatch:
    await reauthorize(caller)
    # Drawn once the inputs have arrived: ids then follow the order of acceptance.
    batch_id = uuid.uuid7()
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        async with resources.pool.acquire() as conn, conn.transaction():
            await require_new(conn, caller.tenant, key)
            version = await scripts.resolve_executable(conn, caller.tenant, ref)
            await insert_batch(
                conn,
                caller.tenant,
                batch_id,
                upload=upload.id,
                items=upload.items,
                version=version,
                submission=submission,
                policy=resources.settings.limit_policy,
                caps=effective_caps(resources.settings, caller.caps),
                traceparent=traceparent,
                request_id=caller.request_id,
            )
            hours = resources.settings.idempotency_hours
            await remember(conn, caller.tenant, key, str(batch_id), hours=hours)
    count_batch("accepted", items=upload.items)
    resources.work_signal.notify()
    return queued(batch_id, upload.items)


async def insert_replays(  # noqa: PLR0913 - one keyword for each part of a batch
    resources: Resources,
    conn: Connection,
    caller: Caller,
    executions: Sequence[UUID],
    *,
    version: ResolvedVersion | None = None,
    versions: Sequence[int] | None = None,
    priority: int | None = None,
    copied_bytes: int = 0,
    traceparent: str | None = None,
) -> QueuedBatch:
    """Store a batch that replays finished executions, in their order; set-wise, no byte leaves SQL.

    Each item has the input, params, limits, seed, clock and labels of the recorded execution, its
    priority or `priority`, and its version, `version`, or the one of its own script that has its
    place in `versions`. Unknown, unfinished and erased executions are left out: compare `items`.
    `copied_bytes` are those of their inputs that are not in the blob store; what they would exceed
    refuses them before they are copied.
    To be called in a transaction; after its commit call `resources.work_signal.notify()`, and
    before it `QueueLimit.require_room` with `more`. Raises EmptyBatch if nothing is left,
    QuotaExceeded, NoWorkerLargeEnough.
    """
    upload, batch_id = uuid.uuid7(), uuid.uuid7()
    caps = effective_caps(resources.settings, caller.caps)
    await require_room_for_items(
        conn, caller.tenant, items=len(executions), size_bytes=copied_bytes, caps=caps
    )
    items = await stage_replays(
        conn,
        caller.tenant,
        upload,
        executions,
        script_id=None if version is None else version.script_id,
        versions=versions or (None if version is None else [version.version] * len(executions)),
        priority=priority,
        timeout_seconds=ALL_ITEMS_SECONDS,
    )
    if not items:
        raise EmptyBatch("none of the executions can be replayed")
    await insert_batch(
        conn,
        caller.tenant,
        batch_id,
        upload=upload,
        items=items,
        version=version,
        submission=Submission(priority=priority or 0),
        policy=resources.settings.limit_policy,
        caps=caps,
        traceparent=traceparent,
        request_id=caller.request_id,
    )
    return queued(batch_id, items)


def queued(batch_id: UUID, items: int) -> QueuedBatch:
    """Return what is responded about a batch that has just been accepted."""
    return QueuedBatch(
        id=batch_id, status=BatchStatus.RUNNING, items=items, url=f"/batches/{batch_id}"
    )
