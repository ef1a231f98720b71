"""Run a task of an export in a Dask worker: one function that it is sent by name.

As with parts of runs (`app.runs.engines.dask_task`), what users have made is inside the bytes.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
import structlog
import uuid_utils.compat as uuid

from app.background import background, retry_forever
from app.blobs import BlobLost
from app.errors import CrivoError
from app.executions.dispatch.health import HOST_TROUBLE
from app.exports import task_store
from app.exports.engines.messages import (
    Answer,
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
from app.exports.execution import execute, lasts
from app.exports.folders import open_worker_folder
from app.exports.lease import Lease
from app.exports.object_folder import DestinationUnavailable
from app.exports.plan.model import TaskFailed, TaskLost
from app.exports.plan.process import run_task
from app.exports.task_store import Assignment, ClaimedTask
from app.exports.work import Outcome
from app.outages import Unavailable, reason_of
from app.resources import Resources
from app.runs.engines.worker_process import worker_process
from app.telemetry import redact

log = structlog.get_logger(__name__)

_CHECK_SECONDS: Final = 1.0


def run(message: bytes, slots: int) -> bytes:
    """Run a task, and return the answer; a thread of the Dask worker waits for it."""
    assignment = msgspec.msgpack.decode(message, type=Assignment)
    return encode(_answer(assignment, slots))


def _answer(  # noqa: PLR0911 - one line a reason
    assignment: Assignment, slots: int
) -> Answer:
    try:
        return worker_process(slots).call(partial(run_assignment, assignment))
    except TaskFailed as failed:
        return Failed(failed.kind, str(failed), failed.details)
    except TaskLost as lost:
        return Lost(redact(reason_of(lost)))
    except BlobLost as error:
        return InputMissing(redact(reason_of(error)))
    except DestinationUnavailable as error:
        return Unreachable(redact(reason_of(error)))
    except (Unavailable, CrivoError, OSError, MemoryError, *HOST_TROUBLE) as error:
        return (Faulty if lasts(error) else Interrupted)(redact(reason_of(error)))
    except Exception as error:
        log.exception("export.task_failed", id=str(assignment.export_id))
        return Faulty(redact(reason_of(error)))


async def run_assignment(
    assignment: Assignment, resources: Resources, engine_worker: UUID
) -> Answer:
    """Run a task while its token is valid, and record how far it has come.

    Raises what `execute` raises.
    """
    async with resources.pool.acquire() as conn:
        task = await task_store.take_task(conn, assignment, engine_worker)
    if task is None:
        return NotValid()
    lease = Lease(resources, task)
    running = asyncio.create_task(_execute(resources, task, lease))

    async def check() -> None:
        await asyncio.sleep(_CHECK_SECONDS)
        if not await lease.record_progress():
            running.cancel()

    checks = retry_forever("export.check_failed", check, pause_seconds=0.0)
    async with background(checks):
        with suppress(asyncio.CancelledError):
            return Finished(await running)
    return NotValid()


async def _execute(resources: Resources, task: ClaimedTask, lease: Lease) -> Outcome:
    # A folder for this task alone: another worker may send one at the same time.
    async with open_worker_folder(resources.settings, uuid.uuid7()) as folder:
        return await execute(resources, task, folder, run_task, on_progress=lease.note)
