"""Claim parts of runs for the slots of an engine, beside those of the worker itself.

Executions proper never run on an engine, and its parts take none of the worker's own slots, so
neither waits for the other. The order is that of claims: tenants take turns by worker-seconds.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from app.db import Connection
from app.errors import CrivoError
from app.executions.dispatch.claims import claim_of
from app.executions.dispatch.running_claims import ResourceUsage, RunningClaims
from app.executions.model import Claim, Finish, SlotUsage
from app.resources import Resources
from app.sql_parameters import in_order
from app.workers.model import EngineState

# While no part is queued, parts are looked for so often: each look waits for other claims.
_IDLE_SECONDS: Final = 0.5


class PartLost(CrivoError):
    """An engine has lost a part, which goes back to the queue; `begun`: an attempt counts."""

    def __init__(self, reason: str, *, begun: bool) -> None:
        """Take the reason for the log."""
        super().__init__(reason)
        self.begun = begun


class Parts(Protocol):
    """What a worker does with claims that are parts of runs."""

    @property
    def capacity(self) -> int:
        """How many parts can run elsewhere at once, beside the worker's own slots."""

    @property
    def max_memory_bytes(self) -> int | None:
        """The highest memory limit of a part that can run elsewhere; None: any."""

    @property
    def engine(self) -> EngineState | None:
        """What runs parts elsewhere, for the worker's heartbeat; None: nothing does."""

    async def run(self, claim: Claim, usage: ResourceUsage) -> Finish:
        """Run a part here to its outcome, which is not recorded yet; raises what `run` raises."""

    async def run_elsewhere(self, claim: Claim, usage: ResourceUsage) -> Finish:
        """Run a part elsewhere to its outcome, which is not recorded yet. Raises PartLost."""

    async def ended(self, claim: Claim) -> None:
        """Go on with its run, as its outcome is recorded."""


# The function is in migrations/sql/claim_parts_v1.sql.
CLAIM_PARTS = """
SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms, c.memory_bytes,
       c.max_output_bytes, c.seed, c.clock_ms, c.created_at, c.source, c.sha256, c.size_bytes,
       c.body, c.blob_key, c.script, c.version, c.labels, c.params, c.request_id, c.run_id
FROM claim_parts_v1(
    worker => $1, most => $2, lease_seconds => $3, default_max_running => $4,
    served => $5, served_seconds => $6, max_memory_bytes => $7
) AS c
"""


async def claim_parts(
    conn: Connection,
    worker: UUID,
    *,
    limit: int,
    lease_seconds: float,
    default_max_running: int | None = None,
    served: Sequence[SlotUsage] = (),
    max_memory_bytes: int | None = None,
) -> list[Claim]:
    """Claim up to `limit` queued parts of runs, of those whose memory limit is low enough."""
    values = in_order(
        CLAIM_PARTS,
        worker=worker,
        most=limit,
        lease_seconds=lease_seconds,
        default_max_running=default_max_running,
        served=[each.tenant for each in served],
        served_seconds=[each.seconds for each in served],
        max_memory_bytes=max_memory_bytes,
    )
    return [claim_of(row) for row in await conn.fetch(CLAIM_PARTS, *values)]


class EngineSlots:
    """The slots of a worker's engine, which hold parts of runs only."""

    def __init__(
        self, resources: Resources, worker: UUID, *, parts: Parts | None, running: RunningClaims
    ) -> None:
        """Count what runs elsewhere in `running`; without `parts` there are no slots."""
        self._resources = resources
        self._worker = worker
        self._parts = parts
        self._running = running
        self._claim_at = 0.0

    @property
    def state(self) -> EngineState | None:
        """Return what the heartbeat shows of the engine; None: there is none."""
        return None if self._parts is None else self._parts.engine

    async def claim(self) -> list[Claim]:
        """Claim parts for the free slots. Raises DatabaseUnavailable."""
        if self._parts is None:
            return []
        free = self._parts.capacity - self._running.elsewhere
        now = asyncio.get_running_loop().time()
        if free <= 0 or now < self._claim_at:
            return []
        claimed = await self._claim(free, self._parts.max_memory_bytes)
        if len(claimed) < free:
            self._claim_at = now + _IDLE_SECONDS
        return claimed

    def freed(self) -> None:
        """Claim at the next occasion: a part has ended, so its run may have queued others."""
        self._claim_at = 0.0

    async def _claim(self, limit: int, max_memory_bytes: int | None) -> list[Claim]:
        settings = self._resources.settings
        slot_usage = self._running.take_slot_usage()
        try:
            async with self._resources.pool.acquire() as conn:
                return await claim_parts(
                    conn,
                    self._worker,
                    limit=limit,
                    lease_seconds=settings.lease_seconds,
                    default_max_running=settings.default_max_running or None,
                    served=slot_usage,
                    max_memory_bytes=max_memory_bytes,
                )
        except BaseException:
            self._running.add_slot_usage(slot_usage)
            raise
