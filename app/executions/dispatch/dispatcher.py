"""The dispatcher: claim from PostgreSQL, run in the sandbox, record the outcome."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog
import uuid_utils.compat as uuid

from app.execution_errors import ErrorKind, error_document
from app.executions import cancellations
from app.executions.dispatch import claims, completion
from app.executions.dispatch.executor import ResourceUsage, record, run
from app.executions.dispatch.health import HOST_TROUBLE, HostHealth
from app.executions.model import Claim, SlotUsage, Status
from app.lifecycle import Watchdog
from app.metrics import LEASES_EXPIRED
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.workers import store as workers

log = structlog.get_logger(__name__)

# The doorbell may be silent (Redis gone, a ring lost): then this is how late work is seen.
_LOOK_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 1.0
# However long a lease is: who is not seen for a while counts as dead (`app/workers/`).
_UNSEEN_SECONDS: Final = 5.0
_CHECK_SECONDS: Final = 1.0


class _RunningClaim:
    """A claim, since when it holds a slot, and the task that works on it."""

    def __init__(self, claim: Claim, since: float) -> None:
        self.claim = claim
        self.since = since
        self.spent = ResourceUsage()
        self.task: asyncio.Task[None] | None = None
        self.recording = False
        self.run_ms = 0.0

    def stop(self) -> None:
        """Give it up, unless its outcome is being recorded: then the fence decides."""
        if self.task is not None and not self.recording:
            self.task.cancel()


class Dispatcher:
    """Keep a worker's slots full with claimed executions.

    PostgreSQL decides what runs; `wake` only says when to look. Nothing here is needed by
    another worker: when this one dies, its leases expire and its work is taken over.
    """

    def __init__(
        self, resources: Resources, *, slots: int, watchdog: Watchdog | None = None
    ) -> None:
        """Take what executions need, how many run at once, and who ends a worker that hangs."""
        self.id: UUID = uuid.uuid7()
        self._resources = resources
        self._slots = slots
        self._watchdog = watchdog or Watchdog(0)
        self._lease_seconds = resources.settings.lease_seconds
        # By token: an execution may be claimed again while its lost claim is given up.
        self._running: dict[int, _RunningClaim] = {}
        self._served: list[SlotUsage] = []
        # Claims that could not be handed back, as PostgreSQL was away.
        self._owed: list[_RunningClaim] = []
        self._health = HostHealth(resources, tenant=str(self.id))
        # A worker that comes up after an outage lets the others renew their leases first.
        self._sweep_from = asyncio.get_running_loop().time() + self._lease_seconds / 2
        self._wake = asyncio.Event()
        # Slots that the last claim has left free.
        self._room = asyncio.Event()
        self._knocked = False
        self._stopping = False

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    def pass_on_or_wake(self) -> None:
        """Look now, for a knock that nobody else has heard; pass it on when that fills us."""
        self._knocked = True
        self._wake.set()

    async def has_room(self, *, within_seconds: float) -> bool:
        """Wait for slots with nothing to do: a knock is of use then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._room.wait()
        return self._room.is_set()

    def stop(self) -> None:
        """Claim no more; `run_until_stopped` ends when what runs has ended or its grace has."""
        self._stopping = True
        self._room.clear()
        self._wake.set()

    async def run_until_stopped(self) -> None:
        """Claim, renew and sweep until `stop`. An error that nobody foresaw ends it all."""
        try:
            async with asyncio.TaskGroup() as tasks:
                renewal_seconds = min(self._lease_seconds / 4, _UNSEEN_SECONDS)
                duties = [
                    tasks.create_task(self._repeat("renew", self._see, renewal_seconds)),
                    tasks.create_task(self._repeat("sweep", self._sweep, _SWEEP_SECONDS)),
                    tasks.create_task(self._repeat("check", self._health.check, _CHECK_SECONDS)),
                    tasks.create_task(self._hear_cancellations()),
                ]
                while not self._stopping:
                    self._watchdog.beat("claim")
                    await self._survive(lambda: self._claim(tasks))
                    await self._sleep()
                self._watchdog.dismiss("claim")
                await self._drain()
                await self._survive(self._account)
                await self._survive(self._return_owed)
                for duty in duties:
                    duty.cancel()
                self._watchdog.close()
        finally:
            with suppress(DatabaseUnavailable):
                async with self._resources.pool.acquire(timeout=1) as conn:
                    await workers.forget_worker(conn, self.id)

    async def _claim(self, tasks: asyncio.TaskGroup) -> None:
        knocked, self._knocked = self._knocked, False
        began = self._now()
        # What waits for memory, or for the slot of what overtook it, has none yet.
        slots = self._slots + self._resources.sandbox.waiting
        free = max(0, slots - len(self._running)) if self._health.may_claim() else 0
        found = await self._take(free) if free else None
        claimed = found.executions if found is not None else []
        if len(claimed) < free:
            self._room.set()
            if found is not None and found.passed_over:
                # What was passed over for those that are claimed now may find its own place.
                self._wake.set()
        else:
            self._room.clear()
            if knocked:
                # There may be more, and another worker that waits for it.
                self._resources.work_signal.notify()
        self._resources.publisher.changed(*(claim.id for claim in claimed))
        for claim in claimed:
            held = self._running[claim.lease_token] = _RunningClaim(claim, began)
            held.task = tasks.create_task(self._execute(held))

    async def _take(self, most: int) -> claims.Claimed:
        """Claim, and say what slots were held for since the last time."""
        served, self._served = self._served, []
        try:
            async with self._resources.pool.acquire() as conn:
                return await claims.claim(
                    conn,
                    self.id,
                    limit=most,
                    lease_seconds=self._lease_seconds,
                    room=self._resources.sandbox.room,
                    default_max_running=self._resources.settings.default_max_running or None,
                    served=served,
                )
        except BaseException:
            self._served += served
            raise

    async def _account(self) -> None:
        """Say what slots were held for when there is nothing more to claim."""
        if self._served:
            await self._take(0)

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._wake.wait()
        self._wake.clear()

    async def _execute(self, held: _RunningClaim) -> None:
        claim = held.claim
        try:
            finish = await run(self._resources, claim, held.spent)
            held.recording = True
            await record(self._resources, claim, finish)
        except asyncio.CancelledError:
            # The worker stops, the lease is lost, or a client has cancelled.
            await self._hand_back(held)
        except HOST_TROUBLE as error:
            # This host's trouble, not this execution's: it counts for nothing.
            log.debug("execution.handed_back", id=str(claim.id), reason=str(error))
            self._health.failed(error)
            self._room.clear()
            await self._hand_back(held)
        except Exception:
            # It may be this execution's, such as a payload that is gone. The lease runs out
            # and the sweep decides: another attempt, or the end when they are used up.
            log.exception("execution.platform_failure", id=str(claim.id))
            self._health.pause()
            self._room.clear()
        else:
            self._health.worked()
        finally:
            del self._running[claim.lease_token]
            seconds = self._now() - held.since
            self._served.append(SlotUsage(tenant=claim.tenant_id, seconds=seconds))
            self._wake.set()

    async def _hand_back(self, held: _RunningClaim) -> None:
        held.run_ms = (self._now() - held.since) * 1_000
        try:
            await self._return(held)
        except DatabaseUnavailable:
            # An attempt would be counted, should the lease run out.
            self._owed.append(held)

    async def _return_owed(self) -> None:
        while self._owed:
            await self._return(self._owed[-1])
            self._owed.pop()

    async def _return(self, held: _RunningClaim) -> None:
        async with self._resources.pool.acquire() as conn:
            if not await claims.release(conn, held.claim):
                await claims.report_usage(
                    conn,
                    held.claim,
                    run_ms=held.run_ms,
                    # Nothing where no cell has told: it is not known, and not nothing.
                    cpu_ms=held.spent.cpu_ms or None,
                    peak_memory_bytes=held.spent.peak_memory_bytes or None,
                )
                return
        self._resources.publisher.changed(held.claim.id)
        # Another worker may have room for it.
        self._resources.work_signal.notify()

    async def _hear_cancellations(self) -> None:
        await cancellations.listen_forever(
            self._resources.settings, heard=self._cancelled, look=self._see
        )

    def _cancelled(self, execution: UUID) -> None:
        for held in list(self._running.values()):
            if held.claim.id == execution:
                log.info("execution.cancelled", id=str(execution))
                held.stop()

    async def _see(self) -> None:
        """Renew the leases, give up what is ours no longer, and show that we live."""
        await self._return_owed()
        sandbox = self._resources.sandbox
        running = list(self._running.values())
        async with self._resources.pool.acquire() as conn:
            kept = await claims.renew(
                conn, [held.claim for held in running], lease_seconds=self._lease_seconds
            )
            await workers.see_worker(
                conn,
                self.id,
                host=socket.gethostname(),
                pid=os.getpid(),
                slots=self._slots,
                v8_version=sandbox.v8_version,
                lockdown=sandbox.lockdown,
                max_memory_bytes=sandbox.max_limit_bytes,
                trouble=self._health.trouble or None,
            )
        for held in running:
            claim = held.claim
            if claim.lease_token in kept or claim.lease_token not in self._running:
                continue
            # What is being recorded has left `running` by our own doing.
            if not held.recording:
                log.warning("execution.lease_lost", id=str(claim.id))
                held.stop()

    async def _sweep(self) -> None:
        if self._now() < self._sweep_from:
            return
        settings = self._resources.settings
        error = error_document(
            ErrorKind.WORKER_LOST,
            f"none of {settings.max_attempts} attempts came to an end",
        )
        async with self._resources.pool.acquire() as conn:
            swept = await claims.rescue_expired(
                conn, max_attempts=settings.max_attempts, error=error
            )
            final = [each.id for each in swept if Status(each.status).final]
            lost = await completion.select_ended(conn, final) if final else []
        for ended in lost:
            completion.report_completion(self._resources.tracing, ended)
        for each in swept:
            LEASES_EXPIRED.labels(each.status).inc()
            log.warning(
                "execution.lease_expired",
                id=str(each.id),
                status=each.status,
                attempts=each.attempts,
            )
        self._served += [
            SlotUsage(tenant=each.tenant_id, seconds=each.held_seconds) for each in swept
        ]
        self._resources.publisher.ended(*final)
        self._resources.publisher.changed(*(each.id for each in swept if each.id not in final))
        if swept:
            self._wake.set()
            # Another worker may have room where this one has none.
            self._resources.work_signal.notify()

    async def _drain(self) -> None:
        """Let run what runs for its grace; hand back the rest."""
        tasks = [held.task for held in self._running.values() if held.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._resources.settings.grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _repeat(self, name: str, duty: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            self._watchdog.beat(name)
            await self._survive(duty)
            await asyncio.sleep(seconds)

    async def _survive(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Do a duty; when PostgreSQL is away, leave it to the next time."""
        try:
            await duty()
        except DatabaseUnavailable:
            # Nobody could renew meanwhile: what looks expired may be alive.
            self._sweep_from = self._now() + self._lease_seconds
            await asyncio.sleep(_LOOK_SECONDS)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
