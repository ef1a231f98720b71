"""Cells kept ready: some that no tenant has used yet, and those between two jobs of one."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from msgspec import Struct

from app.sandbox.frames import Ready, receive_again, receive_ready
from app.sandbox.handle import Cell
from app.sandbox.protocol import ProtocolError
from app.sandbox.spawner import SandboxUnavailable, Spawner, is_running

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


class Stocked:
    """A cell with isolates left, and the one tenant that it serves, once it has one."""

    def __init__(self, spawner: Spawner, cell: Cell, ready: Ready) -> None:
        """Take a cell that has said READY."""
        self.cell = cell
        self.ready = ready
        self.tenant: str | None = None
        self.isolates = ready.isolates
        self.expiry: asyncio.TimerHandle | None = None
        self._spawner = spawner
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
    def worn(self) -> bool:
        """Whether used isolates have left more than they should, or little CPU time."""
        return (
            self.cell.meter.look() > self._fresh_bytes + _MAX_GROWTH_BYTES
            or self.cell.meter.total_cpu_ns > _MAX_CPU_NS
        )


class Stock:
    """The cells of one pool, and the zygote that they come from."""

    def __init__(self, config: PoolConfig) -> None:
        """Take the configuration; `start` does the rest."""
        self._config = config
        self._spawner: Spawner | None = None
        # Renewed, and not yet without cells.
        self._retired: list[Spawner] = []
        self._lockdown: dict[str, str] | None = None
        self._starting = asyncio.Lock()
        self._fresh: deque[Stocked] = deque()
        self._resting: deque[Stocked] = deque()
        self._births: set[asyncio.Task[None]] = set()
        self._wanting = 0
        self._recoveries: dict[asyncio.Task[bool], Stocked] = {}
        self._closed = False

    async def start(self) -> Ready:
        """Start the zygote and a first cell, which tells what is in force; fill up."""
        first = await self._spawn()
        self._lockdown = first.ready.lockdown
        self._fresh.append(first)
        self._breed()
        return first.ready

    def census(self) -> dict[str, int]:
        """Count the cells that wait for a job, by what they are at."""
        return {
            "fresh": len(self._fresh),
            "resting": len(self._resting),
            "recovering": len(self._recoveries),
            "being_born": len(self._births),
        }

    async def take(self, tenant: str, *, fresh: bool = False) -> Stocked:
        """Take a cell that lives now for one job of a tenant; `fresh`: that nobody has used.

        Raises SandboxUnavailable. The caller gives it to `put_back` or closes its cell.
        """
        stocked = None if fresh else await self._find_own(tenant)
        if stocked is None:
            stocked = await self._take_fresh()
        try:
            self._breed()
        except SandboxUnavailable:
            stocked.cell.close()
            raise
        stocked.tenant = tenant
        stocked.isolates -= 1
        return stocked

    def put_back(self, stocked: Stocked) -> "asyncio.Task[bool] | None":
        """Keep a cell for its tenant's next job, if it can do one; else close it.

        Gives the task in which the cell puts its used isolate away.
        """
        if not stocked.isolates or self._closed:
            stocked.cell.close()
            return None
        recovery = asyncio.create_task(receive_again(stocked.cell))
        self._recoveries[recovery] = stocked
        recovery.add_done_callback(self._recovered)
        return recovery

    async def close(self) -> None:
        """Kill every zygote and every cell."""
        self._closed = True
        tasks = [*self._recoveries, *self._births]
        try:
            for task in tasks:
                task.cancel()
            if tasks:
                # `wait` raises for a cancellation of its caller only.
                await asyncio.wait(tasks)
        finally:
            for stocked in (*self._fresh, *self._resting):
                _drop(stocked)
            for spawner in (*self._retired, *filter(None, [self._spawner])):
                spawner.close()

    async def _find_own(self, tenant: str) -> Stocked | None:
        """Find a cell of this tenant; one that is a moment from its next job is waited for."""
        while True:
            stocked = self._find_resting(tenant)
            own = [task for task, each in self._recoveries.items() if each.tenant == tenant]
            if stocked is not None or not own:
                return stocked
            await asyncio.wait(own, return_when=asyncio.FIRST_COMPLETED)

    def _find_resting(self, tenant: str) -> Stocked | None:
        """Find the cell of this tenant that was used last: the others may go idle."""
        for stocked in reversed([each for each in self._resting if each.tenant == tenant]):
            self._resting.remove(stocked)
            if stocked.expiry is not None:
                stocked.expiry.cancel()
            if stocked.usable:
                return stocked
            stocked.cell.close()
        return None

    async def _take_fresh(self) -> Stocked:
        """Take the oldest cell that nobody has used, or wait for the next one to be born."""
        self._wanting += 1
        failure: BaseException | None = None
        try:
            while True:
                while self._fresh:
                    stocked = self._fresh.popleft()
                    if stocked.usable:
                        return stocked
                    stocked.cell.close()
                if failure is None:
                    self._breed()
                elif not self._births:
                    raise failure
                born, _ = await asyncio.wait(self._births, return_when=asyncio.FIRST_COMPLETED)
                # A birth is cancelled when the pool closes, of which `_breed` tells.
                ends = (task.exception() for task in born if not task.cancelled())
                failure = next(filter(None, ends), None)
        finally:
            self._wanting -= 1

    def _breed(self) -> None:
        """Start the births that are missing, no more at once than runs."""
        if self._closed:
            raise SandboxUnavailable("the pool is closed")
        missing = self._wanting + self._config.warm - len(self._fresh)
        for _ in range(min(missing, self._config.cells) - len(self._births)):
            birth = asyncio.create_task(self._bear())
            self._births.add(birth)
            birth.add_done_callback(self._born)

    async def _bear(self) -> None:
        self._fresh.append(await self._spawn())

    def _born(self, birth: "asyncio.Task[None]") -> None:
        self._births.discard(birth)
        # What goes wrong here, the next run meets and names: no attempt follows by itself.
        if not self._closed and not birth.cancelled() and birth.exception() is None:
            self._breed()

    def _recovered(self, recovery: "asyncio.Task[bool]") -> None:
        stocked = self._recoveries.pop(recovery)
        if recovery.cancelled() or not recovery.result() or stocked.worn:
            stocked.cell.close()
            return
        loop = asyncio.get_running_loop()
        stocked.expiry = loop.call_later(self._config.idle_seconds, self._expire, stocked)
        self._resting.append(stocked)
        while len(self._resting) > self._config.cells:
            _drop(self._resting.popleft())

    def _expire(self, stocked: Stocked) -> None:
        with suppress(ValueError):
            self._resting.remove(stocked)
        stocked.cell.close()

    async def _spawn(self) -> Stocked:
        """Make a cell and wait until it is locked down; once more if its zygote dies."""
        reason = ""
        silent = 0
        for _ in range(_SPAWN_ATTEMPTS):
            spawner = await self._live_spawner()
            try:
                cell = await spawner.spawn()
            except OSError as error:
                reason = f"the zygote does not fork: {error!r}"
                silent += isinstance(error, TimeoutError)
                # A zygote that lives has cells that run: a failed fork is not their affair.
                if isinstance(error, ConnectionError) or silent == _SPAWN_ATTEMPTS:
                    spawner.close()
                continue
            try:
                ready = await receive_ready(cell)
                if self._lockdown in (None, ready.lockdown):
                    return Stocked(spawner, cell, ready)
                # What the first cell showed is what operators were told and start on.
                reason = f"a cell is locked down otherwise than the first: {ready.lockdown}"
                cell.close()
            except (EOFError, TimeoutError, ProtocolError) as error:
                words = cell.last_words().decode(errors="replace")
                reason = f"a cell did not get ready: {words or error!r}"
                cell.close()
            except BaseException:
                cell.close()
                raise
        raise SandboxUnavailable(reason)

    async def _live_spawner(self) -> Spawner:
        async with self._starting:
            if self._closed:
                message = "the pool is closed"
                raise SandboxUnavailable(message)
            current = self._spawner
            if current is None or not current.alive or current.forks >= self._config.forks:
                self._spawner = await Spawner.start(isolates=self._config.isolates)
                if current is not None:
                    current.retire()
                    self._retired = [each for each in [*self._retired, current] if not each.closed]
                current = self._spawner
            return current


def _drop(stocked: Stocked) -> None:
    if stocked.expiry is not None:
        stocked.expiry.cancel()
    stocked.cell.close()
