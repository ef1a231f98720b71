"""Accept runs: resolve what they name, check it, store the run with the dataset of its output."""

import secrets
from collections.abc import Sequence
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET, Struct

from app.auth.callers import Caller, reauthorize_before_commit
from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.datasets import service as datasets, store as dataset_store
from app.datasets.model import Dataset, PutDataset
from app.datasets.parts import Format as DatasetFormat
from app.datasets.problems import DatasetDiffers, dataset_not_found
from app.datasets.refs import DatasetRef, parse_new_name, parse_ref as parse_dataset_ref
from app.datasets.store import ResolvedSnapshot
from app.db import Connection
from app.errors import about, invalid, located
from app.executions.acceptance import require_room
from app.executions.callback_urls import callback_url_in_json, require_room_for_callback
from app.idempotency.model import IdempotencyKey, RequestKey, key_for
from app.idempotency.store import is_known, remember, require_new
from app.limits import MAX_SEED, LimitChoice
from app.metrics import count_run
from app.quotas.model import effective_caps
from app.resources import Resources
from app.runs.acceptance_store import InputTotals, NewRun, insert_run, select_input
from app.runs.advance import try_advance
from app.runs.checks import format_of, output_format, require_checkable, tasks_of
from app.runs.model import CreateRun, QueuedRun, RunOutput, RunStatus
from app.runs.quota_store import require_room_for_run
from app.runs.store import select_offer
from app.sandbox.outcomes import ScriptKind
from app.sandbox.parts import Format, Task
from app.scripts import service as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.params import read_params
from app.scripts.refs import parse_ref as parse_script_ref


class _Input(Struct, frozen=True, kw_only=True):
    """The script version and the snapshot of a run, and the tasks that read the snapshot."""

    version: ResolvedVersion
    merges: bool
    format: Format
    tasks: Sequence[Task]
    snapshot: ResolvedSnapshot
    totals: InputTotals


async def create(
    resources: Resources, caller: Caller, wanted: CreateRun, *, key: RequestKey | None
) -> QueuedRun:
    """Accept a run over a snapshot, and create the dataset of its output if there is none.

    Raises InvalidRequest, ScriptNotFound, VersionNotFound, ScriptArchived, DatasetNotFound,
    SnapshotNotFound, DatasetDiffers, MissingScope, QuotaExceeded, NoWorkerLargeEnough, Repeated,
    IdempotencyKeyReused, RequestInProgress.
    """
    if wanted.output is not None:
        require_write_datasets(caller)
    scripts.require_limits(resources.settings, wanted.limits)
    params = read_params(wanted.params)
    callback_url = callback_url_in_json(resources.settings, wanted.callback_url)
    if callback_url is not None:
        await require_room_for_callback(resources, caller.tenant, key)
    await require_room_in_queue(resources, caller, key)
    once = key_for(key, wanted)
    attributes = {"crivo.request": caller.request_id}
    with resources.tracing.accepting(caller.traceparent, attributes) as traceparent:
        async with resources.pool.acquire() as conn, conn.transaction():
            await require_new(conn, caller.tenant, once)
            run_id = await resolve_and_insert(
                resources,
                conn,
                caller,
                wanted,
                params=params,
                callback_url=callback_url,
                traceparent=traceparent,
                key=once,
            )
            await reauthorize_before_commit(caller)
            if wanted.output is not None:
                require_write_datasets(caller)
    return await accepted(resources, run_id)


async def resolve_and_insert(
    resources: Resources,
    conn: Connection,
    caller: Caller,
    wanted: CreateRun,
    *,
    params: bytes | None = None,
    callback_url: str | None = None,
    traceparent: str | None,
    key: IdempotencyKey | None = None,
) -> UUID:
    """Store a run in the running transaction, after whose commit `accepted` is called.

    Raises what `create` raises of what the run names.
    """
    read = await _resolve_input(conn, caller.tenant, wanted)
    output = await _resolve_output(resources, conn, caller, wanted, read.format)
    new = _new_run(
        wanted,
        read,
        output,
        params=params,
        callback_url=callback_url,
        request_id=caller.request_id,
        traceparent=traceparent,
    )
    await insert(resources, conn, caller, new, totals=read.totals, limits=wanted.limits, key=key)
    return new.id


async def require_room_in_queue(
    resources: Resources, caller: Caller, key: RequestKey | None
) -> None:
    """Refuse a run of a tenant that has no room for its parts; a repetition adds none.

    Parts are queued a few at a time, and stop short of the quota. Raises QuotaExceeded.
    """
    async with resources.pool.acquire() as conn:
        if key is not None and await is_known(conn, caller.tenant, key):
            return
        caps = effective_caps(resources.settings, caller.caps)
        await require_room(conn, caller.tenant, size_bytes=0, caps=caps)


async def insert(
    resources: Resources,
    conn: Connection,
    caller: Caller,
    new: NewRun,
    *,
    totals: InputTotals,
    limits: LimitChoice,
    key: IdempotencyKey | None,
) -> None:
    """Store a run in the running transaction. Raises QuotaExceeded, NoWorkerLargeEnough."""
    settings = resources.settings
    await insert_run(
        conn, caller.tenant, new, totals=totals, limits=limits, policy=settings.limit_policy
    )
    await require_room_for_run(conn, caller.tenant, limit=settings.max_active_runs)
    await remember(conn, caller.tenant, key, str(new.id), hours=settings.idempotency_hours)


async def accepted(resources: Resources, run_id: UUID) -> QueuedRun:
    """Count a run that is committed, queue its first parts, and return what is responded."""
    count_run("accepted")
    await try_advance(resources, run_id)
    return QueuedRun(id=run_id, status=RunStatus.QUEUED, url=f"/runs/{run_id}")


def require_write_datasets(caller: Caller) -> None:
    """Require what publishing takes, beside the scope of the route. Raises MissingScope."""
    if Scope.WRITE_DATASETS not in caller.scopes:
        raise MissingScope(Scope.WRITE_DATASETS)


async def _resolve_input(conn: Connection, tenant: UUID, wanted: CreateRun) -> _Input:
    with about("/script"):
        ref = parse_script_ref(wanted.script)
        version = await scripts.resolve(conn, tenant, ref)
    offer = await select_offer(conn, tenant, version.script_id, version.version)
    with about("/dataset"):
        dataset = parse_dataset_ref(wanted.dataset)
        snapshot = await datasets.resolve(conn, tenant, dataset)
    format_ = format_of(wanted, snapshot.format)
    require_checkable(offer, format_)
    tasks = tasks_of(wanted, offer, format_)
    snapshot, totals = await _keep(conn, tenant, snapshot)
    if not totals.parts:
        message = f"snapshot {snapshot.number} of {snapshot.name!r} has no files"
        raise invalid("/dataset", message)
    return _Input(
        version=version,
        merges=ScriptKind.MERGE in offer.kinds,
        format=format_,
        tasks=tasks,
        snapshot=snapshot,
        totals=totals,
    )


async def _keep(
    conn: Connection, tenant: UUID, found: ResolvedSnapshot
) -> tuple[ResolvedSnapshot, InputTotals]:
    """Keep a snapshot until the transaction ends, if it is still there."""
    assert found.number is not None  # noqa: S101 - it is resolved
    with about("/dataset"):
        totals = await select_input(conn, tenant, found.dataset_id, found.number)
        if totals is None:
            raise dataset_not_found(found.name)
        # Once its dataset is locked: it may have been deleted since it was found.
        ref = DatasetRef(name=found.name, snapshot=found.number)
        return await datasets.resolve(conn, tenant, ref), totals


async def _resolve_output(
    resources: Resources,
    conn: Connection,
    caller: Caller,
    wanted: CreateRun,
    run_format: Format,
) -> Dataset | None:
    """Find the dataset of the output, or create it.

    Raises InvalidRequest, DatasetDiffers, QuotaExceeded.
    """
    if wanted.output is None:
        return None
    name = parse_new_name(wanted.output.dataset, pointer="/output/dataset")
    format_ = output_format(wanted, run_format)
    key = None if wanted.output.key is UNSET else wanted.output.key
    found = await dataset_store.select_dataset(conn, caller.tenant, name)
    if found is None:
        new = PutDataset(format=format_, key=key)
        # False: another request has created it since.
        await datasets.create(resources, conn, caller, name, new)
        found = await datasets.read_dataset(conn, caller.tenant, name)
    _require_same(found, wanted.output, format_)
    return found


def _require_same(found: Dataset, output: RunOutput, format_: DatasetFormat) -> None:
    has = "no key" if found.key is None else f"the key {found.key}"
    if found.format is not format_ or output.key not in (UNSET, found.key):
        problem = DatasetDiffers(
            f"the dataset {found.name!r} has the format {found.format} and {has}, which do not "
            f"change; the run writes {format_}"
        )
        raise located("/output", problem)


def _new_run(
    wanted: CreateRun,
    read: _Input,
    output: Dataset | None,
    *,
    params: bytes | None,
    callback_url: str | None,
    request_id: str,
    traceparent: str | None,
) -> NewRun:
    assert read.snapshot.number is not None  # noqa: S101 - it is resolved
    return NewRun(
        id=uuid.uuid7(),
        script_id=read.version.script_id,
        version=read.version.version,
        dataset_id=read.snapshot.dataset_id,
        dataset=read.snapshot.name,
        snapshot=read.snapshot.number,
        format=read.format,
        each=wanted.each,
        emit=wanted.emit,
        on_error=wanted.on_error,
        max_errors=wanted.max_errors,
        tasks=read.tasks,
        merges=read.merges,
        output_dataset_id=None if output is None else output.id,
        output_dataset=None if output is None else output.name,
        output_mode=None if wanted.output is None else wanted.output.mode,
        params=params,
        labels=wanted.labels,
        priority=wanted.priority,
        seed=secrets.randbelow(MAX_SEED + 1) if wanted.seed is None else wanted.seed,
        callback_url=callback_url,
        request_id=request_id,
        traceparent=traceparent,
    )
