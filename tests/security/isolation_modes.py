"""Open pools in each isolation mode, and record in which cell each run is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from msgspec import Struct

from app.sandbox.cell_pool import PoolConfig, PooledCell
from app.sandbox.outcomes import Job
from app.sandbox.pool import SandboxPool, open_pool
from tests.support.sandbox_runs import Ran, run_job

# Modes in which one cell runs several executions, with the pool's settings.
MODES: Final[dict[str, dict[str, Any]]] = {"isolate": {"isolates": 8}}
SHARES_AN_ISOLATE: Final = {"context"}


class Observed(Struct, frozen=True):
    """A run, and the process in which it was."""

    ran: Ran
    pid: int

    @property
    def seen(self) -> tuple[object, ...]:
        """Everything that the tenant sees, except what it used."""
        report = self.ran.report
        return (report.outcome, self.ran.output, report.logs, report.lines_dropped, report.losses)


class ObservedPool:
    """A pool with one slot, whose tenants therefore have one cell each."""

    def __init__(self, mode: str, pool: SandboxPool, pids: list[int]) -> None:
        self.mode = mode
        self.pool = pool
        self._pids = pids

    async def run(self, job: Job, payload: bytes = b"null") -> Observed:
        """Run a job in the tenant's cell, or in a fresh one if that has ended."""
        ran = await run_job(self.pool, job, payload)
        return Observed(ran, self._pids[-1])


@asynccontextmanager
async def open_observed(mode: str, **choices: Any) -> AsyncIterator[ObservedPool]:  # noqa: ANN401 - as PoolConfig has them
    """Open a pool in a mode."""
    config = PoolConfig(**{"cells": 1, "warm": 1, **MODES[mode], **choices})
    async with open_pool(config) as pool:
        pids: list[int] = []
        take = pool._cells.take

        async def recorded(tenant: str, *, fresh: bool = False) -> PooledCell:
            pooled = await take(tenant, fresh=fresh)
            pids.append(pooled.cell.pid)
            return pooled

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pool._cells, "take", recorded)
            yield ObservedPool(mode, pool, pids)
