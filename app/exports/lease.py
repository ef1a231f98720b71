"""Hold the lease of a task while it runs, and tell how far it has come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.background import background, retry_forever
from app.exports import task_store
from app.exports.plan.model import Progress
from app.exports.task_store import ClaimedTask, LeaseLost
from app.outages import DatabaseUnavailable
from app.resources import Resources

_BEATS_OF_A_LEASE: Final = 4
# Each also shows how far the task has come, and notices that its export was cancelled.
_LONGEST_BEAT_SECONDS: Final = 1.0


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
    lease_seconds = resources.settings.lease_seconds
    time = asyncio.get_running_loop().time
    lease = Lease(resources, task)
    outage: DatabaseUnavailable | None = None

    async def beat() -> None:
        await asyncio.sleep(min(lease_seconds / _BEATS_OF_A_LEASE, _LONGEST_BEAT_SECONDS))
        nonlocal outage
        before = time()
        outage = DatabaseUnavailable(reason="it has not answered a renewal")
        try:
            is_held = await lease.renew()
        except DatabaseUnavailable as error:
            outage = error
            raise
        outage = None
        if not limit.expired():
            limit.reschedule(before + lease_seconds if is_held else time())

    limit = asyncio.timeout_at(until)
    beats = retry_forever("exports.renewal_failed", beat, pause_seconds=0.0, task=task.name)
    try:
        async with limit, background(beats):
            yield lease
    except TimeoutError:
        if not limit.expired():
            raise
        if outage is not None:
            raise outage from None
        message = "the lease is lost, or was not renewed in time, or the task is not to go on"
        raise LeaseLost(message) from None
