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

from app.db import UNAVAILABLE
from app.executions import claims
from app.executions.model import Claim, Status
from app.executions.runs import record, run
from app.failures import ErrorKind, error_document
from app.resources import Resources
from app.sandbox.pool import SandboxUnavailable
from app.workers import store as workers

log = structlog.get_logger(__name__)

# The doorbell may be silent (Redis gone, a ring lost): then this is how late work is seen.
_LOOK_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 1.0
# How long running executions may go on once the worker is told to stop.
_GRACE_SECONDS: Final = 3.0
_LONGEST_PAUSE_SECONDS: Final = 30.0


class Dispatcher:
    """Keep a worker's slots full with claimed executions.

    PostgreSQL decides what runs; `wake` only says when to look. Nothing here is needed by
    another worker: when this one dies, its leases expire and its work is taken over.
    """

    def __init__(self, resources: Resources, *, slots: int) -> None:
        """Take what executions need, and how many run at once."""
        self.id: UUID = uuid.uuid7()
        self._resources = resources
        self._slots = slots
        self._lease_seconds = resources.settings.lease_seconds
        self._running: dict[UUID, tuple[Claim, asyncio.Task[None]]] = {}
        self._recording: set[UUID] = set()
        self._faults = 0
        self._claim_from = 0.0
        # A worker that comes up after an outage lets the others renew their leases first.
        self._sweep_from = asyncio.get_running_loop().time() + self._lease_seconds / 2
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    def stop(self) -> None:
        """Claim no more; `run_until_stopped` ends when what runs has ended or its grace has."""
        self._stopping = True
        self._wake.set()

    async def run_until_stopped(self) -> None:
        """Claim, renew and sweep until `stop`. An error that nobody foresaw ends it all."""
        try:
            async with asyncio.TaskGroup() as tasks:
                duties = [
                    tasks.create_task(self._repeat(self._see, self._lease_seconds / 4)),
                    tasks.create_task(self._repeat(self._sweep, _SWEEP_SECONDS)),
                ]
                while not self._stopping:
                    await self._survive(lambda: self._claim(tasks))
                    await self._sleep()
                await self._drain()
                for duty in duties:
                    duty.cancel()
        finally:
            with suppress(*UNAVAILABLE):
                async with self._resources.pool.acquire(timeout=1) as conn:
                    await workers.forget_worker(conn, self.id)

    async def _claim(self, tasks: asyncio.TaskGroup) -> None:
        free = self._slots - len(self._running)
        if free == 0 or self._now() < self._claim_from:
            return
        async with self._resources.pool.acquire() as conn:
            claimed = await claims.claim(
                conn,
                self.id,
                most=free,
                lease_seconds=self._lease_seconds,
                default_max_running=self._resources.settings.default_max_running or None,
            )
        self._resources.announcer.changed(*(held.id for held in claimed))
        for held in claimed:
            self._running[held.id] = (held, tasks.create_task(self._execute(held)))

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._wake.wait()
        self._wake.clear()

    async def _execute(self, held: Claim) -> None:
        try:
            finish = await run(self._resources, held)
            # From here on the fence alone decides whose outcome counts.
            self._recording.add(held.id)
            await record(self._resources, held, finish)
        except asyncio.CancelledError:
            # The worker stops, or the lease is lost; then the fence makes this do nothing.
            await self._hand_back(held)
        except (SandboxUnavailable, *UNAVAILABLE) as error:
            # This host's trouble, not this execution's: it counts for nothing.
            log.warning("execution.platform_unavailable", id=str(held.id), reason=str(error))
            await self._hand_back(held)
            self._pause()
        except Exception:
            # It may be this execution's, such as a payload that is gone. The lease runs out
            # and the sweep decides: another attempt, or the end when they are used up.
            log.exception("execution.platform_failure", id=str(held.id))
            self._pause()
        else:
            self._faults = 0
        finally:
            self._running.pop(held.id, None)
            self._recording.discard(held.id)
            self._wake.set()

    def _pause(self) -> None:
        """Claim less often while the platform fails: one sick host must not burn a queue."""
        self._faults += 1
        # Bounded before it is raised: a fault of many hours must not overflow a float.
        pause_seconds = min(0.5 * 2 ** min(self._faults, 16), _LONGEST_PAUSE_SECONDS)
        self._claim_from = self._now() + pause_seconds

    async def _hand_back(self, held: Claim) -> None:
        with suppress(*UNAVAILABLE):
            async with self._resources.pool.acquire() as conn:
                await claims.hand_back(conn, held)
            self._resources.announcer.changed(held.id)

    async def _see(self) -> None:
        """Renew the leases, give up what is ours no longer, and show that we live."""
        sandbox = self._resources.sandbox
        held = [claim for claim, _ in self._running.values()]
        async with self._resources.pool.acquire() as conn:
            kept = await claims.renew(conn, held, lease_seconds=self._lease_seconds)
            await workers.see_worker(
                conn,
                self.id,
                host=socket.gethostname(),
                pid=os.getpid(),
                slots=self._slots,
                v8_version=sandbox.v8_version,
                lockdown=sandbox.lockdown,
            )
        # What is being recorded has left `running` by our own doing.
        lost = {claim.id for claim in held} - kept - self._recording
        for claim in held:
            if claim.id in lost and claim.id in self._running:
                log.warning("execution.lease_lost", id=str(claim.id))
                self._running[claim.id][1].cancel()

    async def _sweep(self) -> None:
        if self._now() < self._sweep_from:
            return
        settings = self._resources.settings
        error = error_document(
            ErrorKind.WORKER_LOST,
            f"none of {settings.max_attempts} attempts came to an end",
        )
        async with self._resources.pool.acquire() as conn:
            swept = await claims.sweep(conn, max_attempts=settings.max_attempts, error=error)
        for each in swept:
            log.warning(
                "execution.lease_expired",
                id=str(each.id),
                status=each.status,
                attempts=each.attempts,
            )
        final = [each.id for each in swept if Status(each.status).final]
        self._resources.announcer.ended(*final)
        self._resources.announcer.changed(*(each.id for each in swept if each.id not in final))
        if swept:
            self._wake.set()

    async def _drain(self) -> None:
        tasks = [task for _, task in self._running.values()]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _repeat(self, duty: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            await self._survive(duty)
            await asyncio.sleep(seconds)

    async def _survive(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Do a duty; when PostgreSQL is away, say so and leave it to the next time."""
        try:
            await duty()
        except UNAVAILABLE as error:
            log.warning("dispatcher.database_unavailable", reason=str(error))
            # Nobody could renew meanwhile: what looks expired may be alive.
            self._sweep_from = self._now() + self._lease_seconds
            await asyncio.sleep(_LOOK_SECONDS)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
