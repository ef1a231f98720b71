"""Hold the lease of a task while it runs, and tell how far it has come."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app import leases
from app.exports import task_store
from app.exports.plan.model import Progress
from app.exports.task_store import ClaimedTask, LeaseLost
from app.resources import Resources


class Lease:
    """The lease of a task that runs, and how far the task has come."""

    def __init__(self, resources: Resources, task: ClaimedTask) -> None:
        """Take a claimed task."""
        self._resources = resources
        self._task = task
        self._read: float | None = None

    def note(self, progress: Progress) -> None:
        """Take how far the task has come; the next renewal records it."""
        # Of what it reads as it is stored; what counts is the size before compression.
        self._read = progress.bytes_read / max(1, progress.total_bytes)

    async def renew(self) -> bool:
        """Renew the lease; return whether the task may go on. Raises DatabaseUnavailable."""
        return await self._renew(self._resources.settings.lease_seconds)

    async def record_progress(self) -> bool:
        """Record how far the task has come, for the worker that renews the lease.

        Returns whether the task may go on. Raises DatabaseUnavailable.
        """
        return await self._renew(None)

    async def renew_for_record(self) -> None:
        """Renew the lease a last time: its outcome is recorded within that. Raises LeaseLost."""
        if not await self.renew():
            raise LeaseLost("another worker has claimed it, or it is not to go on")

    async def _renew(self, lease_seconds: float | None) -> bool:
        done = None if self._read is None else int(self._read * self._task.raw_bytes)
        async with self._resources.pool.acquire() as conn:
            return await task_store.renew(
                conn,
                self._task,
                lease_seconds=lease_seconds,
                raw_bytes_done=done,
                reads=bool(self._read),
            )


@asynccontextmanager
async def leased(resources: Resources, task: ClaimedTask, *, until: float) -> AsyncIterator[Lease]:
    """Renew a lease for the length of a block, which ends as soon as the lease may have run out.

    Raises LeaseLost: another worker may run the task from then on, or nobody needs it. Raises
    DatabaseUnavailable if it could not be renewed for that reason.
    """
    lease = Lease(resources, task)
    async with leases.leased(
        lease.renew,
        lease_seconds=resources.settings.lease_seconds,
        until=until,
        lost=LeaseLost(
            "the lease is lost, or was not renewed in time, or the task is not to go on"
        ),
        name=task.name,
    ):
        yield lease
