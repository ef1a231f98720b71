"""Run tasks of exports in the worker, each under a lease, and record what they come to.

Nothing about an export is in memory between two tasks: if its worker dies, another one runs the
task again once the lease has expired.
"""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final
from uuid import UUID

import structlog
from typing_extensions import override

from app.background import retry_forever
from app.blobs import BlobLost
from app.datasets.blob_cleanup import delete_blobs
from app.execution_errors import error_document
from app.exports import claim_store, completion, ending, outcome_store, task_store, wake_ups
from app.exports.advance import advance
from app.exports.attempt import RunTask
from app.exports.execution import execute, lasts
from app.exports.folders import open_worker_folder
from app.exports.lease import Lease, leased
from app.exports.model import ExportErrorKind, ExportStage, ExportStatus
from app.exports.object_folder import DestinationUnavailable
from app.exports.plan.model import TaskFailed, TaskLost
from app.exports.task_store import ClaimedTask, LeaseLost
from app.exports.work import Outcome
from app.limits import MAX_DESTINATION_WAIT_HOURS
from app.metrics import count_export_task
from app.outages import DatabaseUnavailable, Unavailable, reason_of
from app.quotas.errors import QuotaExceeded
from app.resources import Resources

log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_LOST_SECONDS: Final = 1.0
_OUTAGE_SECONDS: Final = 5.0
_FAULT_SECONDS: Final = 60.0
_RELEASE_SECONDS: Final = 2.0
_SUSPENDED: Final = "the tenant is suspended"


async def run_exports(resources: Resources, worker_id: UUID, run_task: RunTask) -> None:
    """Run the tasks that are due, until cancelled."""
    settings = resources.settings
    if not settings.export_tasks:
        return

    async def run_in_folder() -> None:
        async with open_worker_folder(settings, worker_id) as folder:
            runner = Runner(resources, worker_id, folder, run_task)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(settings.export_tasks):
                    tasks.create_task(runner.run_forever())

    # Without its folder a worker runs no exports, and everything else.
    await retry_forever("exports.no_folder", run_in_folder, pause_seconds=_OUTAGE_SECONDS)


class Claims(ABC):
    """Claims one task after the other, has it run, and records what it has come to."""

    publishes: ClassVar[bool]
    engine: ClassVar[str | None]

    def __init__(self, resources: Resources, worker_id: UUID) -> None:
        """Claim for a worker."""
        self._resources = resources
        self._worker_id = worker_id

    @abstractmethod
    async def _execute(self, task: ClaimedTask, lease: Lease) -> Outcome:
        """Run a task that publishes nothing; raises what `execute` raises."""

    async def run_forever(self) -> None:
        """Run what is due, until cancelled."""

        async def run_due() -> None:
            while await self.run_next():
                pass

        with wake_ups.woken(self._resources.notifier) as woken:
            await retry_forever("exports.failed", run_due, pause_seconds=_POLL_SECONDS, woken=woken)

    async def run_next(self) -> bool:
        """Run the task that is due first; return whether there was one."""
        lease_seconds = self._resources.settings.lease_seconds
        began = asyncio.get_running_loop().time()
        async with self._resources.pool.acquire() as conn:
            task = await claim_store.claim_task(
                conn, self._worker_id, lease_seconds=lease_seconds, publishes=self.publishes
            )
        if task is None:
            return False
        try:
            try:
                await self._start(task)
                await self._try(task, until=began + lease_seconds)
            except LeaseLost as lost:
                await self._lose(task, lost)
            except DatabaseUnavailable as error:
                count_export_task(task.stage, "interrupted")
                log.warning("export.interrupted", task=task.name, reason=str(error))
                await self._release_when_possible(task)
        except asyncio.CancelledError:
            # This worker stops: another one need not wait until the lease expires.
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._release(task, 0.0, counts=False)
            raise
        return True

    async def _start(self, task: ClaimedTask) -> None:
        async with self._resources.pool.acquire() as conn:
            started = await task_store.start_export(conn, task)
        if started:
            self._resources.publisher.changed(task.export_id)

    async def _lose(self, task: ClaimedTask, lost: LeaseLost) -> None:
        """Give a task back that is not to go on, where it is not another's."""
        async with self._resources.pool.acquire() as conn:
            rests = await task_store.rests(conn, task)
        count_export_task(task.stage, "suspended" if rests else "lease_lost")
        log.warning("export.lease_lost", task=task.name, reason=_SUSPENDED if rests else str(lost))
        # If nobody has suspended the tenant, this worker was too slow to renew it.
        await self._release(task, 0.0, counts=not rests, trouble=_SUSPENDED if rests else None)

    async def _release_when_possible(self, task: ClaimedTask) -> None:
        """Give a task back once PostgreSQL answers, unless another worker has it or it has ended.

        Its outage costs no attempt. Until then this worker could claim nothing else.
        """
        while True:
            try:
                return await self._release(task, 0.0, counts=False)
            except DatabaseUnavailable:
                await asyncio.sleep(_POLL_SECONDS)

    async def _try(self, task: ClaimedTask, *, until: float) -> None:
        """Run a task, and record its outcome or give it back.

        Raises LeaseLost, DatabaseUnavailable.
        """
        outcome = "interrupted"
        try:
            if task.attempts > self._resources.settings.max_attempts:
                message = f"{task.attempts - 1} attempts of a task have ended without a result"
                raise TaskFailed(ExportErrorKind.WORKER_LOST, message)  # noqa: TRY301 - as others
            await self._run(task, until=until)
        except (LeaseLost, DatabaseUnavailable):
            raise
        except TaskFailed as failed:
            await self._fail_or_release(task, failed)
            outcome = failed.kind
        except TaskLost as lost:
            log.warning("export.task_lost", task=task.name, reason=str(lost))
            trouble = "the process of a task has ended before its result"
            await self._release(task, _LOST_SECONDS, counts=True, trouble=trouble)
            outcome = "lost"
        except BlobLost as error:
            await self._require_dataset(task, error)
            outcome = "input_missing"
        except DestinationUnavailable as error:
            await self._wait_for_destination(task, error)
        except Exception as error:  # noqa: BLE001 - faults are logged
            outcome = await self._give_back(task, error)
        else:
            outcome = "done"
            await self._advance(task)
        count_export_task(task.stage, outcome)

    async def _give_back(self, task: ClaimedTask, error: Exception) -> str:
        """Give back a task that could not be carried out here; return what it came to."""
        if isinstance(error, Unavailable | OSError | MemoryError) and not lasts(error):
            log.warning("export.interrupted", task=task.name, reason=str(error))
            trouble = _trouble_of(error)
            await self._release(task, _OUTAGE_SECONDS, counts=False, trouble=trouble)
            return "interrupted"
        log.error("export.task_failed", task=task.name, exc_info=error)
        reason = "a task has failed for a reason that is in the service's log"
        if task.attempts >= self._resources.settings.max_attempts:
            await self._fail(task, TaskFailed(ExportErrorKind.INTERNAL, reason))
        else:
            await self._release(task, _FAULT_SECONDS, counts=True, trouble=reason)
        return "fault"

    async def _run(self, task: ClaimedTask, *, until: float) -> None:
        if task.stage is ExportStage.PUBLISH:
            async with leased(self._resources, task, until=until) as lease:
                output = await completion.publish(self._resources, task)
                await lease.renew_for_record()
            await completion.complete(self._resources, task, output)
            return
        outcome: Outcome | None = None
        try:
            async with leased(self._resources, task, until=until) as lease:
                outcome = await self._execute(task, lease)
                await lease.renew_for_record()
            await self._record(task, outcome)
        except (LeaseLost, TaskFailed):
            # After anything else it may have been recorded: retention finds what has no row.
            keys = [] if outcome is None else [each.blob_key for each in outcome.files]
            await delete_blobs(self._resources.blobs, keys)
            raise

    async def _advance(self, task: ClaimedTask) -> None:
        """Make the step after a task that is recorded; what fails is made by `run_advance`."""
        if task.stage is ExportStage.PUBLISH:
            return
        try:
            await advance(self._resources, task.export_id)
        except DatabaseUnavailable as error:
            log.warning("export.step_interrupted", id=str(task.export_id), reason=str(error))
        except Exception:
            log.exception("export.step_failed", id=str(task.export_id))

    async def _record(self, task: ClaimedTask, outcome: Outcome) -> None:
        try:
            async with self._resources.pool.acquire() as conn, conn.transaction():
                await outcome_store.record(conn, task, outcome, engine=self.engine)
            report = outcome.report
            log.info(
                "export.task_done",
                task=task.name,
                rows_in=report.rows_in,
                rows_out=report.rows_out,
                files=len(report.files),
                cpu_ms=round(report.cpu_ms),
                peak_memory_bytes=report.peak_memory_bytes,
            )
        except QuotaExceeded as error:
            message = f"the files of the export do not fit into the quota: {error}"
            raise TaskFailed(ExportErrorKind.OVER_QUOTA, message) from None

    async def _fail_or_release(self, task: ClaimedTask, failed: TaskFailed) -> None:
        """Fail the export, unless another attempt may find the room that this one lacked."""
        is_last = task.attempts >= self._resources.settings.max_attempts
        if failed.kind != ExportErrorKind.OUT_OF_SPACE or is_last:
            await self._fail(task, failed)
        else:
            # Others may have filled the disk, and leave it again.
            log.warning("export.no_space", task=task.name, reason=str(failed))
            await self._release(task, _FAULT_SECONDS, counts=True, trouble=str(failed))

    async def _wait_for_destination(self, task: ClaimedTask, error: Exception) -> None:
        """Release a task until its destination answers, and fail the export after a long wait."""
        async with self._resources.pool.acquire() as conn:
            is_over = await task_store.has_waited(conn, task, MAX_DESTINATION_WAIT_HOURS)
        cause = None if error.__cause__ is None else reason_of(error.__cause__)
        log.warning("export.interrupted", task=task.name, reason=str(error), cause=cause)
        if is_over:
            # Not why: the text of a store can name the operator's account.
            message = f"{task.destination} could not be used for {MAX_DESTINATION_WAIT_HOURS} hours"
            await self._fail(task, TaskFailed(ExportErrorKind.DESTINATION_REFUSED, message))
        else:
            await self._release(task, _OUTAGE_SECONDS, counts=False, trouble=str(error))

    async def _fail(self, task: ClaimedTask, failed: TaskFailed) -> None:
        """End the export of a task; its other tasks lose their leases."""
        error = error_document(ExportErrorKind(failed.kind), str(failed), **failed.details)
        async with self._resources.pool.acquire() as conn, conn.transaction():
            await outcome_store.require_lease(conn, task)
            ended = await ending.end(
                conn, task.tenant_id, task.export_id, ExportStatus.FAILED, error=error
            )
        log.info("export.failed", task=task.name, kind=failed.kind)
        await ending.after_commit(self._resources, ended)

    async def _require_dataset(self, task: ClaimedTask, error: Exception) -> None:
        """Fail an export whose dataset was deleted; else what it reads is damaged."""
        async with self._resources.pool.acquire() as conn:
            has_dataset = await task_store.has_dataset(conn, task)
        if has_dataset:
            log.error("export.input_missing", task=task.name, reason=str(error))
            trouble = "a file that the export reads is not in the service's store"
            await self._release(task, _FAULT_SECONDS, counts=True, trouble=trouble)
        else:
            message = "the dataset of the export has been deleted"
            await self._fail(task, TaskFailed(ExportErrorKind.INPUT_DELETED, message))

    async def _release(
        self, task: ClaimedTask, seconds: float, *, counts: bool, trouble: str | None = None
    ) -> None:
        async with self._resources.pool.acquire() as conn:
            await task_store.release(
                conn, task, after_seconds=seconds, counts=counts, trouble=trouble
            )


class Runner(Claims):
    """Runs tasks in this process, in folders below that of the worker."""

    publishes = True
    engine = None

    def __init__(
        self, resources: Resources, worker_id: UUID, folder: Path, run_task: RunTask
    ) -> None:
        """Use a folder that exists."""
        super().__init__(resources, worker_id)
        self._folder = folder
        self._run_task = run_task

    @override
    async def _execute(self, task: ClaimedTask, lease: Lease) -> Outcome:
        return await execute(
            self._resources, task, self._folder, self._run_task, on_progress=lease.note
        )


def _trouble_of(error: Exception) -> str:
    """Return what the readers of an export are told; the text of others is for operators."""
    if isinstance(error, completion.DestinationBusy):
        return str(error)
    if isinstance(error, Unavailable):
        return error.detail
    return "the service has trouble"
