"""Advance runs: count the parts that have ended, queue others, merge, publish, end.

Every step is one transaction that locks the run, and any process can make it: nothing about a run
is in memory. The API makes the first one, a worker one after each part of its own, and every second
those that others have left.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
import structlog
import uuid_utils.compat as uuid

from app.background import retry_forever
from app.db import Connection
from app.errors import InvalidRequest
from app.execution_errors import ErrorKind, error_document
from app.limits import MIB
from app.metrics import SNAPSHOTS_PUBLISHED
from app.outages import DatabaseUnavailable
from app.progress.steps import make_steps, put_off
from app.resources import Resources
from app.runs import advance_store, ending, merge_store, publication
from app.runs.advance_store import ActiveRun, EndedPart, QueuedPart, WaitingPart
from app.runs.ending import Ended
from app.runs.merge_store import FoldState
from app.runs.model import RunErrorKind, RunStatus

log = structlog.get_logger(__name__)

# Parts of a run that are queued or running at once; a large dataset has more than a queue should.
MAX_OUTSTANDING: Final = 64
# The states of one merge: few, as it has them all in memory.
_MERGED_STATES: Final = 16
_MERGED_BYTES: Final = 32 * MIB
_FEWEST_STATES: Final = 2

_POLL_SECONDS: Final = 1.0
_INPUT_DELETED: Final = "the dataset of the input has been deleted"
_DUE_RUNS: Final = 100


async def run_advance(resources: Resources) -> None:
    """Advance the runs that can go on every second, until cancelled."""
    # Runs whose step has failed, and until when others go before them.
    failed: dict[UUID, float] = {}

    async def poll() -> None:
        while True:
            await advance_due(resources, failed)
            await asyncio.sleep(_POLL_SECONDS)

    await retry_forever("runs.advance_failed", poll, pause_seconds=_POLL_SECONDS)


async def advance_due(resources: Resources, failed: dict[UUID, float]) -> None:
    """Advance every run that can go on and that no other process is at.

    One whose step fails is logged, and tried again after a while.
    """
    async with resources.pool.acquire() as conn:
        due = await advance_store.select_due_runs(conn, _DUE_RUNS, without=put_off(failed))
    step = partial(advance, resources, wait=False)
    await make_steps(due, step, failed, log=log, failure_event="run.step_failed")


async def try_advance(resources: Resources, run_id: UUID) -> None:
    """Make the next step of a run; one that fails is left to `run_advance`."""
    try:
        await advance(resources, run_id)
    except DatabaseUnavailable:
        pass
    except Exception:
        log.exception("run.step_failed", id=str(run_id))


async def advance(resources: Resources, run_id: UUID, *, wait: bool = True) -> None:
    """Make the next step of a run, if there is one; `wait` for one that is being made."""
    async with resources.pool.acquire() as conn, conn.transaction():
        run = await advance_store.lock_run(conn, run_id, wait=wait)
        if run is None:
            return
        try:
            queued, ended = await _Step(resources, conn, run).make()
        except _Fails as failed:
            queued = 0
            ended = await ending.end(
                conn, run.tenant_id, run.id, RunStatus.FAILED, error=failed.document
            )
    if queued:
        resources.work_signal.notify()
    resources.publisher.changed(run_id)
    if ended is not None:
        log.info("run.ended", id=str(run_id), status=ended.status)
        await ending.after_commit(resources, ended)


class _Fails(Exception):
    """Ends the run as failed."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.document = document

    @classmethod
    def of(cls, kind: RunErrorKind | ErrorKind, message: str) -> "_Fails":
        return cls(error_document(kind, message))


class _Step:
    """One step of a run whose row is locked."""

    def __init__(self, resources: Resources, conn: Connection, run: ActiveRun) -> None:
        self._resources = resources
        self._conn = conn
        self._run = run

    async def make(self) -> tuple[int, Ended | None]:
        """Return how many parts were queued, and how the run has ended, if it has."""
        self._require_datasets()
        await self._count_ended()
        queued, left = await self._queue_parts()
        if left:
            return queued, None
        states = await self._states()
        if states and not states[0].finishes:
            level = states[0].level + 1
            await merge_store.insert_merges(self._conn, self._run, level, _grouped(states))
            queued, _ = await self._queue_parts()
            return queued, None
        return 0, await self._succeed(states)

    def _require_datasets(self) -> None:
        if not self._run.has_input:
            raise _Fails.of(RunErrorKind.INPUT_DELETED, _INPUT_DELETED)
        if not self._run.has_output:
            message = "the dataset of the output has been deleted"
            raise _Fails.of(RunErrorKind.OUTPUT_DELETED, message)

    async def _count_ended(self) -> None:
        ended = await advance_store.select_ended_parts(self._conn, self._run)
        foreign = [each.execution_id for each in ended if each.is_foreign]
        if foreign:
            times = await advance_store.forget_executions(self._conn, self._run, foreign)
            if times > self._resources.settings.max_attempts:
                message = "workers of an older release, which know no runs, have taken its parts"
                raise _Fails.of(ErrorKind.WORKER_LOST, message)
        counted = [each.execution_id for each in ended if each.counted]
        failed = self._run.rows_failed
        if counted:
            failed = await advance_store.count_parts(self._conn, self._run, counted)
        for each in ended:
            if not each.is_foreign and each.status != RunStatus.SUCCEEDED:
                raise _failure_of(each)
        if failed > self._run.max_errors:
            raise _Fails(_too_many_errors(self._run.max_errors))

    async def _queue_parts(self) -> tuple[int, bool]:
        """Queue parts up to the limit; return how many, and whether any are left."""
        run = self._run
        default = self._resources.settings.default_max_queued
        outstanding = await advance_store.count_outstanding(self._conn, run, default)
        room = MAX_OUTSTANDING - outstanding.queued
        if outstanding.max_queued is not None:
            of_tenant = outstanding.max_queued // 2 - outstanding.parts_of_tenant
            # Each run goes on, if slowly.
            room = min(room, max(of_tenant, 0 if outstanding.queued else 1))
        if not outstanding.waits or room <= 0:
            return 0, bool(outstanding.queued or outstanding.waits)
        parts = await advance_store.select_waiting_parts(self._conn, run, room)
        if parts:
            await advance_store.queue_parts(self._conn, run, [_queued(run, each) for each in parts])
        return len(parts), True

    async def _states(self) -> Sequence[FoldState]:
        if not self._run.folds:
            return ()
        states = await merge_store.select_states(self._conn, self._run)
        if states[-1].finishes:
            # Of a fold without a merge, those before are of no use any more.
            states = states[-1:]
        if any(each.size_bytes is None for each in states):
            raise _Fails.of(RunErrorKind.STATE_GONE, "the state of a part has been erased")
        return states

    async def _succeed(self, states: Sequence[FoldState]) -> Ended:
        run, snapshot, digest = self._run, None, None
        if run.output_dataset_id is not None:
            # From here to the commit it cannot be deleted: its files name those of the output.
            if not await publication.keep_input(self._conn, run):
                raise _Fails.of(RunErrorKind.INPUT_DELETED, _INPUT_DELETED)
            digest = await publication.output_sha256(self._conn, run)
            if run.publishes:
                snapshot = await self._publish()
        return await ending.end(
            self._conn,
            run.tenant_id,
            run.id,
            RunStatus.SUCCEEDED,
            result_of=states[0].execution_id if states else None,
            snapshot=snapshot,
            output_sha256=digest,
        )

    async def _publish(self) -> int:
        try:
            async with self._conn.transaction():
                number = await publication.publish(self._conn, self._run)
        except publication.OutputGone as error:
            raise _Fails.of(RunErrorKind.OUTPUT_DELETED, str(error)) from None
        except InvalidRequest as error:
            raise _Fails.of(RunErrorKind.OUTPUT_REFUSED, str(error)) from None
        SNAPSHOTS_PUBLISHED.inc()
        return number


def _too_many_errors(max_errors: int, **place: object) -> bytes:
    message = f"more than {max_errors} records have failed"
    kind = RunErrorKind.TOO_MANY_ERRORS
    return error_document(kind, message, max_errors=max_errors, **place)


def _failure_of(part: EndedPart) -> _Fails:
    if part.status is None:
        return _Fails.of(RunErrorKind.STATE_GONE, "the execution of a part has been deleted")
    if part.error is None:
        message = f"the part's execution {part.execution_id} was cancelled"
        return _Fails.of(RunErrorKind.PART_CANCELLED, message)
    error = json.loads(part.error)
    place = {
        "path": error.get("path"),
        "input_line": error.get("input_line"),
        "execution": str(part.execution_id),
    }
    if "max_errors" in error:
        return _Fails(_too_many_errors(error["max_errors"], **place))
    return _Fails(json.dumps({**error, "execution": place["execution"]}).encode("ascii"))


def _queued(run: ActiveRun, part: WaitingPart) -> QueuedPart:
    """Give a part an execution, a seed of its own, and a document that describes it."""
    described = {"run": run.id, "task": part.task, "level": part.level, "number": part.number}
    name = f"{run.seed}/{part.task}/{part.level}/{part.number}"
    # The first 53 bits: what a seed can have.
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 11
    return QueuedPart(
        part=part,
        execution_id=uuid.uuid7(),
        seed=seed,
        document=msgspec.json.encode(described),
    )


def _grouped(states: Sequence[FoldState]) -> list[tuple[int, int]]:
    """Divide states into runs of neighbours, by their number and size; two at least.

    It depends on the states alone, so a run repeated has the same merges.
    """
    groups: list[list[FoldState]] = []
    size_bytes = 0
    for each in states:
        added = each.size_bytes or 0
        full = (
            groups
            and len(groups[-1]) >= _FEWEST_STATES
            and (len(groups[-1]) == _MERGED_STATES or size_bytes + added > _MERGED_BYTES)
        )
        if full or not groups:
            groups.append([])
            size_bytes = 0
        groups[-1].append(each)
        size_bytes += added
    return [(group[0].number, group[-1].number) for group in groups]
