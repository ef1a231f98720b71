"""Create and show comparisons."""

from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET, structs

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.batches.submissions import insert_replays
from app.comparisons.model import Comparison, CreateComparison
from app.comparisons.problems import ComparisonNotFound, NothingToCompare, SampleTooLarge
from app.comparisons.store import (
    NewComparison,
    insert_comparison,
    select_comparison,
    select_sample,
)
from app.db import Connection
from app.executions.queue_limit import QueueLimit
from app.idempotency.model import RequestKey, key_for
from app.idempotency.store import remember, require_new
from app.metrics import count_batch
from app.resources import Resources
from app.scripts import service as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.refs import ScriptRef, parse_selector
from app.scripts.service import target_of


async def create(
    resources: Resources,
    caller: Caller,
    script: UUID | str,
    wanted: CreateComparison,
    *,
    key: RequestKey | None,
    queue_limit: QueueLimit,
) -> Comparison:
    """Accept both executions of every recorded input, in one transaction.

    Raises ScriptNotFound, VersionNotFound, ScriptArchived, NothingToCompare, QuotaExceeded,
    QueueFull, SampleTooLarge, NoWorkerLargeEnough, Repeated, IdempotencyKeyReused,
    RequestInProgress.
    """
    request_key = key_for(key, str(script), wanted)
    async with resources.pool.acquire() as conn, conn.transaction():
        await require_new(conn, caller.tenant, request_key)
        before = await _resolve(conn, caller.tenant, script, wanted.from_)
        after = await _resolve(conn, caller.tenant, script, wanted.to)
        new = await _accept(conn, resources, caller, before, after, wanted, queue_limit)
        await insert_comparison(conn, caller.tenant, new)
        details = {"comparison": str(new.id), "from": before.version, "to": after.version}
        target = target_of(new.script_id)
        await log_action(conn, caller, Action.COMPARISON_CREATED, target, details=details)
        hours = resources.settings.idempotency_hours
        await remember(conn, caller.tenant, request_key, str(new.id), hours=hours)
        created = await select_comparison(conn, caller.tenant, new.id)
        assert created is not None  # noqa: S101 - this transaction has inserted it
    count_batch("accepted", items=created.progress.executions)
    resources.work_signal.notify()
    return created


async def show(resources: Resources, tenant: UUID, comparison_id: UUID) -> Comparison:
    """Return a comparison. Raises ComparisonNotFound."""
    async with resources.pool.acquire() as conn:
        comparison = await select_comparison(conn, tenant, comparison_id)
    if comparison is None:
        raise ComparisonNotFound(f"no comparison {comparison_id}")
    return comparison


def without_verdict(comparison: Comparison) -> Comparison:
    """Return what a caller may know who may not read: that it is accepted."""
    return structs.replace(
        comparison,
        clean=UNSET,
        same=UNSET,
        differing=UNSET,
        newly_failed=UNSET,
        newly_fixed=UNSET,
        undecided=UNSET,
        cpu_ratio=UNSET,
        differences=UNSET,
    )


async def _resolve(
    conn: Connection, tenant: UUID, script: UUID | str, selector: int | str
) -> ResolvedVersion:
    parsed = parse_selector(selector) if isinstance(selector, str) else selector
    return await scripts.resolve_executable(conn, tenant, ScriptRef(script=script, selector=parsed))


async def _accept(
    conn: Connection,
    resources: Resources,
    caller: Caller,
    before: ResolvedVersion,
    after: ResolvedVersion,
    wanted: CreateComparison,
    queue_limit: QueueLimit,
) -> NewComparison:
    sample = wanted.sample
    originals, erased, copied_bytes = await select_sample(
        conn, caller.tenant, before.script_id, statuses=sample.status, last=sample.last
    )
    if not originals:
        matching = f"{erased} executions match, and all of their inputs are erased"
        raise NothingToCompare(matching if erased else "no execution of the script matches")
    limit = resources.settings.max_batch_bytes
    if 2 * copied_bytes > limit:
        raise SampleTooLarge(
            f"/sample/last: the inputs of both runs have {2 * copied_bytes} bytes; a batch may "
            f"have {limit}"
        )
    # Both executions of an input are queued one after the other: what else the machine does
    # meanwhile slows both versions alike.
    await queue_limit.require_room(conn, more=2 * len(originals))
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        batch = await insert_replays(
            resources,
            conn,
            caller,
            [original for original in originals for _ in range(2)],
            versions=[before.version, after.version] * len(originals),
            priority=wanted.priority,
            copied_bytes=2 * copied_bytes,
            traceparent=traceparent,
        )
    return NewComparison(
        id=uuid.uuid7(),
        script_id=before.script_id,
        from_version=before.version,
        to_version=after.version,
        priority=wanted.priority,
        batch_id=batch.id,
        inputs=batch.items // 2,
        erased=erased,
    )
