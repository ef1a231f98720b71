"""Cells kept ready: some that no tenant has used yet, and those between two jobs of one."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from msgspec import Struct

from app.sandbox.cell_process import Cell
from app.sandbox.frames import Ready, receive_again, receive_ready
from app.sandbox.protocol import ProtocolError
from app.sandbox.zygote_client import SandboxUnavailable, ZygoteClient, is_running

_SPAWN_ATTEMPTS: Final = 3
# What a used isolate may leave in its cell: its allocator's pages, not the script's data.
_MAX_GROWTH_BYTES: Final = 64 * 1024 * 1024
# A process has 3,600 s (lockdown.py); what is left is for the longest job and its grace.
_MAX_CPU_NS: Final = 3_000 * 10**9


class PoolConfig(Struct, frozen=True, kw_only=True):
    """How a pool is made up.

    `cells` run at once, their memory limits together below `memory_bytes` (None: any), `warm`
    more are kept ready, `max_waiting` runs may wait (None: any number). A cell has `isolates`,
    each for one job; 1 is one job for each process. It dies after `idle_seconds` between two
    jobs, and a zygote is renewed after `forks` of them, since all its children share one layout
    of addresses.
    """

    cells: int
    warm: int
    max_waiting: int | None = None
    memory_bytes: int | None = None
    isolates: int = 24
    idle_seconds: float = 30.0
    forks: int = 1_000


class PooledCell:
    """A cell with isolates left, and the one tenant that it serves, once it has one."""

    def __init__(self, zygote: ZygoteClient, cell: Cell, ready: Ready) -> None:
        """Take a cell that has said READY."""
        self.cell = cell
        self.ready = ready
        self.tenant: str | None = None
        self.isolates = ready.isolates
        self.expiry: asyncio.TimerHandle | None = None
        self._spawner = zygote
        self._fresh_bytes = cell.meter.look()

    @property
    def usable(self) -> bool:
        """Whether it lives, as the kernel says now, and has said nothing out of turn."""
        # News of a death may still be on its way to us.
        return (
            self._spawner.alive
            and not self.cell.exited.done()
            and is_running(self.cell.pidfd)
            # It would take a job and leave it lying until the pool's patience ends.
            and not self.cell.meter.is_stopped
            and self.cell.is_silent()
        )

    @property
    def exhausted(self) -> bool:
        """Whether used isolates have left more than they should, or little CPU time."""
        return (
            self.cell.meter.look() > self._fresh_bytes + _MAX_GROWTH_BYTES
            or self.cell.meter.total_cpu_ns > _MAX_CPU_NS
        )


class CellPool:
    """The cells of one pool, and the zygote that they come from."""

    def __init__(self, config: PoolConfig) -> None:
        """Take the configuration; `start` does the rest."""
        self._config = config
        self._spawner: ZygoteClient | None = None
        # Renewed, and not yet without cells.
        self._retired: list[ZygoteClient] = []
        self._lockdown: dict[str, str] | None = None
        self._starting = asyncio.Lock()
        self._fresh: deque[PooledCell] = deque()
        self._resting: deque[PooledCell] = deque()
        self._spawning: set[asyncio.Task[None]] = set()
        self._wanting = 0
        self._recoveries: dict[asyncio.Task[bool], PooledCell] = {}
        self._closed = False

    async def start(self) -> Ready:
        """Start the zygote and a first cell, which tells what is in force; fill up."""
        first = await self._spawn()
        self._lockdown = first.ready.lockdown
        self._fresh.append(first)
        self._refill()
        return first.ready

    def cell_counts(self) -> dict[str, int]:
        """Count the cells that wait for a job, by what they are at."""
        return {
            "fresh": len(self._fresh),
            "resting": len(self._resting),
            "recovering": len(self._recoveries),
            "being_born": len(self._spawning),
        }

    async def take(self, tenant: str, *, fresh: bool = False) -> PooledCell:
        """Take a cell that lives now for one job of a tenant; `fresh`: that nobody has used.

        Raises SandboxUnavailable. The caller gives it to `put_back` or closes its cell.
        """
        pooled = None if fresh else await self._find_own(tenant)
        if pooled is None:
            pooled = await self._take_fresh()
        try:
            self._refill()
        except SandboxUnavailable:
            pooled.cell.close()
            raise
        pooled.tenant = tenant
        pooled.isolates -= 1
        return pooled

    def put_back(self, pooled: PooledCell) -> "asyncio.Task[bool] | None":
        """Keep a cell for its tenant's next job, if it can do one; else close it.

        Gives the task in which the cell puts its used isolate away.
        """
        if not pooled.isolates or self._closed:
            pooled.cell.close()
            return None
        recovery = asyncio.create_task(receive_again(pooled.cell))
        self._recoveries[recovery] = pooled
        recovery.add_done_callback(self._recovered)
        return recovery

    async def close(self) -> None:
        """Kill every zygote and every cell."""
        self._closed = True
        tasks = [*self._recoveries, *self._spawning]
        try:
            for task in tasks:
                task.cancel()
            if tasks:
                # `wait` raises for a cancellation of its caller only.
                await asyncio.wait(tasks)
        finally:
            for pooled in (*self._fresh, *self._resting):
                _drop(pooled)
            for zygote in (*self._retired, *filter(None, [self._spawner])):
                zygote.close()

    async def _find_own(self, tenant: str) -> PooledCell | None:
        """Find a cell of this tenant; one that is a moment from its next job is waited for."""
        while True:
            pooled = self._find_resting(tenant)
            own = [task for task, each in self._recoveries.items() if each.tenant == tenant]
            if pooled is not None or not own:
                return pooled
            await asyncio.wait(own, return_when=asyncio.FIRST_COMPLETED)

    def _find_resting(self, tenant: str) -> PooledCell | None:
        """Find the cell of this tenant that was used last: the others may go idle."""
        for pooled in reversed([each for each in self._resting if each.tenant == tenant]):
            self._resting.remove(pooled)
            if pooled.expiry is not None:
                pooled.expiry.cancel()
            if pooled.usable:
                return pooled
            pooled.cell.close()
        return None

    async def _take_fresh(self) -> PooledCell:
        """Take the oldest cell that nobody has used, or wait for the next one to be born."""
        self._wanting += 1
        failure: BaseException | None = None
        try:
            while True:
                while self._fresh:
                    pooled = self._fresh.popleft()
                    if pooled.usable:
                        return pooled
                    pooled.cell.close()
                if failure is None:
                    self._refill()
                elif not self._spawning:
                    raise failure
                born, _ = await asyncio.wait(self._spawning, return_when=asyncio.FIRST_COMPLETED)
                # A spawn is cancelled when the pool closes; `_refill` explains.
                ends = (task.exception() for task in born if not task.cancelled())
                failure = next(filter(None, ends), None)
        finally:
            self._wanting -= 1

    def _refill(self) -> None:
        """Spawn the cells that are missing, no more at once than run."""
        if self._closed:
            raise SandboxUnavailable("the pool is closed")
        missing = self._wanting + self._config.warm - len(self._fresh)
        for _ in range(min(missing, self._config.cells) - len(self._spawning)):
            spawn = asyncio.create_task(self._spawn_one())
            self._spawning.add(spawn)
            spawn.add_done_callback(self._spawned)

    async def _spawn_one(self) -> None:
        self._fresh.append(await self._spawn())

    def _spawned(self, spawn: "asyncio.Task[None]") -> None:
        self._spawning.discard(spawn)
        # What goes wrong here, the next run meets and names: no attempt follows by itself.
        if not self._closed and not spawn.cancelled() and spawn.exception() is None:
            self._refill()

    def _recovered(self, recovery: "asyncio.Task[bool]") -> None:
        pooled = self._recoveries.pop(recovery)
        if recovery.cancelled() or not recovery.result() or pooled.exhausted:
            pooled.cell.close()
            return
        loop = asyncio.get_running_loop()
        pooled.expiry = loop.call_later(self._config.idle_seconds, self._expire, pooled)
        self._resting.append(pooled)
        while len(self._resting) > self._config.cells:
            _drop(self._resting.popleft())

    def _expire(self, pooled: PooledCell) -> None:
        with suppress(ValueError):
            self._resting.remove(pooled)
        pooled.cell.close()

    async def _spawn(self) -> PooledCell:
        """Make a cell and wait until it is locked down; once more if its zygote dies."""
        reason = ""
        silent = 0
        for _ in range(_SPAWN_ATTEMPTS):
            zygote = await self._live_zygote()
            try:
                cell = await zygote.spawn()
            except OSError as error:
                reason = f"the zygote does not fork: {error!r}"
                silent += isinstance(error, TimeoutError)
                # A zygote that lives has cells that run: a failed fork is not their affair.
                if isinstance(error, ConnectionError) or silent == _SPAWN_ATTEMPTS:
                    zygote.close()
                continue
            try:
                ready = await receive_ready(cell)
                if self._lockdown in (None, ready.lockdown):
                    return PooledCell(zygote, cell, ready)
                # What the first cell showed is what operators were told and start on.
                reason = f"a cell is locked down otherwise than the first: {ready.lockdown}"
                cell.close()
            except (EOFError, TimeoutError, ProtocolError) as error:
                words = cell.stderr_tail().decode(errors="replace")
                reason = f"a cell did not get ready: {words or error!r}"
                cell.close()
            except BaseException:
                cell.close()
                raise
        raise SandboxUnavailable(reason)

    async def _live_zygote(self) -> ZygoteClient:
        async with self._starting:
            if self._closed:
                message = "the pool is closed"
                raise SandboxUnavailable(message)
            current = self._spawner
            if current is None or not current.alive or current.forks >= self._config.forks:
                self._spawner = await ZygoteClient.start(isolates=self._config.isolates)
                if current is not None:
                    current.retire()
                    self._retired = [each for each in [*self._retired, current] if not each.closed]
                current = self._spawner
            return current


def _drop(pooled: PooledCell) -> None:
    if pooled.expiry is not None:
        pooled.expiry.cancel()
    pooled.cell.close()
