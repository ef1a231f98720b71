"""Keep cells ready: unused ones, and those between two jobs of one tenant."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from msgspec import Struct

from app.sandbox.cell_process import Cell
from app.sandbox.frames import Ready, poll_again, receive_again, receive_ready
from app.sandbox.protocol import DEFAULT_ISOLATION, Isolation, ProtocolError
from app.sandbox.zygote_client import SandboxUnavailable, ZygoteClient, is_running

_SPAWN_ATTEMPTS: Final = 3
# Earlier jobs leave pages of the allocator in a cell, and garbage of contexts.
_MAX_GROWTH_BYTES: Final = 64 * 1024 * 1024
# A process has 3,600 s (lockdown.py); the rest is for the longest job and its grace.
_MAX_CPU_NS: Final = 3_000 * 10**9


class PoolConfig(Struct, frozen=True, kw_only=True):
    """The composition of a pool.

    `cells` run at once, with memory limits that sum to at most `memory_bytes` (None: any),
    `warm` more are kept ready, and `max_waiting` runs may wait (None: any number). `isolation`:
    what each run has for itself. A cell has `contexts` of one isolate, or else `isolates`, each
    for one job; where contexts do not work, isolates replace them. It ends after `idle_seconds`
    between two jobs. A zygote is renewed after `forks` forks, since all its children share one
    address layout. `native` false: nothing of `app.sandbox.native` is used.
    """

    cells: int
    warm: int
    max_waiting: int | None = None
    memory_bytes: int | None = None
    isolation: Isolation = DEFAULT_ISOLATION
    contexts: int = 96
    isolates: int = 24
    native: bool = True
    idle_seconds: float = 30.0
    forks: int = 1_000

    @property
    def jobs(self) -> int:
        """The jobs of a cell, if its isolation works here."""
        if self.isolation == Isolation.PROCESS:
            return 1
        return self.contexts if self.isolation == Isolation.CONTEXT else self.isolates


class PooledCell:
    """A cell that can run more jobs, and its one tenant after its first job."""

    def __init__(self, zygote: ZygoteClient, cell: Cell, ready: Ready) -> None:
        """Take a cell that has sent READY."""
        self.zygote = zygote
        self.cell = cell
        self.ready = ready
        self.tenant: str | None = None
        self.jobs_left = ready.jobs
        self.expiry: asyncio.TimerHandle | None = None
        self._fresh_bytes = cell.meter.sample()

    @property
    def usable(self) -> bool:
        """Whether the kernel says that it runs, and it has sent nothing out of turn."""
        # The zygote's report of its exit may still be on its way.
        return (
            self.zygote.alive
            and not self.cell.exited.done()
            and is_running(self.cell.pidfd)
            # A stopped cell would accept a job and do nothing until a timeout.
            and not self.cell.meter.is_stopped
            and self.cell.is_silent()
        )

    @property
    def exhausted(self) -> bool:
        """Whether earlier jobs have left too much memory, or too little CPU time."""
        return (
            self.cell.meter.sample() > self._fresh_bytes + _MAX_GROWTH_BYTES
            or self.cell.meter.total_cpu_ns > _MAX_CPU_NS
        )


class CellPool:
    """The cells of one pool, and the zygote that forks them."""

    def __init__(self, config: PoolConfig) -> None:
        """Take the configuration; `start` does the rest."""
        self._config = config
        self._zygote: ZygoteClient | None = None
        # Replaced, but still with cells.
        self._retired: list[ZygoteClient] = []
        self._lockdown: dict[str, str] | None = None
        # Of the newest cell, and the native parts of its zygote.
        self.isolation = config.isolation
        self.native: dict[str, str] = {}
        self._starting = asyncio.Lock()
        self._fresh: deque[PooledCell] = deque()
        self._resting: deque[PooledCell] = deque()
        self._spawning: set[asyncio.Task[None]] = set()
        self._takers = 0
        self._recoveries: dict[asyncio.Task[bool], PooledCell] = {}
        self._closed = False

    async def start(self) -> PooledCell:
        """Start the zygote and a first cell, whose lockdown is that of all others; fill up."""
        first = await self._spawn()
        self._lockdown = first.ready.lockdown
        self._fresh.append(first)
        self._refill()
        return first

    def cell_counts(self) -> dict[str, int]:
        """Count the cells that wait for a job, by state."""
        return {
            "fresh": len(self._fresh),
            "resting": len(self._resting),
            "recovering": len(self._recoveries),
            "being_born": len(self._spawning),
        }

    async def take(self, tenant: str, *, fresh: bool = False) -> PooledCell:
        """Take a live cell for one job of a tenant; `fresh`: one that has done no job yet.

        Raises SandboxUnavailable. The caller passes it to `put_back` or closes its cell.
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
        pooled.jobs_left -= 1
        return pooled

    def put_back(self, pooled: PooledCell) -> "asyncio.Task[bool] | None":
        """Keep a cell for its tenant's next job if it can do one, else close it.

        Returns the task in which the cell discards what the job used, unless it has done so.
        """
        if not pooled.jobs_left or self._closed:
            pooled.cell.close()
            return None
        again = poll_again(pooled.cell)
        if again is not None:
            self._keep(pooled, recovered=again)
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
            for zygote in (*self._retired, *filter(None, [self._zygote])):
                zygote.close()

    async def _find_own(self, tenant: str) -> PooledCell | None:
        """Find a cell of this tenant; wait for one that is discarding its last job."""
        while True:
            pooled = self._find_resting(tenant)
            own = [task for task, each in self._recoveries.items() if each.tenant == tenant]
            if pooled is not None or not own:
                return pooled
            await asyncio.wait(own, return_when=asyncio.FIRST_COMPLETED)

    def _find_resting(self, tenant: str) -> PooledCell | None:
        """Find this tenant's most recently used cell, so that the others may expire."""
        for pooled in reversed([each for each in self._resting if each.tenant == tenant]):
            self._resting.remove(pooled)
            if pooled.expiry is not None:
                pooled.expiry.cancel()
            if pooled.usable:
                return pooled
            pooled.cell.close()
        return None

    async def _take_fresh(self) -> PooledCell:
        """Take the oldest unused cell, or wait for the next one."""
        self._takers += 1
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
                done, _ = await asyncio.wait(self._spawning, return_when=asyncio.FIRST_COMPLETED)
                # A spawn is cancelled when the pool closes; `_refill` then raises.
                errors = (task.exception() for task in done if not task.cancelled())
                failure = next(filter(None, errors), None)
        finally:
            self._takers -= 1

    def _refill(self) -> None:
        """Spawn the missing cells, at most `cells` at a time."""
        if self._closed:
            raise SandboxUnavailable("the pool is closed")
        missing = self._takers + self._config.warm - len(self._fresh)
        for _ in range(min(missing, self._config.cells) - len(self._spawning)):
            spawn = asyncio.create_task(self._spawn_one())
            self._spawning.add(spawn)
            spawn.add_done_callback(self._spawned)

    async def _spawn_one(self) -> None:
        self._fresh.append(await self._spawn())

    def _spawned(self, spawn: "asyncio.Task[None]") -> None:
        self._spawning.discard(spawn)
        # No retry here: the next run tries again and reports what fails.
        if not self._closed and not spawn.cancelled() and spawn.exception() is None:
            self._refill()

    def _recovered(self, recovery: "asyncio.Task[bool]") -> None:
        pooled = self._recoveries.pop(recovery)
        self._keep(pooled, recovered=not recovery.cancelled() and recovery.result())

    def _keep(self, pooled: PooledCell, *, recovered: bool) -> None:
        if not recovered or pooled.exhausted:
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
        """Fork a cell and wait until it is locked down; retry if its zygote dies."""
        reason = ""
        timeouts = 0
        for _ in range(_SPAWN_ATTEMPTS):
            zygote = await self._live_zygote()
            try:
                cell = await zygote.spawn()
            except OSError as error:
                reason = f"the zygote does not fork: {error!r}"
                timeouts += isinstance(error, TimeoutError)
                # A live zygote has running cells, which a failed fork must not end.
                if isinstance(error, ConnectionError) or timeouts == _SPAWN_ATTEMPTS:
                    zygote.close()
                continue
            try:
                ready = await receive_ready(cell)
                if self._lockdown in (None, ready.lockdown):
                    self.isolation, self.native = ready.isolation, zygote.native
                    return PooledCell(zygote, cell, ready)
                # The first cell's lockdown is in the log, and the process started on it.
                reason = f"a cell is locked down otherwise than the first: {ready.lockdown}"
                cell.close()
            except (EOFError, TimeoutError, ProtocolError) as error:
                stderr = cell.stderr_tail().decode(errors="replace")
                reason = f"a cell did not get ready: {stderr or error!r}"
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
            current = self._zygote
            if current is None or not current.alive or current.forks >= self._config.forks:
                self._zygote = await ZygoteClient.start(
                    isolation=self._config.isolation,
                    contexts=self._config.contexts,
                    isolates=self._config.isolates,
                    native=self._config.native,
                )
                if current is not None:
                    current.retire()
                    self._retired = [each for each in [*self._retired, current] if not each.closed]
                current = self._zygote
            return current


def _drop(pooled: PooledCell) -> None:
    if pooled.expiry is not None:
        pooled.expiry.cancel()
    pooled.cell.close()
