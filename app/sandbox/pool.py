"""Run and check scripts in sandboxed cells, a bounded number at once."""

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
from app.sandbox.classification import V8_OVERHEAD_BYTES, classify, to_finding
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
from app.sandbox.protocol import MAX_BODY_BYTES, Isolation, Kind
from app.sandbox.session import HEADROOM, SessionReport, Sink, max_resident_bytes, run_session
from app.sandbox.zygote_client import SandboxUnavailable

__all__ = ["PoolBusy", "PoolConfig", "Room", "SandboxPool", "SandboxUnavailable", "open_pool"]

_CHECK_MEMORY_BYTES: Final = 256 * 1024 * 1024
_MAX_LOSSES: Final = 10
_CHECK_ATTEMPTS: Final = 2
_MAX_SOURCE_BYTES: Final = MAX_BODY_BYTES[Kind.SOURCE]


class Room(Struct, frozen=True, kw_only=True):
    """The memory limits that a pool can admit; each run adds `overhead_bytes` to its limit.

    `now_bytes`: the sum that it would admit now; `largest_bytes`: the highest of a run alone.
    `may_wait`: no run waits yet, so one that does not fit now would be the next.
    """

    now_bytes: int
    largest_bytes: int
    overhead_bytes: int
    may_wait: bool


class PoolBusy(Exception):
    """`max_waiting` runs are waiting already."""


@asynccontextmanager
async def open_pool(config: PoolConfig) -> AsyncIterator["SandboxPool"]:
    """Start a zygote and a first cell. Raises SandboxUnavailable.

    All processes of the pool have ended when this context ends, and end with this process
    however it ends.
    """
    pool = SandboxPool(config)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


class SandboxPool:
    """A pool of cells that run scripts; `open_pool` makes it."""

    def __init__(self, config: PoolConfig) -> None:
        """Take the configuration; `start` does the rest."""
        self.v8_version = ""
        self.lockdown: dict[str, str] = {}
        self.native: dict[str, str] = {}
        self._config = config
        self._admission = Admission(config.memory_bytes, slots=config.cells)
        self._oom_kills = OomKills()
        self._running = 0
        self.slots = config.cells
        self.waiting = 0
        # Cells that ended before their next job, by `Cell.end`.
        self.kills: Counter[str] = Counter()
        self._cells = CellPool(config)

    @property
    def cell_counts(self) -> dict[str, int]:
        """Count the cells by state."""
        return {"running": self._running, **self._cells.cell_counts()}

    @property
    def room(self) -> Room | None:
        """Return the memory limits that the pool can admit; None: any."""
        now_bytes = self._admission.room_bytes
        budget_bytes = self._config.memory_bytes
        if now_bytes is None or budget_bytes is None:
            return None
        return Room(
            now_bytes=int(now_bytes / HEADROOM),
            largest_bytes=int(budget_bytes / HEADROOM),
            overhead_bytes=ceil(V8_OVERHEAD_BYTES / HEADROOM),
            may_wait=not self.waiting,
        )

    @property
    def max_limit_bytes(self) -> int | None:
        """The highest memory limit that the pool can admit; None: any."""
        room = self.room
        return None if room is None else max(0, room.largest_bytes - room.overhead_bytes)

    async def run(
        self,
        job: Job,
        *,
        payload: AsyncIterable[bytes],
        sink: Sink,
        fresh: bool = False,
        on_aborted: Callable[[Used], None] | None = None,
    ) -> Report:
        """Run a job in an isolate of its own; `fresh`: in a cell that has done no job yet.

        Output is streamed to `sink`; it is complete only if the outcome is Succeeded. Whatever
        the script does is an outcome. Raises PoolBusy, SandboxUnavailable, and what `payload`
        and `sink` raise; then, as on cancellation, the cell is killed, and `on_aborted` receives
        the run's usage unless the cell has ended before.
        """
        session, isolation = await self._run_in_cell(
            job, mode="run", payload=payload, sink=sink, fresh=fresh, on_aborted=on_aborted
        )
        outcome = classify(session.evidence, limits=job.limits, source=job.source)
        usage = Usage(
            run_ms=session.run_ns / 1e6,
            cpu_ms=session.cpu_ns / 1e6,
            peak_memory_bytes=session.peak_bytes,
        )
        verdict = session.evidence.verdict
        return Report(
            outcome=outcome,
            logs=session.logs,
            lines_dropped=session.lines_dropped,
            usage=usage,
            isolation=isolation,
            losses=verdict.losses[:_MAX_LOSSES]
            if isinstance(outcome, Succeeded) and verdict
            else (),
        )

    async def check(
        self, source: bytes, *, tenant: str, wall_ms: int = 1_000
    ) -> tuple[Finding, ...]:
        """Compile a source and run its top level, without data; () means accepted.

        Raises what `examine` raises.
        """
        return (await self.examine(source, tenant=tenant, wall_ms=wall_ms)).findings

    async def examine(self, source: bytes, *, tenant: str, wall_ms: int = 1_000) -> Examined:
        """Compile a source and run its top level, without data.

        Raises PoolBusy, and SandboxUnavailable, also if the sandbox dies twice, which says
        nothing about the source.
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
            session, _ = await self._run_in_cell(
                job, mode="check", payload=_no_payload(), sink=_discard, fresh=attempt > 0
            )
            verdict = session.evidence.verdict
            if verdict is not None and verdict.kind == "accepted" and not session.evidence.breach:
                return Examined(globals=frozenset(verdict.globals))
            outcome = classify(session.evidence, limits=limits, source=source)
            if isinstance(outcome, OutOfMemory) and outcome.of_host:
                continue
            if isinstance(outcome, Threw | TimedOut | OutOfMemory):
                return Examined(findings=(to_finding(outcome, verdict),))
        # A check has no other outcome; the stderr of a dead cell is for operators only.
        message = "the sandbox died in a check, and again when it was repeated"
        raise SandboxUnavailable(message)

    async def start(self) -> None:
        """Start the zygote, read from a first cell what is in force, fill up."""
        first = await self._cells.start()
        self.v8_version = first.ready.v8
        self.lockdown = dict(first.ready.lockdown)
        self.native = first.zygote.native

    async def close(self) -> None:
        """Kill the zygote and every cell."""
        try:
            await self._cells.close()
        finally:
            self._oom_kills.close()

    async def _run_in_cell(
        self,
        job: Job,
        *,
        mode: str,
        payload: AsyncIterable[bytes],
        sink: Sink,
        fresh: bool,
        on_aborted: Callable[[Used], None] | None = None,
    ) -> tuple[SessionReport, Isolation]:
        if len(job.source) > _MAX_SOURCE_BYTES:
            message = f"a source above {_MAX_SOURCE_BYTES} bytes"
            raise ValueError(message)
        hold = await self._enter(max_resident_bytes(job.limits))
        recovery: asyncio.Task[bool] | None = None
        try:
            pooled = await self._cells.take(job.tenant, fresh=fresh)
            reusable = False
            self._running += 1
            try:
                session = await run_session(
                    pooled.cell,
                    job,
                    mode=mode,
                    payload=payload,
                    sink=sink,
                    oom_kills=self._oom_kills,
                )
                reusable = session.reusable
            except BaseException:
                used = pooled.cell.meter.used()
                if on_aborted is not None and used is not None:
                    on_aborted(used)
                raise
            finally:
                self._running -= 1
                if reusable:
                    recovery = self._cells.put_back(pooled)
                else:
                    self.kills[pooled.cell.end] += 1
                    pooled.cell.close()
            return session, pooled.ready.isolation
        finally:
            # The caller has its result before the cell has discarded the used isolate.
            if recovery is None:
                self._admission.release(hold)
            else:
                recovery.add_done_callback(lambda _: self._admission.release(hold))

    async def _enter(self, memory_bytes: int) -> Hold:
        """Wait for a slot, and for the host's memory to suffice."""
        limit = self._config.max_waiting
        if self._admission.is_full and limit is not None and self.waiting >= limit:
            message = f"{self.waiting} runs are waiting already"
            raise PoolBusy(message)
        self.waiting += 1
        try:
            return await self._admission.acquire(memory_bytes)
        finally:
            self.waiting -= 1


async def _no_payload() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes]():
        yield chunk


async def _discard(_chunk: bytes) -> None:
    """Accept no output: a check has none."""
