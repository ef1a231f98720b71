"""Renew a worker's leases, show that the worker is alive, and give up lost claims."""

import os
import socket
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog

from app.executions.dispatch import claims
from app.executions.dispatch.engine_slots import EngineSlots
from app.executions.dispatch.health import HostHealth
from app.executions.dispatch.releaser import Releaser
from app.executions.dispatch.running_claims import RunningClaim, RunningClaims
from app.resources import Resources
from app.workers import store as workers

log = structlog.get_logger(__name__)

# Long leases do not lengthen the interval: a worker that is not seen counts as gone
# (`WORKER_TIMEOUT_SECONDS` in app/limits.py).
MAX_INTERVAL_SECONDS: Final = 5.0


class Heartbeat:
    """The heartbeat of one worker."""

    def __init__(
        self,
        resources: Resources,
        worker_id: UUID,
        *,
        slots: int,
        running: RunningClaims,
        releaser: Releaser,
        health: HostHealth,
        engine_slots: EngineSlots,
    ) -> None:
        """Renew the leases of `running`; `health` and `engine_slots` say what its row shows."""
        self._resources = resources
        self._worker_id = worker_id
        self._slots = slots
        self._running = running
        self._releaser = releaser
        self._health = health
        self._engine_slots = engine_slots

    @property
    def interval_seconds(self) -> float:
        """Return the time between two beats: at least four within a lease."""
        return min(self._resources.settings.lease_seconds / 4, MAX_INTERVAL_SECONDS)

    async def beat(self) -> None:
        """Renew the leases once. Raises DatabaseUnavailable."""
        await self._releaser.retry()
        sandbox = self._resources.sandbox
        running = list(self._running)
        async with self._resources.pool.acquire() as conn:
            renewed = await claims.renew(
                conn,
                [each.claim for each in running],
                lease_seconds=self._resources.settings.lease_seconds,
                begun_ms_ago=[each.begun_ms_ago for each in running],
            )
            await workers.record_heartbeat(
                conn,
                self._worker_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                slots=self._slots,
                v8_version=sandbox.v8_version,
                lockdown=sandbox.lockdown,
                max_memory_bytes=sandbox.max_limit_bytes,
                trouble=self._health.trouble or None,
                engine=self._engine_slots.state,
            )
        self._give_up_lost(running, renewed)

    def _give_up_lost(self, running: Sequence[RunningClaim], renewed: set[int]) -> None:
        for each in running:
            if each.claim.lease_token in renewed or each not in self._running:
                continue
            # An execution whose outcome is being recorded is no longer `running` either.
            if not each.recording:
                log.warning("execution.lease_lost", id=str(each.claim.id))
                each.cancel()
