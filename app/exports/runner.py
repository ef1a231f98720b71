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
from app.exports import completion, ending, outcome_store, task_store
from app.exports.advance import advance
from app.exports.attempt import RunTask
from app.exports.execution import execute
from app.exports.folders import open_worker_folder
from app.exports.lease import Lease, leased
from app.exports.model import ExportErrorKind, ExportStage, ExportStatus
from app.exports.plan.model import TaskFailed, TaskLost
from app.exports.task_store import ClaimedTask, LeaseLost
from app.exports.work import Outcome
from app.outages import DatabaseUnavailable, Unavailable
from app.quotas.errors import QuotaExceeded
from app.resources import Resources

log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_LOST_SECONDS: Final = 1.0
_OUTAGE_SECONDS: Final = 5.0
_FAULT_SECONDS: Final = 60.0
_RELEASE_SECONDS: Final = 2.0
# For PostgreSQL to come back.
_PATIENCE_SECONDS: Final = 60.0


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

        await retry_forever("exports.failed", run_due, pause_seconds=_POLL_SECONDS)

    async def run_next(self) -> bool:
        """Run the task that is due first; return whether there was one."""
        lease_seconds = self._resources.settings.lease_seconds
        began = asyncio.get_running_loop().time()
        async with self._resources.pool.acquire() as conn:
            task = await task_store.claim_task(
                conn, self._worker_id, lease_seconds=lease_seconds, publishes=self.publishes
            )
            if task is None:
                return False
            started = await task_store.start_export(conn, task)
        if started:
            self._resources.publisher.changed(task.export_id)
        try:
            await self._try(task, until=began + lease_seconds)
        except LeaseLost as lost:
            log.warning("export.lease_lost", task=task.name, reason=str(lost))
            # Where it is not another's: this worker was too slow to renew it.
            await self._release(task, 0.0, counts=True)
        except DatabaseUnavailable as error:
            log.warning("export.interrupted", task=task.name, reason=str(error))
            await self._release_when_possible(task)
        except asyncio.CancelledError:
            # This worker stops: another one need not wait until the lease expires.
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._release(task, 0.0, counts=False)
            raise
        return True

    async def _release_when_possible(self, task: ClaimedTask) -> None:
        """Give a task back once PostgreSQL answers, unless another worker has it or it has ended.

        Its outage costs no attempt, also if it was longer than the lease.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    try:
                        return await self._release(task, 0.0, counts=False)
                    except DatabaseUnavailable:
                        await asyncio.sleep(_POLL_SECONDS)

    async def _try(self, task: ClaimedTask, *, until: float) -> None:
        """Run a task, and record its outcome or give it back.

        Raises LeaseLost, DatabaseUnavailable.
        """
        try:
            if task.attempts > self._resources.settings.max_attempts:
                message = f"{task.attempts - 1} attempts of a task have ended without a result"
                raise TaskFailed(ExportErrorKind.WORKER_LOST, message)  # noqa: TRY301 - as others
            await self._run(task, until=until)
        except (LeaseLost, DatabaseUnavailable):
            raise
        except TaskFailed as failed:
            await self._fail(task, failed)
        except TaskLost as lost:
            log.warning("export.task_lost", task=task.name, reason=str(lost))
            await self._release(task, _LOST_SECONDS, counts=True)
        except BlobLost as error:
            await self._require_dataset(task, error)
        except (Unavailable, OSError, MemoryError) as error:
            log.warning("export.interrupted", task=task.name, reason=str(error))
            await self._release(task, _OUTAGE_SECONDS, counts=False)
        except Exception:
            log.exception("export.task_failed", task=task.name)
            await self._release(task, _FAULT_SECONDS, counts=True)

    async def _run(self, task: ClaimedTask, *, until: float) -> None:
        if task.stage is ExportStage.PUBLISH:
            async with leased(self._resources, task, until=until) as lease:
                files = await completion.publish(self._resources, task)
                await lease.renew_for_record()
            await completion.complete(self._resources, task, files)
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
        await advance(self._resources, task.export_id)

    async def _record(self, task: ClaimedTask, outcome: Outcome) -> None:
        try:
            async with self._resources.pool.acquire() as conn, conn.transaction():
                await outcome_store.record(conn, task, outcome)
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
            await self._release(task, _FAULT_SECONDS, counts=True)
        else:
            message = "the dataset of the export has been deleted"
            await self._fail(task, TaskFailed(ExportErrorKind.INPUT_DELETED, message))

    async def _release(self, task: ClaimedTask, seconds: float, *, counts: bool) -> None:
        async with self._resources.pool.acquire() as conn:
            await task_store.release(conn, task, after_seconds=seconds, counts=counts)


class Runner(Claims):
    """Runs tasks in this process, in folders below that of the worker."""

    publishes = True

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
