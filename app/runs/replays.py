"""Run a run again: the same version, snapshot, seed and clock; its output is hashed and dropped."""

from uuid import UUID

import uuid_utils.compat as uuid

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets import store as datasets
from app.db import Connection
from app.idempotency.model import RequestKey, key_for
from app.idempotency.store import require_new
from app.limits import LimitChoice
from app.resources import Resources
from app.runs.acceptance_store import InputTotals, NewRun, select_input
from app.runs.model import QueuedRun
from app.runs.problems import RunDataGone, run_not_finished, run_not_found
from app.runs.replay_store import ReplayedRunRow, select_replayed
from app.runs.submissions import accepted, insert, require_room_in_queue
from app.sandbox.parts import Task
from app.scripts import service as scripts
from app.scripts.refs import ScriptRef


async def replay(
    resources: Resources, caller: Caller, run_id: UUID, *, key: RequestKey | None
) -> QueuedRun:
    """Accept a replay of a finished run, and return it.

    Raises RunNotFound, RunNotFinished, RunDataGone, ScriptArchived, QuotaExceeded,
    NoWorkerLargeEnough, Repeated, IdempotencyKeyReused, RequestInProgress.
    """
    await require_room_in_queue(resources, caller, key)
    once = key_for(key)
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        async with resources.pool.acquire() as conn, conn.transaction():
            await require_new(conn, caller.tenant, once)
            original = await select_replayed(conn, caller.tenant, run_id)
            if original is None:
                raise run_not_found(run_id)
            if not original.status.final:
                raise run_not_finished(run_id, original.status)
            ref = ScriptRef(script=original.script_id, selector=original.version)
            await scripts.resolve(conn, caller.tenant, ref)
            totals = await _keep_data(conn, caller.tenant, original)
            new = _repeated(original, run_id, request_id=caller.request_id, traceparent=traceparent)
            limits = LimitChoice(
                wall_ms=original.wall_ms,
                max_cpu_ms=original.max_cpu_ms,
                memory_bytes=original.memory_bytes,
                max_output_bytes=original.max_output_bytes,
            )
            await insert(resources, conn, caller, new, totals=totals, limits=limits, key=once)
            target, details = f"/runs/{run_id}", {"replay": str(new.id)}
            await log_action(conn, caller, Action.RUN_REPLAYED, target, details=details)
            await reauthorize_before_commit(caller)
    return await accepted(resources, new.id)


async def _keep_data(conn: Connection, tenant: UUID, original: ReplayedRunRow) -> InputTotals:
    """Keep the snapshot that a run has read until the transaction ends. Raises RunDataGone."""
    name, number = original.dataset, original.snapshot
    totals = await select_input(conn, tenant, original.dataset_id, number)
    # Once its dataset is locked.
    snapshot = await datasets.select_snapshot(conn, tenant, original.dataset_id, number)
    if totals is None or snapshot is None:
        message = f"snapshot {number} of {name!r}, which the run has read, is deleted"
        raise RunDataGone(message)
    if original.output_dataset_id is not None and not original.has_output:
        message = f"the dataset {original.output_dataset!r} of the run's output is deleted"
        raise RunDataGone(message)
    return totals


def _repeated(
    original: ReplayedRunRow, run_id: UUID, *, request_id: str, traceparent: str | None
) -> NewRun:
    has_map = original.output_dataset_id is not None
    return NewRun(
        id=uuid.uuid7(),
        script_id=original.script_id,
        version=original.version,
        dataset_id=original.dataset_id,
        dataset=original.dataset,
        snapshot=original.snapshot,
        format=original.format,
        each=original.each,
        emit=original.emit,
        on_error=original.on_error,
        max_errors=original.max_errors,
        tasks=[*([Task.MAP] if has_map else []), *([Task.FOLD] if original.folds else [])],
        merges=original.merges,
        output_dataset_id=original.output_dataset_id,
        output_dataset=original.output_dataset,
        output_mode=original.output_mode,
        publishes=False,
        params=original.params,
        labels=original.labels,
        priority=original.priority,
        seed=original.seed,
        clock_ms=original.clock_ms,
        request_id=request_id,
        traceparent=traceparent,
        replay_of=run_id,
    )
