"""The sandbox pool: runs and checks scripts in cells, a few at once, some kept ready."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from app.sandbox.conversation import Ending, Ready, Sink, converse, receive_ready
from app.sandbox.handle import Cell
from app.sandbox.outcomes import (
    Finding,
    Job,
    Limits,
    OutOfMemory,
    Report,
    Threw,
    TimedOut,
    Usage,
)
from app.sandbox.protocol import MAX_BODY_BYTES, Kind, ProtocolError
from app.sandbox.spawner import SandboxUnavailable, Spawner, is_running
from app.sandbox.verdict import classify, to_finding

__all__ = ["PoolBusy", "PoolConfig", "SandboxPool", "SandboxUnavailable", "open_pool"]

_CHECK_MEMORY_BYTES: Final = 256 * 1024 * 1024
_CHECK_ATTEMPTS: Final = 2
_SPAWN_ATTEMPTS: Final = 3
_MAX_SOURCE_BYTES: Final = MAX_BODY_BYTES[Kind.SOURCE]


class PoolBusy(Exception):
    """More than `max_waiting` runs are waiting already."""


class PoolConfig(Struct, frozen=True, kw_only=True):
    """How many runs go at once, cells are kept ready, runs may wait (None: any number)."""

    cells: int
    warm: int
    max_waiting: int | None = None


@asynccontextmanager
async def open_pool(config: PoolConfig) -> AsyncIterator["SandboxPool"]:
    """Start a zygote and a first cell. Raises SandboxUnavailable.

    Everything that the pool started is dead when this context ends, and dies with this
    process however it ends.
    """
    pool = SandboxPool(config)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


class SandboxPool:
    """Runs scripts; made by `open_pool`."""

    def __init__(self, config: PoolConfig) -> None:
        """Take the configuration; `start` does the rest."""
        self.v8_version = ""
        self.lockdown: dict[str, str] = {}
        self._config = config
        self._slots = asyncio.Semaphore(config.cells)
        self._waiting = 0
        self._spawner: Spawner | None = None
        self._starting = asyncio.Lock()
        self._idle: deque[tuple[Spawner, Cell, Ready]] = deque()
        self._refill: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, job: Job, *, payload: AsyncIterable[bytes], sink: Sink) -> Report:
        """Run a job on a cell of its own.

        Output goes to `sink` as it comes; it counts only if the outcome is Succeeded.
        Whatever the script does is an outcome. Raises PoolBusy, SandboxUnavailable, and
        what `payload` and `sink` raise; on these, as on cancellation, the cell is killed.
        """
        ending = await self._do(job, mode="run", payload=payload, sink=sink)
        outcome = classify(ending.evidence, limits=job.limits, source=job.source)
        usage = Usage(
            run_ms=ending.run_ns / 1e6,
            cpu_ms=ending.cpu_ns / 1e6,
            peak_memory_bytes=ending.peak_bytes,
        )
        return Report(
            outcome=outcome, logs=ending.logs, lines_dropped=ending.lines_dropped, usage=usage
        )

    async def check(
        self, source: bytes, *, tenant: str, wall_ms: int = 1_000
    ) -> tuple[Finding, ...]:
        """Compile a source and run its top level, without data; () means accepted.

        Raises PoolBusy, and SandboxUnavailable also when the sandbox dies, twice: that says
        nothing of the source.
        """
        try:
            source.decode()
        except UnicodeDecodeError as error:
            message = f"the source is not UTF-8: {error.reason} at byte {error.start}"
            return (
                Finding(line=None, column=None, code="syntax_error", message=message, excerpt=None),
            )
        limits = Limits(wall_ms=wall_ms, memory_bytes=_CHECK_MEMORY_BYTES, output_bytes=0)
        job = Job(tenant=tenant, source=source, seed=0, clock_ms=0, limits=limits)
        for _ in range(_CHECK_ATTEMPTS):
            ending = await self._do(job, mode="check", payload=_nothing(), sink=_refuse)
            verdict = ending.evidence.verdict
            if verdict is not None and verdict.kind == "accepted" and not ending.evidence.breach:
                return ()
            outcome = classify(ending.evidence, limits=limits, source=source)
            if isinstance(outcome, Threw | TimedOut | OutOfMemory):
                return (to_finding(outcome, verdict),)
        # Nothing else is a check's outcome; what a dead cell last said is for operators only.
        message = "the sandbox died in a check, and again when it was repeated"
        raise SandboxUnavailable(message)

    async def start(self) -> None:
        """Start the zygote, learn from a first cell what is in force, fill up."""
        first = await self._spawn_ready()
        self.v8_version = first[2].v8
        self.lockdown = dict(first[2].lockdown)
        self._idle.append(first)
        self._start_refill()

    async def close(self) -> None:
        """Kill the zygote and every cell."""
        self._closed = True
        try:
            if self._refill is not None:
                self._refill.cancel()
                # `wait` raises for a cancellation of its caller only.
                await asyncio.wait([self._refill])
        finally:
            while self._idle:
                self._idle.pop()[1].close()
            if self._spawner is not None:
                self._spawner.close()

    async def _do(
        self, job: Job, *, mode: str, payload: AsyncIterable[bytes], sink: Sink
    ) -> Ending:
        if len(job.source) > _MAX_SOURCE_BYTES:
            message = f"a source above {_MAX_SOURCE_BYTES} bytes"
            raise ValueError(message)
        async with self._slot():
            _, cell, ready = await self._take_cell()
            self._start_refill()
            try:
                return await converse(cell, ready, job, mode=mode, payload=payload, sink=sink)
            finally:
                cell.close()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        most = self._config.max_waiting
        if self._slots.locked() and most is not None and self._waiting >= most:
            message = f"{self._waiting} runs are waiting already"
            raise PoolBusy(message)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _take_cell(self) -> tuple[Spawner, Cell, Ready]:
        """Take a cell that lives now, or make one."""
        while self._idle:
            spawner, cell, ready = self._idle.popleft()
            # As the kernel says: news of a death may still be on its way to us.
            if spawner.alive and not cell.exited.done() and is_running(cell.pidfd):
                return spawner, cell, ready
            cell.close()
        return await self._spawn_ready()

    async def _spawn_ready(self) -> tuple[Spawner, Cell, Ready]:
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
                return spawner, cell, await receive_ready(cell)
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
            if self._spawner is None or not self._spawner.alive:
                if self._spawner is not None:
                    self._spawner.close()
                self._spawner = await Spawner.start()
            return self._spawner

    def _start_refill(self) -> None:
        if self._refill is None or self._refill.done():
            self._refill = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        """Keep `warm` cells ready. What goes wrong here, the next run meets and names."""
        while not self._closed and len(self._idle) < self._config.warm:
            try:
                self._idle.append(await self._spawn_ready())
            except SandboxUnavailable:
                return


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes]():
        yield chunk


async def _refuse(_chunk: bytes) -> None:
    """Take no output: a check has none."""
