"""Run an execution again: the same input, seed and clock, with its version or another."""

from collections.abc import Callable
from uuid import UUID

import uuid_utils.compat as uuid

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Connection
from app.executions import acceptance
from app.executions.model import JSON_TYPE, Replayed
from app.executions.problems import not_finished, not_found, part_of_run, payload_gone
from app.executions.replay_store import insert_replay, select_replayed
from app.idempotency.model import IdempotencyKey, RequestKey, key_for
from app.idempotency.store import require_new
from app.quotas.model import effective_caps
from app.resources import Resources
from app.scripts import service as scripts
from app.scripts.refs import ScriptRef


async def replay(
    resources: Resources,
    caller: Caller,
    execution_id: UUID,
    ref: ScriptRef | None,
    key: RequestKey | None,
    on_id: Callable[[UUID], None],
) -> UUID:
    """Accept a replay of a finished execution; call `on_id` before it exists, and return its id.

    It shares the blob of a large input, which is kept as long as either execution needs it. Raises
    ExecutionNotFound, PartOfRun, NotFinished, PayloadGone, and what accepting a submission raises.
    """
    new_id = uuid.uuid7()
    on_id(new_id)
    once = key_for(key, None if ref is None else str(ref))
    while True:
        try:
            handed_over = await _accept(resources, caller, execution_id, new_id, ref, once)
        except acceptance.QuotaCameNear:
            continue
        if not handed_over:
            resources.work_signal.notify()
        return new_id


async def _accept(
    resources: Resources,
    caller: Caller,
    execution_id: UUID,
    new_id: UUID,
    ref: ScriptRef | None,
    key: IdempotencyKey | None,
) -> bool:
    """Store a replay, in one transaction; return whether a worker has it already."""
    async with resources.pool.acquire() as conn, conn.transaction():
        # First: a replay is found by its key even if its original has been erased since.
        await require_new(conn, caller.tenant, key)
        original = await select_replayed(conn, caller.tenant, execution_id)
        if original is None:
            raise not_found(execution_id)
        if original.run_id is not None:
            raise part_of_run(original.run_id)
        if not original.status.final:
            raise not_finished(execution_id, original.status)
        if original.erased_at is not None:
            raise payload_gone(original.erased_at)
        own = ScriptRef(script=original.script_id, selector=original.version)
        handed_over = await _insert(conn, resources, caller, original, new_id, ref or own, key)
        await insert_replay(conn, caller.tenant, new_id, replay_of=execution_id)
        target, details = f"/executions/{execution_id}", {"replay": str(new_id)}
        await log_action(conn, caller, Action.EXECUTION_REPLAYED, target, details=details)
    return handed_over


async def _insert(
    conn: Connection,
    resources: Resources,
    caller: Caller,
    original: Replayed,
    new_id: UUID,
    ref: ScriptRef,
    key: IdempotencyKey | None,
) -> bool:
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        version = await acceptance.insert_execution(
            conn,
            caller.tenant,
            new_id,
            ref=ref,
            chosen=original.limits,
            policy=resources.settings.limit_policy,
            seed=original.seed,
            clock_ms=original.clock_ms,
            # Of an input that has none: another version may take it as bytes.
            media_type=JSON_TYPE,
            labels=original.labels,
            params=original.params,
            payload=original.input,
            priority=original.priority,
            caps=effective_caps(resources.settings, caller.caps),
            traceparent=traceparent,
            request_id=caller.request_id,
            # Claims alone count what a tenant runs.
            may_hand_over=not resources.settings.default_max_running,
            key=key,
            key_hours=resources.settings.idempotency_hours,
        )
        scripts.require_executable(ref, version)
    return isinstance(version, acceptance.HandedOver)
