"""Run pipes in a worker: hold them by leases, each by one worker, and do their batches in turn."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Final
from uuid import UUID

import structlog

from app.background import background, retry_forever
from app.outages import DatabaseUnavailable
from app.pipes import lease_store
from app.pipes.commits import CommitTurns
from app.pipes.lease_store import HeldPipe
from app.pipes.pipe_loop import PipeLoop
from app.resources import Resources

log = structlog.get_logger(__name__)

# A worker with room claims few at a time, so that several workers share them.
_CLAIMED_AT_ONCE: Final = 4
# Without room, so many give way at a time.
_YIELDING_AT_ONCE: Final = 16
_MAX_HELD: Final = 200
_POLL_SECONDS: Final = 0.5
_LAST_PAUSE_SECONDS: Final = 1.0
# How often leases are looked at, and how long before its end none counts any more.
_LOOK_SECONDS: Final = 0.1
_MARGIN_SECONDS: Final = 0.3
# While others wait: how long a pipe without events is held, and one with events.
_IDLE_SECONDS: Final = 3.0
_TURN_SECONDS: Final = 10.0
_RELEASE_SECONDS: Final = 2.0
_END_SECONDS: Final = 5.0


async def run_pipes(resources: Resources, worker_id: UUID, *, max_held: int = _MAX_HELD) -> None:
    """Run the pipes that this worker holds until cancelled; then give them up."""
    runner = _Runner(resources, worker_id, max_held=max_held)
    try:
        async with background(runner.end_expired()):
            await retry_forever("pipes.failed", runner.poll, pause_seconds=_POLL_SECONDS)
    finally:
        await asyncio.shield(runner.close())


class _Running:
    """A pipe that this worker holds, and the task that does its batches."""

    def __init__(self, held: HeldPipe, loop: PipeLoop, task: "asyncio.Task[None]") -> None:
        self.held = held
        self.loop = loop
        self.task = task
        self.since = monotonic()
        self.is_stopping = False

    def stop(self) -> None:
        self.is_stopping = True
        self.loop.stop()

    def may_give_way(self, now: float) -> bool:
        if self.is_stopping or not self.loop.had_turn:
            return False
        return self.idle_seconds(now) >= _IDLE_SECONDS or now - self.since >= _TURN_SECONDS

    def idle_seconds(self, now: float) -> float:
        return 0.0 if self.loop.idle_since is None else now - self.loop.idle_since


class _Runner:
    """The pipes of one worker."""

    def __init__(self, resources: Resources, worker_id: UUID, *, max_held: int) -> None:
        self._resources = resources
        self._worker_id = worker_id
        self._max_held = max_held
        self._lease_seconds = float(resources.settings.lease_seconds)
        self._running: dict[UUID, _Running] = {}
        # Loops that were cancelled and clean up, which may take long.
        self._ending: dict[UUID, asyncio.Task[None]] = {}
        self._commits = CommitTurns()
        self._claim_at = 0.0
        self._claim_pause = _POLL_SECONDS

    async def poll(self) -> None:
        """Renew leases, end the loops of pipes that are lost, and claim others, until cancelled."""
        while True:
            await self._give_up_ended()
            if self._running:
                await self._renew()
            room = min(_CLAIMED_AT_ONCE, self._max_held - len(self._running))
            if room > 0 and monotonic() >= self._claim_at:
                await self._claim(room)
            if len(self._running) >= self._max_held:
                await self._make_room()
            await asyncio.sleep(_POLL_SECONDS)

    async def end_expired(self) -> None:
        """End loops before their leases run out, also while PostgreSQL is away, until cancelled.

        What they send is cancelled amid a request.
        """
        while True:
            for each in list(self._running.values()):
                if not each.loop.lease.holds():
                    log.warning("pipe.lease_ran_out", id=str(each.held.id))
                    self._end(each)
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """End all loops, and release what is still held."""
        running = list(self._running.values())
        for each in running:
            self._end(each)
        if self._ending:
            await asyncio.wait(list(self._ending.values()), timeout=_END_SECONDS)
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._release([each.held for each in running if each.task.done()])
        except (TimeoutError, DatabaseUnavailable):
            log.warning("pipes.not_released", pipes=len(running))

    async def _renew(self) -> None:
        until = self._lease_end()
        running = list(self._running.values())
        async with self._resources.pool.acquire() as conn:
            still_held = await lease_store.renew_leases(
                conn, [each.held for each in running], lease_seconds=self._lease_seconds
            )
        for each in running:
            lease = still_held.get(each.held.id)
            if lease is None:
                if self._running.get(each.held.id) is each:
                    log.warning("pipe.lost", id=str(each.held.id))
                    self._end(each)
                continue
            if lease.rests:
                each.stop()
            if lease.is_renewed:
                each.loop.lease.renewed(until=until)

    async def _claim(self, room: int) -> None:
        until = self._lease_end()
        async with self._resources.pool.acquire() as conn:
            claimed = await lease_store.claim_pipes(
                conn, self._worker_id, limit=room, lease_seconds=self._lease_seconds
            )
        self._claim_pause = (
            _POLL_SECONDS if claimed else min(2 * self._claim_pause, _LAST_PAUSE_SECONDS)
        )
        self._claim_at = monotonic() + (0.0 if claimed else self._claim_pause)
        for held in claimed:
            if stale := self._running.get(held.id):
                # Our own lease has run out, and we have claimed it again.
                self._end(stale)
            loop = PipeLoop(self._resources, held, self._commits)
            loop.lease.renewed(until=until)
            task = asyncio.create_task(
                _run_after(self._ending.get(held.id), loop), name=f"pipe {held.id}"
            )
            self._running[held.id] = _Running(held, loop, task)

    async def _make_room(self) -> None:
        """Stop pipes that have had their turn, if others wait: of the tenant that has the most."""
        async with self._resources.pool.acquire() as conn:
            waiting = await lease_store.count_waiting(conn, limit=_YIELDING_AT_ONCE)
        now = monotonic()
        running = list(self._running.values())
        held = Counter(each.held.tenant_id for each in running if not each.is_stopping)
        for _ in range(waiting - sum(each.is_stopping for each in running)):
            can = [each for each in running if each.may_give_way(now)]
            if not can:
                return
            chosen = max(
                can,
                key=lambda each: (
                    held[each.held.tenant_id],
                    each.idle_seconds(now),
                    now - each.since,
                ),
            )
            held[chosen.held.tenant_id] -= 1
            chosen.stop()

    def _lease_end(self) -> float:
        """Return until when a lease that is taken now counts here."""
        margin = min(_MARGIN_SECONDS, self._lease_seconds / 4)
        return asyncio.get_running_loop().time() + self._lease_seconds - margin

    def _end(self, running: _Running) -> None:
        """Cancel a loop, which cleans up on its own."""
        pipe = running.held.id
        self._running.pop(pipe, None)
        running.task.cancel()
        self._ending[pipe] = running.task
        running.task.add_done_callback(lambda task: self._forget(pipe, task))

    def _forget(self, pipe: UUID, task: "asyncio.Task[None]") -> None:
        if self._ending.get(pipe) is task:
            del self._ending[pipe]
        _log_crash(pipe, task)

    async def _give_up_ended(self) -> None:
        ended = [each for each in self._running.values() if each.task.done()]
        for each in ended:
            del self._running[each.held.id]
            _log_crash(each.held.id, each.task)
        await self._release([each.held for each in ended])

    async def _release(self, held: Sequence[HeldPipe]) -> None:
        if held:
            async with self._resources.pool.acquire() as conn:
                await lease_store.release_leases(conn, held)


async def _run_after(former: "asyncio.Task[None] | None", loop: PipeLoop) -> None:
    """Run a loop once nothing of a former one of the same pipe is under way."""
    if former is not None:
        await asyncio.wait([former])
    await loop.run()


def _log_crash(pipe: UUID, task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("pipe.crashed", id=str(pipe), exc_info=error)
