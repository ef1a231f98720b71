"""The sandbox pool: runs and checks scripts in cells, a few at once, some kept ready."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import ceil
from typing import Final

from msgspec import Struct

from app.sandbox.admission import Admission, Hold
from app.sandbox.cell_pool import CellPool, PoolConfig
from app.sandbox.cell_process import Used
from app.sandbox.cgroups import OomKills
from app.sandbox.classification import YOUNG_BYTES, classify, to_finding
from app.sandbox.outcomes import (
    Examined,
    Finding,
    Job,
    Limits,
    OutOfMemory,
    Report,
    Succeeded,
    Threw,
    TimedOut,
    Usage,
)
from app.sandbox.protocol import MAX_BODY_BYTES, Kind
from app.sandbox.session import HEADROOM, Ending, Sink, most_bytes, run_session
from app.sandbox.zygote_client import SandboxUnavailable

__all__ = ["PoolBusy", "PoolConfig", "Room", "SandboxPool", "SandboxUnavailable", "open_pool"]

_CHECK_MEMORY_BYTES: Final = 256 * 1024 * 1024
_MAX_LOSSES: Final = 10
_CHECK_ATTEMPTS: Final = 2
_MAX_SOURCE_BYTES: Final = MAX_BODY_BYTES[Kind.SOURCE]


class Room(Struct, frozen=True, kw_only=True):
    """What a pool can hold, in memory limits of runs, to each of which `overhead_bytes` are added.

    `now_bytes`: those that it would let in now, together; `largest_bytes`: one, when it is alone.
    `may_wait`: no run waits yet, so one that does not fit now would be the next.
    """

    now_bytes: int
    largest_bytes: int
    overhead_bytes: int
    may_wait: bool


class PoolBusy(Exception):
    """More than `max_waiting` runs are waiting already."""


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
        self._admission = Admission(config.memory_bytes, slots=config.cells)
        self._oom_kills = OomKills()
        self._running = 0
        self.slots = config.cells
        self.waiting = 0
        # Cells that did not live to their next job, by why: a slug of `Cell.end`.
        self.kills: Counter[str] = Counter()
        self._cells = CellPool(config)

    @property
    def cell_counts(self) -> dict[str, int]:
        """Count the cells by what they are at."""
        return {"running": self._running, **self._cells.cell_counts()}

    @property
    def room(self) -> Room | None:
        """Say what memory limits the pool can keep; None: any."""
        now_bytes = self._admission.room_bytes
        budget_bytes = self._config.memory_bytes
        if now_bytes is None or budget_bytes is None:
            return None
        return Room(
            now_bytes=int(now_bytes / HEADROOM),
            largest_bytes=int(budget_bytes / HEADROOM),
            overhead_bytes=ceil(YOUNG_BYTES / HEADROOM),
            may_wait=not self.waiting,
        )

    @property
    def max_limit_bytes(self) -> int | None:
        """The highest memory limit that the pool can keep; None: any."""
        room = self.room
        return None if room is None else max(0, room.largest_bytes - room.overhead_bytes)

    async def run(
        self,
        job: Job,
        *,
        payload: AsyncIterable[bytes],
        sink: Sink,
        fresh: bool = False,
        given_up: Callable[[Used], None] | None = None,
    ) -> Report:
        """Run a job on an isolate of its own; `fresh`: in a cell that nobody has used.

        Output goes to `sink` as it comes; it counts only if the outcome is Succeeded.
        Whatever the script does is an outcome. Raises PoolBusy, SandboxUnavailable, and
        what `payload` and `sink` raise; on these, as on cancellation, the cell is killed,
        and `given_up` hears what the run has taken, unless the cell has ended before.
        """
        ending = await self._do(
            job, mode="run", payload=payload, sink=sink, fresh=fresh, given_up=given_up
        )
        outcome = classify(ending.evidence, limits=job.limits, source=job.source)
        usage = Usage(
            run_ms=ending.run_ns / 1e6,
            cpu_ms=ending.cpu_ns / 1e6,
            peak_memory_bytes=ending.peak_bytes,
        )
        verdict = ending.evidence.verdict
        return Report(
            outcome=outcome,
            logs=ending.logs,
            lines_dropped=ending.lines_dropped,
            usage=usage,
            losses=verdict.losses[:_MAX_LOSSES]
            if isinstance(outcome, Succeeded) and verdict
            else (),
        )

    async def check(
        self, source: bytes, *, tenant: str, wall_ms: int = 1_000
    ) -> tuple[Finding, ...]:
        """Compile a source and run its top level, without data; () means accepted.

        Raises what `examine` does.
        """
        return (await self.examine(source, tenant=tenant, wall_ms=wall_ms)).findings

    async def examine(self, source: bytes, *, tenant: str, wall_ms: int = 1_000) -> Examined:
        """Compile a source and run its top level, without data.

        Raises PoolBusy, and SandboxUnavailable also when the sandbox dies, twice: that says
        nothing of the source.
        """
        try:
            source.decode()
        except UnicodeDecodeError as error:
            message = f"the source is not UTF-8: {error.reason} at byte {error.start}"
            return Examined(
                findings=(
                    Finding(
                        line=None, column=None, code="syntax_error", message=message, excerpt=None
                    ),
                )
            )
        limits = Limits(wall_ms=wall_ms, memory_bytes=_CHECK_MEMORY_BYTES, output_bytes=0)
        job = Job(tenant=tenant, source=source, seed=0, clock_ms=0, limits=limits)
        for attempt in range(_CHECK_ATTEMPTS):
            ending = await self._do(
                job, mode="check", payload=_nothing(), sink=_refuse, fresh=attempt > 0
            )
            verdict = ending.evidence.verdict
            if verdict is not None and verdict.kind == "accepted" and not ending.evidence.breach:
                return Examined(globals=frozenset(verdict.globals))
            outcome = classify(ending.evidence, limits=limits, source=source)
            if isinstance(outcome, OutOfMemory) and outcome.of_host:
                continue
            if isinstance(outcome, Threw | TimedOut | OutOfMemory):
                return Examined(findings=(to_finding(outcome, verdict),))
        # Nothing else is a check's outcome; what a dead cell last said is for operators only.
        message = "the sandbox died in a check, and again when it was repeated"
        raise SandboxUnavailable(message)

    async def start(self) -> None:
        """Start the zygote, learn from a first cell what is in force, fill up."""
        ready = await self._cells.start()
        self.v8_version = ready.v8
        self.lockdown = dict(ready.lockdown)

    async def close(self) -> None:
        """Kill the zygote and every cell."""
        try:
            await self._cells.close()
        finally:
            self._oom_kills.close()

    async def _do(
        self,
        job: Job,
        *,
        mode: str,
        payload: AsyncIterable[bytes],
        sink: Sink,
        fresh: bool,
        given_up: Callable[[Used], None] | None = None,
    ) -> Ending:
        if len(job.source) > _MAX_SOURCE_BYTES:
            message = f"a source above {_MAX_SOURCE_BYTES} bytes"
            raise ValueError(message)
        hold = await self._enter(most_bytes(job.limits))
        recovery: asyncio.Task[bool] | None = None
        try:
            pooled = await self._cells.take(job.tenant, fresh=fresh)
            reusable = False
            self._running += 1
            try:
                ending = await run_session(
                    pooled.cell,
                    job,
                    mode=mode,
                    payload=payload,
                    sink=sink,
                    oom_kills=self._oom_kills,
                )
                reusable = ending.reusable
            except BaseException:
                used = pooled.cell.meter.used()
                if given_up is not None and used is not None:
                    given_up(used)
                raise
            finally:
                self._running -= 1
                if reusable:
                    recovery = self._cells.put_back(pooled)
                else:
                    self.kills[pooled.cell.end] += 1
                    pooled.cell.close()
            return ending
        finally:
            # The caller has its answer before the cell has put the used isolate away.
            if recovery is None:
                self._admission.release(hold)
            else:
                recovery.add_done_callback(lambda _: self._admission.release(hold))

    async def _enter(self, memory_bytes: int) -> Hold:
        """Wait for a slot, and for room in the host's memory."""
        most = self._config.max_waiting
        if self._admission.is_full and most is not None and self.waiting >= most:
            message = f"{self.waiting} runs are waiting already"
            raise PoolBusy(message)
        self.waiting += 1
        try:
            return await self._admission.acquire(memory_bytes)
        finally:
            self.waiting -= 1


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes]():
        yield chunk


async def _refuse(_chunk: bytes) -> None:
    """Take no output: a check has none."""
