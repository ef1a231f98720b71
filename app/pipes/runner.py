"""Run pipes in a worker: hold them by leases, each by one worker, and do their batches in turn."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog

from app.background import retry_forever
from app.outages import DatabaseUnavailable
from app.pipes import lease_store
from app.pipes.lease_store import HeldPipe
from app.pipes.pipe_loop import PipeLoop
from app.resources import Resources

log = structlog.get_logger(__name__)

# A worker claims few at a time, so that several workers share them.
_CLAIMED_AT_ONCE: Final = 4
_MAX_HELD: Final = 200
_POLL_SECONDS: Final = 0.5
_RELEASE_SECONDS: Final = 2.0


async def run_pipes(resources: Resources, worker_id: UUID) -> None:
    """Run the pipes that this worker holds until cancelled; then give them up."""
    runner = _Runner(resources, worker_id)
    try:
        await retry_forever("pipes.failed", runner.poll, pause_seconds=_POLL_SECONDS)
    finally:
        await asyncio.shield(runner.close())


class _Running:
    """A pipe that this worker holds, and the task that does its batches."""

    def __init__(self, held: HeldPipe, loop: PipeLoop, task: "asyncio.Task[None]") -> None:
        self.held = held
        self.loop = loop
        self.task = task


class _Runner:
    """The pipes of one worker."""

    def __init__(self, resources: Resources, worker_id: UUID) -> None:
        self._resources = resources
        self._worker_id = worker_id
        self._lease_seconds = float(resources.settings.lease_seconds)
        self._running: dict[UUID, _Running] = {}

    async def poll(self) -> None:
        """Renew leases, end the loops of pipes that are lost, and claim others, for ever."""
        while True:
            await self._give_up_ended()
            if self._running:
                await self._renew()
            room = min(_CLAIMED_AT_ONCE, _MAX_HELD - len(self._running))
            if room > 0:
                await self._claim(room)
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """End all loops, and release what is still held."""
        running = list(self._running.values())
        self._running.clear()
        await _end(running)
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._release([each.held for each in running])
        except (TimeoutError, DatabaseUnavailable):
            log.warning("pipes.not_released", pipes=len(running))

    async def _renew(self) -> None:
        before = asyncio.get_running_loop().time()
        running = list(self._running.values())
        async with self._resources.pool.acquire() as conn:
            still_held = await lease_store.renew_leases(
                conn, [each.held for each in running], lease_seconds=self._lease_seconds
            )
        lost = []
        for each in running:
            lease = still_held.get(each.held.id)
            if lease is None:
                lost.append(each)
            elif lease.rests:
                each.loop.stop()
            elif lease.is_renewed:
                each.loop.renewed(until=before + self._lease_seconds)
        for each in lost:
            log.warning("pipe.lost", id=str(each.held.id))
            self._running.pop(each.held.id, None)
        await _end(lost)

    async def _claim(self, room: int) -> None:
        before = asyncio.get_running_loop().time()
        async with self._resources.pool.acquire() as conn:
            claimed = await lease_store.claim_pipes(
                conn, self._worker_id, limit=room, lease_seconds=self._lease_seconds
            )
        for held in claimed:
            if stale := self._running.pop(held.id, None):
                # Our own lease has run out, and we have claimed it again.
                await _end([stale])
            loop = PipeLoop(self._resources, held)
            loop.renewed(until=before + self._lease_seconds)
            name = f"pipe {held.id}"
            self._running[held.id] = _Running(
                held, loop, asyncio.create_task(loop.run(), name=name)
            )

    async def _give_up_ended(self) -> None:
        ended = [each for each in self._running.values() if each.task.done()]
        for each in ended:
            del self._running[each.held.id]
            if not each.task.cancelled() and (error := each.task.exception()) is not None:
                log.error("pipe.crashed", id=str(each.held.id), exc_info=error)
        await self._release([each.held for each in ended])

    async def _release(self, held: Sequence[HeldPipe]) -> None:
        if held:
            async with self._resources.pool.acquire() as conn:
                await lease_store.release_leases(conn, held)


async def _end(running: Sequence[_Running]) -> None:
    """Cancel loops, and wait until nothing of them is under way."""
    for each in running:
        each.task.cancel()
    if running:
        await asyncio.wait([each.task for each in running])
