"""Claim parts of runs for the slots of an engine, beside those of the worker itself.

Executions proper never run on an engine, and its parts take none of the worker's own slots, so
neither waits for the other. The order is that of claims: tenants take turns by worker-seconds.
"""

import asyncio
from typing import Final, Protocol

from app.errors import CrivoError
from app.executions.dispatch.claimer import Claimer
from app.executions.dispatch.running_claims import ResourceUsage, RunningClaims
from app.executions.model import Claim, Finish
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


class EngineSlots:
    """The slots of a worker's engine, which hold parts of runs only."""

    def __init__(self, claimer: Claimer, *, parts: Parts | None, running: RunningClaims) -> None:
        """Count what runs elsewhere in `running`; without `parts` there are no slots."""
        self._claimer = claimer
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
        claimed = await self._claimer.claim_parts(
            free, max_memory_bytes=self._parts.max_memory_bytes
        )
        if len(claimed) < free:
            self._claim_at = now + _IDLE_SECONDS
        return claimed

    def freed(self) -> None:
        """Claim at the next occasion: a part has ended, so its run may have queued others."""
        self._claim_at = 0.0
