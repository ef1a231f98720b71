"""Open pools in each isolation mode, and record in which cell each run is."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any, Final

import pytest
from msgspec import Struct

from app.sandbox import zygote_client
from app.sandbox.cell_pool import PoolConfig, PooledCell
from app.sandbox.outcomes import Job
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import Isolation
from tests.support.sandbox_runs import Ran, run_job

# Contexts of an isolate that is used again even if a script has made the next ones slow.
KEPT: Final = "context, always kept"
_CONTEXTS: Final[dict[str, Any]] = {"isolation": Isolation.CONTEXT, "contexts": 8}
# Modes in which one cell runs several executions, with the pool's settings.
MODES: Final[dict[str, dict[str, Any]]] = {
    "isolate": {"isolation": Isolation.ISOLATE, "isolates": 8},
    "context": _CONTEXTS,
    KEPT: _CONTEXTS,
}
_NEVER_SLOW: Final = """
from app.sandbox.native import context_check, shared_isolate
check = context_check.run
def run(library):
    state = check(library)
    shared_isolate._INVALIDATED = frozenset()
    return state
context_check.run = run
from app.sandbox.zygote"""


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
        self.retires = mode == "context"
        self._isolation = "isolate" if mode == "isolate" else "context"
        self.pool = pool
        self.fresh: Observed | None = None
        self._pids = pids
        self._tenants = count()

    def new_tenant(self) -> str:
        """Return a tenant that has no cell yet."""
        return f"tenant {next(self._tenants)}"

    async def run(self, job: Job, payload: bytes = b"null") -> Observed:
        """Run a job in the tenant's cell, or in a fresh one if that has ended."""
        ran = await run_job(self.pool, job, payload)
        # What replaces a mode that does not work here is no evidence for it.
        assert ran.report.isolation == self._isolation
        return Observed(ran, self._pids[-1])


@asynccontextmanager
async def open_observed(mode: str, **choices: Any) -> AsyncIterator[ObservedPool]:  # noqa: ANN401 - as PoolConfig has them
    """Open a pool in a mode."""
    config = PoolConfig(**{"cells": 1, "warm": 1, "forks": 100_000, **MODES[mode], **choices})
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            if mode == KEPT:
                boot = zygote_client._BOOT.replace("; from app.sandbox.zygote", _NEVER_SLOW)
                assert boot != zygote_client._BOOT
                patch.setattr(zygote_client, "_BOOT", boot)
            pool = await stack.enter_async_context(open_pool(config))
        pids: list[int] = []
        take = pool._cells.take

        async def recorded(tenant: str, *, fresh: bool = False) -> PooledCell:
            pooled = await take(tenant, fresh=fresh)
            pids.append(pooled.cell.pid)
            return pooled

        # The real method with a note of the pid; the pool does not report which cell it uses.
        pool._cells.take = recorded  # type: ignore[method-assign]
        yield ObservedPool(mode, pool, pids)


class ObservedPools:
    """One pool for each mode that a test asks for; tests run in any order."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._pools: dict[str, ObservedPool] = {}

    async def find(self, mode: str) -> ObservedPool:
        """Return the pool of a mode, which is opened at the first call."""
        if mode not in self._pools:
            self._pools[mode] = await self._stack.enter_async_context(open_observed(mode))
        return self._pools[mode]


@asynccontextmanager
async def open_pools() -> AsyncIterator[ObservedPools]:
    """Close all pools at the end."""
    async with AsyncExitStack() as stack:
        yield ObservedPools(stack)
