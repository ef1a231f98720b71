"""Count what a filter matches, and replay it as a batch."""

from uuid import UUID

from msgspec import UNSET, UnsetType, structs

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.batches.acceptance import ALL_ITEMS_SECONDS
from app.batches.submissions import insert_replays
from app.db import Connection
from app.errors import invalid
from app.executions.model import Status
from app.executions.queue_limit import QueueLimit
from app.executions.store import select_executions
from app.idempotency.model import RequestKey, key_for
from app.idempotency.store import remember, require_new
from app.limits import MAX_INLINE_BYTES
from app.metrics import count_batch
from app.replays.model import (
    MAX_SAMPLES,
    Conditions,
    CreateReplays,
    QueuedReplays,
    ReplayFilter,
    ReplayPlan,
)
from app.replays.problems import NothingToReplay, TooManyToReplay
from app.replays.store import count_matching, lock_matching, select_samples
from app.resources import Resources
from app.scripts import service as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.refs import parse_ref
from app.validation import in_utc


async def plan(resources: Resources, tenant: UUID, wanted: CreateReplays) -> ReplayPlan:
    """Return what would be replayed. Raises InvalidRequest, ScriptNotFound, VersionNotFound."""
    require_filter(wanted)
    async with resources.pool.acquire() as conn:
        target = await _target(conn, tenant, wanted)
        conditions = await conditions_of(conn, tenant, wanted.filter, target)
        counts = await count_matching(conn, tenant, conditions)
        ids = await select_samples(conn, tenant, conditions, limit=MAX_SAMPLES)
        found = await select_executions(
            conn, tenant, ids, with_result=False, max_bytes=MAX_INLINE_BYTES
        )
    samples = [each for each in found if each is not None]
    return ReplayPlan(matching=counts.matching, erased=counts.erased, samples=samples)


async def create(
    resources: Resources,
    caller: Caller,
    wanted: CreateReplays,
    *,
    key: RequestKey | None,
    queue_limit: QueueLimit,
) -> QueuedReplays:
    """Accept replays of everything that matches and is not erased, in one transaction.

    Raises InvalidRequest, ScriptNotFound, VersionNotFound, ScriptArchived, NothingToReplay,
    TooManyToReplay, QuotaExceeded, QueueFull, NoWorkerLargeEnough, Repeated,
    IdempotencyKeyReused, RequestInProgress.
    """
    require_filter(wanted)
    tenant, request_key = caller.tenant, key_for(key, wanted)
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        async with resources.pool.acquire() as conn, conn.transaction():
            await require_new(conn, tenant, request_key)
            target = await _target(conn, tenant, wanted)
            conditions = await conditions_of(conn, tenant, wanted.filter, target)
            originals, erased, copied_bytes = await lock_originals(
                resources, conn, tenant, conditions
            )
            await queue_limit.require_room(conn, more=len(originals))
            batch = await insert_replays(
                resources,
                conn,
                caller,
                originals,
                version=target,
                priority=wanted.priority,
                copied_bytes=copied_bytes,
                traceparent=traceparent,
            )
            details = {"items": batch.items, "erased": erased}
            await log_action(conn, caller, Action.REPLAYS_CREATED, batch.url, details=details)
            hours = resources.settings.idempotency_hours
            await remember(conn, tenant, request_key, str(batch.id), hours=hours)
    count_batch("accepted", items=batch.items)
    resources.work_signal.notify()
    return QueuedReplays(**structs.asdict(batch), erased=erased)


def require_filter(wanted: CreateReplays) -> None:
    """Refuse a filter that would replay everything. Raises InvalidRequest."""
    if wanted.filter.empty:
        raise invalid(
            "/filter", "is empty, which would replay every execution; name at least one condition"
        )


async def lock_originals(
    resources: Resources,
    conn: Connection,
    tenant: UUID,
    conditions: Conditions,
    *,
    pointer: str = "/filter",
) -> tuple[list[UUID], int, int]:
    """Find what a filter matches, and lock it until the transaction ends.

    Returns those that have their input, oldest first, the number of the others, and the bytes of
    inputs that would be copied. Raises NothingToReplay, TooManyToReplay, which name the filter.
    """
    limit = resources.settings.max_batch_items
    originals, erased, copied_bytes = await lock_matching(
        conn, tenant, conditions, limit=limit + 1, timeout_seconds=ALL_ITEMS_SECONDS
    )
    if copied_bytes > resources.settings.max_batch_bytes:
        raise TooManyToReplay(
            f"{pointer}: the inputs have {copied_bytes} bytes; a batch may have "
            f"{resources.settings.max_batch_bytes}"
        )
    if len(originals) + erased > limit:
        raise TooManyToReplay(
            f"{pointer}: more than {limit} executions match, the most that a batch may have; "
            '"dry_run": true counts them'
        )
    if not originals:
        matching = f"the {erased} executions that match have no input any more"
        raise NothingToReplay(f"{pointer}: {matching if erased else 'no execution matches'}")
    return originals, erased, copied_bytes


async def _target(conn: Connection, tenant: UUID, wanted: CreateReplays) -> ResolvedVersion | None:
    if isinstance(wanted.script, UnsetType):
        return None
    return await scripts.resolve_executable(conn, tenant, parse_ref(wanted.script))


async def conditions_of(
    conn: Connection,
    tenant: UUID,
    chosen: ReplayFilter,
    target: ResolvedVersion | None,
    *,
    pointer: str = "/filter",
) -> Conditions:
    """Resolve a filter, whose place in the body is `pointer`; replays run `target`, if any.

    Raises InvalidRequest, ScriptNotFound, VersionNotFound.
    """
    place = pointer.removeprefix("/")
    script_id, version = None if target is None else target.script_id, None
    if not isinstance(chosen.script, UnsetType):
        script_id, version = await scripts.resolve_filter(conn, tenant, chosen.script)
    return Conditions(
        script_id=script_id,
        version=version,
        status=None if chosen.status is UNSET else Status(chosen.status),
        error_kind=None if chosen.error_kind is UNSET else chosen.error_kind,
        labels={} if isinstance(chosen.label, UnsetType) else chosen.label,
        created_from=(
            None if isinstance(chosen.from_, UnsetType) else in_utc(f"{place}/from", chosen.from_)
        ),
        created_before=(
            None if isinstance(chosen.to, UnsetType) else in_utc(f"{place}/to", chosen.to)
        ),
    )
