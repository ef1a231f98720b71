"""Keep a worker's slots full: claim queued executions and start them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid

from app.executions import cancellations
from app.executions.dispatch import claims
from app.executions.dispatch.claimer import Claimer
from app.executions.dispatch.claims_ahead import MAX_HELD_SECONDS, ClaimsAhead
from app.executions.dispatch.engine_slots import EngineSlots, Parts
from app.executions.dispatch.executor import Executor
from app.executions.dispatch.hand_overs import HandOvers
from app.executions.dispatch.health import HostHealth
from app.executions.dispatch.heartbeat import Heartbeat
from app.executions.dispatch.releaser import Releaser
from app.executions.dispatch.rescuer import Rescuer
from app.executions.dispatch.running_claims import RunningClaim, RunningClaims
from app.executions.dispatch.wake_ups import WakeUps
from app.executions.model import Claim
from app.lifecycle import Watchdog
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.workers import store as workers

# Without a wake-up (Redis is away, or one was lost) queued work is found within this time.
_POLL_SECONDS: Final = 1.0
_RESCUE_SECONDS: Final = 1.0
_CHECK_SECONDS: Final = 1.0
# Executions that run beside parts of runs while these hold all slots.
SPARE_SLOTS: Final = 1


class Dispatcher:
    """A worker's loop, and the periodic tasks beside it.

    PostgreSQL decides what runs; a wake-up only says when to claim. No other worker depends on
    this one: when it dies, its leases expire and its executions are rescued.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        slots: int,
        watchdog: Watchdog | None = None,
        parts: Parts | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Run `slots` executions at once; `watchdog` ends a worker that hangs.

        `parts` runs those that are parts of runs. Without `worker_id`, a new one is drawn.
        """
        self.id: UUID = worker_id or uuid.uuid7()
        self._resources = resources
        self._slots = slots
        self._watchdog = watchdog or Watchdog(0)
        self._running = RunningClaims(on_slot_free=self._refill)
        self._ahead = ClaimsAhead(slots=slots)
        # Set while the last claim found all it asked for: more may be queued.
        self._more_queued = False
        self._claim_now = asyncio.Event()
        # Set while the last claim has left slots free.
        self._idle = asyncio.Event()
        self._woken_alone = False
        self._stopping = False
        self._health = HostHealth(resources, tenant=str(self.id))
        self._wake_ups = WakeUps(
            may_use_spare=self._may_use_spare, notify=resources.work_signal.notify
        )
        self._releaser = Releaser(resources)
        self._hand_overs = HandOvers(resources, self.id)
        self._executor = Executor(
            resources, releaser=self._releaser, health=self._health, parts=parts
        )
        self._claimer = Claimer(resources, self.id, running=self._running)
        self._engine_slots = EngineSlots(self._claimer, parts=parts, running=self._running)
        self._rescuer = Rescuer(resources, running=self._running, claim_now=self._claim_now)
        self._heartbeat = Heartbeat(
            resources,
            self.id,
            slots=slots,
            running=self._running,
            releaser=self._releaser,
            health=self._health,
            engine_slots=self._engine_slots,
        )

    def wake(self) -> None:
        """Claim now."""
        self._claim_now.set()

    def wake_alone(self) -> None:
        """Claim now, for a wake-up of this worker alone, which passes it on if it is full."""
        self._woken_alone = True
        self._claim_now.set()

    async def has_idle_slots(self, *, within_seconds: float) -> bool:
        """Wait for a slot that a wake-up is of use for."""
        return await self._wake_ups.awaited(within_seconds=within_seconds)

    def stop(self) -> None:
        """Claim no more; `run_until_stopped` then ends within the grace period."""
        self._stopping = True
        self._idle.clear()
        self._wake_ups.end()
        self._claim_now.set()

    async def run_until_stopped(self) -> None:
        """Claim and execute until `stop`. An unforeseen error ends all tasks."""
        try:
            async with asyncio.TaskGroup() as tasks:
                periodic_tasks = self._start_periodic_tasks(tasks)
                while not self._stopping:
                    self._watchdog.beat("claim")
                    await self._outlast_outage(lambda: self._fill_slots(tasks))
                    await self._sleep()
                self._watchdog.dismiss("claim")
                await self._outlast_outage(lambda: self._hand_overs.offer(0))
                await self._drain()
                await self._outlast_outage(self._report_slot_usage)
                await self._outlast_outage(self._releaser.retry)
                for task in periodic_tasks:
                    task.cancel()
                self._watchdog.close()
        finally:
            with suppress(DatabaseUnavailable):
                async with self._resources.pool.acquire(timeout=1) as conn:
                    await workers.delete_worker(conn, self.id)

    def _start_periodic_tasks(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        renew_seconds = self._heartbeat.interval_seconds
        return [
            tasks.create_task(self._repeat("renew", self._heartbeat.beat, renew_seconds)),
            tasks.create_task(
                self._repeat("rescue", self._rescuer.rescue_expired, _RESCUE_SECONDS)
            ),
            tasks.create_task(self._repeat("check", self._health.check, _CHECK_SECONDS)),
            tasks.create_task(self._listen_for_cancellations()),
            tasks.create_task(self._listen_for_hand_overs(tasks)),
        ]

    async def _fill_slots(self, tasks: asyncio.TaskGroup) -> None:
        woken_alone, self._woken_alone = self._woken_alone, False
        started = asyncio.get_running_loop().time()
        # A run that waits for memory, or for the slot of a run that overtook it, holds none yet.
        slots = self._slots + self._resources.sandbox.waiting
        may_claim = self._health.may_claim() and self._running.may_record_more
        if may_claim:
            self._begin(tasks, await self._engine_slots.claim(), started, elsewhere=True)
        free = max(0, slots - len(self._running)) if may_claim else 0
        if may_claim and not free:
            await self._fill_spare(tasks)
        ahead = self._claimable_ahead() if may_claim else 0
        claimed = await self._claimer.claim(free, ahead=ahead) if free or ahead else claims.NOTHING
        if free or ahead:
            self._more_queued = len(claimed.executions) == free + ahead
        if claimed.executions:
            self._ahead.observe_claims(
                only_batches=all(each.batch_id is not None for each in claimed.executions)
            )
        self._begin(tasks, claimed.executions, started)
        if len(claimed.executions) < free:
            self._idle.set()
            self._wake_ups.begin()
            if claimed.passed_over:
                # There may be memory by now for what was passed over.
                self._claim_now.set()
        else:
            self._idle.clear()
            if claimed.executions and self._may_use_spare():
                self._claim_now.set()
            self._wake_ups.filled(woken_alone=woken_alone, claimed=bool(claimed.executions))
        if self._running.held:
            self._begin_held()
            asyncio.get_running_loop().call_later(
                self._ahead.max_held_seconds,
                self._hand_back,
                [each.lease_token for each in claimed.executions],
            )
        await self._hand_overs.offer(self._offerable(slots) if may_claim else 0)

    def _begin(
        self,
        tasks: asyncio.TaskGroup,
        claimed: Sequence[Claim],
        started: float,
        *,
        elsewhere: bool = False,
    ) -> None:
        # A follower of one item of a batch sees it run at the next resync, or its end before that.
        self._resources.publisher.changed(*(each.id for each in claimed if each.batch_id is None))
        for claim in claimed:
            running = self._running.add(claim, started=started, elsewhere=elsewhere)
            running.task = tasks.create_task(self._execute(running))

    async def _fill_spare(self, tasks: asyncio.TaskGroup) -> None:
        """Begin an execution beside parts that hold the slots: it waits for none of them."""
        if not self._may_use_spare():
            return
        started = asyncio.get_running_loop().time()
        claimed = await self._claimer.claim(SPARE_SLOTS, only_executions=True)
        self._begin(tasks, claimed.executions, started)
        if not claimed.executions:
            self._wake_ups.begin()

    def _may_use_spare(self) -> bool:
        slots = self._slots + self._resources.sandbox.waiting + SPARE_SLOTS
        return self._may_begin() and len(self._running) < slots and self._running.parts > 0

    def _offerable(self, slots: int) -> int:
        """Return how many free slots to offer; a default cap is kept by claims alone."""
        if self._resources.settings.default_max_running:
            return 0
        return max(0, slots - len(self._running) - self._hand_overs.beginning)

    def _claimable_ahead(self) -> int:
        """Return how many to claim beyond the free slots; none while half of them are held."""
        if self._idle.is_set() or self._stopping:
            return 0
        limit, held = self._ahead.limit, len(self._running.held)
        return limit - held if self._more_queued and 2 * held <= limit else 0

    def _begin_held(self) -> None:
        """Give free slots to what is held."""
        if self._stopping or not self._health.may_claim():
            self._hand_back()
            return
        slots = self._slots + self._resources.sandbox.waiting
        while len(self._running) < slots and self._running.begin_next():
            pass

    def _hand_back(self, tokens: Collection[int] | None = None) -> None:
        """Release what is still held, of the claims with these tokens or of all."""
        for each in self._running.held:
            if tokens is None or each.claim.lease_token in tokens:
                self._more_queued = False
                self._ahead.observe(MAX_HELD_SECONDS)
                each.cancel()

    async def _execute(self, running: RunningClaim) -> None:
        try:
            await self._executor.execute(running)
        finally:
            self._running.remove(running)
            if running.claim.run_id is not None:
                self._engine_slots.freed()
            if not self._health.may_claim():
                self._idle.clear()
                self._wake_ups.end()
            self._begin_held()
            self._claim_now.set()

    def _refill(self, run_seconds: float) -> None:
        """Fill a slot while its outcome is recorded; an idle worker claims afterwards, once."""
        self._ahead.observe(run_seconds)
        self._begin_held()
        if not self._idle.is_set():
            self._claim_now.set()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await self._claim_now.wait()
        self._claim_now.clear()

    async def _drain(self) -> None:
        """Give running executions their grace period, then cancel and so release the rest."""
        self._hand_back()
        tasks = [running.task for running in self._running if running.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._resources.settings.grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _report_slot_usage(self) -> None:
        if self._running.has_slot_usage:
            await self._claimer.claim(0)

    async def _listen_for_cancellations(self) -> None:
        with cancellations.subscribe(
            self._resources.notifier,
            on_cancelled=self._running.cancel,
            resync=lambda _: self._heartbeat.beat(),
        ):
            await asyncio.Event().wait()

    async def _listen_for_hand_overs(self, tasks: asyncio.TaskGroup) -> None:
        with self._hand_overs.subscribed(
            lambda execution, token: tasks.create_task(self._take_over(execution, token))
        ):
            await asyncio.Event().wait()

    async def _take_over(self, execution: UUID, token: int) -> None:
        slots = self._slots + self._resources.sandbox.waiting
        # An offer that was renewed while a hand-over was on its way may be taken twice.
        if not self._may_begin() or len(self._running) + self._hand_overs.beginning >= slots:
            await self._hand_overs.decline(execution, token)
            return
        started = asyncio.get_running_loop().time()
        claim = await self._hand_overs.begin(execution, token)
        if claim is None:
            return
        running = self._running.add(claim, started=started)
        running.task = asyncio.current_task()
        self._resources.publisher.changed(claim.id)
        if not self._may_begin():
            # It is released as it would begin.
            running.cancel()
        await self._execute(running)

    def _may_begin(self) -> bool:
        return not self._stopping and self._health.may_claim()

    async def _repeat(
        self, name: str, action: Callable[[], Awaitable[None]], seconds: float
    ) -> None:
        while True:
            self._watchdog.beat(name)
            await self._outlast_outage(action)
            await asyncio.sleep(seconds)

    async def _outlast_outage(self, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except DatabaseUnavailable:
            self._rescuer.pause()
            await asyncio.sleep(_POLL_SECONDS)
