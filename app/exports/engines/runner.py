"""Claim tasks of exports for an engine, one for each of its workers at once.

The claim, its lease and its fencing token stay here. What publishes is run by workers themselves.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, assert_never
from uuid import UUID

from typing_extensions import override

from app.blobs import BlobLost
from app.executions.dispatch.engine_slots import PartLost
from app.exports.engines import dask_task
from app.exports.engines.messages import (
    ANSWER_DECODER,
    Failed,
    Faulty,
    Finished,
    InputMissing,
    Interrupted,
    Lost,
    NotValid,
    Unreachable,
    encode,
)
from app.exports.lease import Lease
from app.exports.object_folder import DestinationUnavailable
from app.exports.plan.model import TaskFailed, TaskLost
from app.exports.runner import Claims
from app.exports.task_store import Assignment, ClaimedTask, LeaseLost
from app.exports.work import Outcome
from app.resources import Resources

_POLL_SECONDS: Final = 1.0


class Calls(Protocol):
    """What an engine offers: workers, each of which runs a call beside its parts of runs."""

    @property
    def workers(self) -> int:
        """How many workers can run calls now."""

    async def call(self, run: Callable[[bytes, int], bytes], message: bytes, *, key: str) -> bytes:
        """Run a function on a worker, and return its answer. Raises PartLost."""


async def run_exports_on(resources: Resources, worker_id: UUID, engine: Calls | None) -> None:
    """Run the tasks that are due, one at once for each worker of an engine, until cancelled."""
    if engine is None:
        return
    slots = 0
    async with asyncio.TaskGroup() as tasks:
        while True:
            for slot in range(slots, engine.workers):
                runner = EngineRunner(resources, worker_id, engine, slot)
                tasks.create_task(runner.run_forever())
            slots = max(slots, engine.workers)
            await asyncio.sleep(_POLL_SECONDS)


class EngineRunner(Claims):
    """Has tasks run by the workers of an engine, one at a time."""

    publishes = False
    engine = "dask"

    def __init__(self, resources: Resources, worker_id: UUID, engine: Calls, slot: int) -> None:
        """Claim for a worker, which is registered; `slot`: how many others have tasks run there."""
        super().__init__(resources, worker_id)
        self._engine = engine
        self._slot = slot

    @override
    async def run_next(self) -> bool:
        # The engine may have lost workers.
        return self._slot < self._engine.workers and await super().run_next()

    @override
    async def _execute(self, task: ClaimedTask, lease: Lease) -> Outcome:
        assignment = Assignment(
            export_id=task.export_id,
            stage=task.stage,
            number=task.number,
            token=task.lease_token,
            worker=self._worker_id,
        )
        key = f"crivo-{task.name}-{task.lease_token}"
        try:
            answer = await self._engine.call(dask_task.run, encode(assignment), key=key)
        except PartLost as lost:
            error = TaskLost if lost.begun else InterruptedError
            raise error(str(lost)) from lost
        # Not on the event loop: an answer may have 100,000 bad rows.
        decoded = await asyncio.to_thread(ANSWER_DECODER.decode, answer)
        match decoded:
            case Finished(outcome):
                return outcome
            case NotValid():
                raise LeaseLost("another attempt has begun under its token")
            case Failed(kind, message, details):
                raise TaskFailed(kind, message, details)
            case Lost(reason):
                raise TaskLost(reason)
            case InputMissing(reason):
                raise BlobLost(reason)
            case Unreachable(reason):
                raise DestinationUnavailable(reason)
            case Interrupted(reason):
                raise InterruptedError(reason)
            case Faulty(reason):
                raise RuntimeError(reason)
            case never:
                assert_never(never)
