"""Re-drive failed executions: replay them as a batch, whose counts are those of the re-drive."""

from typing import Final
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from app.auth.callers import Caller
from app.batches.submissions import insert_replays
from app.blobs import BlobMissing
from app.check_turns import check_turn
from app.db import Connection
from app.errors import InvalidRequest, Problem, invalid, located
from app.execution_errors import failure_of
from app.executions.model import JSON_TYPE
from app.executions.queue_limit import QueueLimit
from app.limits import MIN_PRIORITY, LimitChoice
from app.payloads.reader import payload_of
from app.redrives import execution_store
from app.redrives.execution_store import RecordedExecution
from app.redrives.model import MAX_SAMPLES, MAX_SHOWN_BYTES, RedriveFilter, RedrivePlan, RetrySample
from app.redrives.problems import nothing_to_redrive
from app.replays.model import ReplayFilter
from app.replays.problems import NothingToReplay
from app.replays.service import conditions_of, lock_originals
from app.resources import Resources
from app.sandbox.outcomes import Context, Io, Job, Limits as SandboxLimits
from app.sandbox.schema_checks import Checks
from app.schemas.checks import load_checks
from app.scripts.model import ResolvedVersion
from app.scripts.params import NO_PARAMS
from app.scripts.samples import limits_of_sample

_POINTER: Final = "/filter/execution"
_WHAT: Final = "failed execution"


class Accepted(Struct, frozen=True, kw_only=True):
    """The batch that replays what a re-drive has marked."""

    batch_id: UUID
    items: int


async def accept(
    resources: Resources,
    conn: Connection,
    caller: Caller,
    wanted: RedriveFilter,
    script: ResolvedVersion | None,
    redrive_id: UUID,
    *,
    queue_limit: QueueLimit,
    traceparent: str | None,
) -> Accepted:
    """Mark what matches as the re-drive's own, and queue it as a batch.

    Raises InvalidRequest, ScriptNotFound, VersionNotFound, NothingToRedrive, TooManyToReplay,
    QuotaExceeded, QueueFull, NoWorkerLargeEnough.
    """
    originals, copied_bytes = await _lock(resources, conn, caller.tenant, wanted, script)
    free = await execution_store.mark_executions(conn, caller.tenant, redrive_id, originals)
    if not free:
        raise nothing_to_redrive(_WHAT)
    await queue_limit.require_room(conn, more=len(free))
    batch = await insert_replays(
        resources,
        conn,
        caller,
        free,
        version=script,
        priority=MIN_PRIORITY,
        copied_bytes=copied_bytes,
        traceparent=traceparent,
    )
    return Accepted(batch_id=batch.id, items=batch.items)


async def plan(
    resources: Resources, caller: Caller, wanted: RedriveFilter, script: ResolvedVersion | None
) -> RedrivePlan:
    """Count what matches, and run the ten newest.

    Raises InvalidRequest, ScriptNotFound, VersionNotFound, TooManyToReplay, CheckBusy,
    TooManyChecks, BlobsUnavailable.
    """
    tenant = caller.tenant
    chosen = None if script is None else (script.script_id, script.version)
    async with resources.pool.acquire() as conn, conn.transaction():
        try:
            originals, _ = await _lock(resources, conn, tenant, wanted, script)
        except Problem as problem:
            if problem.code != nothing_to_redrive(_WHAT).code:
                raise
            originals = []
        free = await execution_store.select_free(conn, tenant, originals)
        recorded = [
            (each, await execution_store.select_recorded(conn, tenant, each, script=chosen))
            for each in free[:MAX_SAMPLES]
        ]
    samples = [await _sample(resources, caller, id_, each) for id_, each in recorded if each]
    return RedrivePlan(matched=len(free), samples=samples)


def require_failed(wanted: RedriveFilter) -> ReplayFilter:
    """Return the filter of failed executions. Raises InvalidRequest for an empty one or others."""
    assert not isinstance(wanted.execution, UnsetType)  # noqa: S101 - it is of this kind
    chosen = wanted.execution
    if chosen.empty:
        message = "is empty, which would replay every failed execution; name at least one condition"
        raise invalid(_POINTER, message)
    if chosen.status not in (UNSET, "failed"):
        message = f"is {chosen.status}; a re-drive is of failed executions, POST /replays of others"
        raise invalid(f"{_POINTER}/status", message)
    return replace(chosen, status="failed")


async def _lock(
    resources: Resources,
    conn: Connection,
    tenant: UUID,
    wanted: RedriveFilter,
    script: ResolvedVersion | None,
) -> tuple[list[UUID], int]:
    chosen = require_failed(wanted)
    try:
        conditions = await conditions_of(conn, tenant, chosen, script, pointer=_POINTER)
    except InvalidRequest:
        raise
    except Problem as problem:
        raise located(f"{_POINTER}/script", problem) from None
    try:
        originals, _, copied_bytes = await lock_originals(
            resources, conn, tenant, conditions, pointer=_POINTER
        )
    except NothingToReplay:
        raise nothing_to_redrive(_WHAT) from None
    return originals, copied_bytes


async def _sample(
    resources: Resources, caller: Caller, execution_id: UUID, recorded: RecordedExecution
) -> RetrySample:
    name = str(execution_id)
    if recorded.input is None:
        return RetrySample(id=name, outcome="left_out")
    output = bytearray()

    async def keep(chunk: bytes) -> None:
        output.extend(chunk)

    checks = await load_checks(
        resources, caller.tenant, input=recorded.input_schema, output=recorded.output_schema
    )
    job = _job(resources, caller.tenant, execution_id, recorded, checks=checks)
    try:
        payload = payload_of(resources.blobs, recorded.input)
        async with check_turn(resources, caller):
            report = await resources.sandbox.run(job, payload=payload, sink=keep)
    except BlobMissing:
        return RetrySample(id=name, outcome="left_out")
    failure = failure_of(report.outcome)
    if failure is not None:
        return RetrySample(id=name, outcome="failed_again", error=Raw(failure.document()))
    is_shown = recorded.io is Io.JSON and len(output) <= MAX_SHOWN_BYTES
    return RetrySample(
        id=name,
        outcome="moved",
        forward=Raw(bytes(output)) if is_shown else UNSET,
        forward_bytes=len(output),
    )


def _job(
    resources: Resources,
    tenant: UUID,
    execution_id: UUID,
    recorded: RecordedExecution,
    *,
    checks: Checks | None,
) -> Job:
    limits = limits_of_sample(
        resources.settings,
        LimitChoice(
            wall_ms=recorded.limits.wall_ms,
            max_cpu_ms=recorded.limits.max_cpu_ms,
            memory_bytes=recorded.limits.memory_bytes,
            max_output_bytes=recorded.limits.max_output_bytes,
        ),
    )
    assert recorded.input is not None  # noqa: S101 - it is not erased
    return Job(
        tenant=str(tenant),
        source=recorded.source,
        seed=recorded.seed,
        clock_ms=recorded.clock_ms,
        limits=SandboxLimits(
            wall_ms=limits.wall_ms,
            cpu_ms=limits.max_cpu_ms if limits.max_cpu_ms < limits.wall_ms else None,
            memory_bytes=limits.memory_bytes,
            output_bytes=limits.max_output_bytes,
        ),
        context=Context(
            execution_id=str(execution_id),
            script=recorded.script,
            version=recorded.version,
            labels=recorded.labels,
            params=NO_PARAMS if recorded.params is None else recorded.params.decode(),
        ),
        io=recorded.io,
        media_type=recorded.input.media_type or JSON_TYPE,
        checks=checks,
    )
