"""Run and check scripts in sandboxed cells, a bounded number at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from math import ceil
from typing import Final

from app.sandbox.admission import Admission, Hold, Room
from app.sandbox.cell_pool import CellPool, PoolConfig
from app.sandbox.cell_process import Cell
from app.sandbox.cgroups import OomKills
from app.sandbox.classification import (
    HEADROOM,
    V8_OVERHEAD_BYTES,
    SessionReport,
    classify,
    max_resident_bytes,
    to_finding,
)
from app.sandbox.feeder import Payload
from app.sandbox.meter import Used
from app.sandbox.native import ON
from app.sandbox.outcomes import (
    Examined,
    Finding,
    Job,
    Limits,
    OutOfMemory,
    Report,
    ScriptKind,
    Succeeded,
    Threw,
    TimedOut,
)
from app.sandbox.parts import ErrorSink, Part, PartReport
from app.sandbox.protocol import MAX_BODY_BYTES, Isolation, Kind
from app.sandbox.session import Sink, run_session
from app.sandbox.stream_session import Streamed, run_stream
from app.sandbox.zygote_client import SandboxUnavailable

__all__ = ["PoolBusy", "PoolConfig", "Room", "SandboxPool", "SandboxUnavailable", "open_pool"]

_CHECK_MEMORY_BYTES: Final = 256 * 1024 * 1024
_MAX_LOSSES: Final = 10
_CHECK_ATTEMPTS: Final = 2
# The native parts that each isolation needs.
_NATIVE_PARTS: Final = {
    Isolation.CONTEXT: ("contexts", "threadless"),
    Isolation.ISOLATE: ("threadless",),
    Isolation.PROCESS: ("threadless",),
}
_MAX_SOURCE_BYTES: Final = MAX_BODY_BYTES[Kind.SOURCE]


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
        self._measures: dict[str, str] = {}
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
    def isolation(self) -> Isolation:
        """What each run has for itself, in the newest cell; see also `Report.isolation`."""
        return self._cells.isolation

    @property
    def native(self) -> dict[str, str]:
        """The state of each part of `app.sandbox.native`."""
        return self._cells.native

    @property
    def lockdown(self) -> dict[str, str]:
        """The measures that the first cell found in force, and the isolation in force now.

        An isolation that replaces the configured one says why.
        """
        isolation = str(self.isolation.value)
        for part in _NATIVE_PARTS[self._config.isolation]:
            if self.native[part] != ON:
                isolation += f"; {part} {self.native[part]}"
        return {**self._measures, "isolation": isolation}

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
        payload: Payload,
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
            job,
            lambda cell: self._run_session(cell, job, mode="run", payload=payload, sink=sink),
            fresh=fresh,
            on_aborted=on_aborted,
        )
        outcome = classify(session.evidence, limits=job.limits, source=job.source)
        verdict = session.evidence.verdict
        return Report(
            outcome=outcome,
            logs=session.logs,
            lines_dropped=session.lines_dropped,
            usage=session.usage,
            isolation=isolation,
            losses=verdict.losses[:_MAX_LOSSES]
            if isinstance(outcome, Succeeded) and verdict
            else (),
        )

    async def stream(
        self,
        job: Job,
        part: Part,
        *,
        sink: Sink,
        chunks: AsyncIterable[bytes] | None = None,
        states: Sequence[bytes] = (),
        on_errors: ErrorSink | None = None,
        fresh: bool = True,
        on_aborted: Callable[[Used], None] | None = None,
    ) -> PartReport:
        """Run one part of a run: `chunks` in, output to `sink`, with constant memory.

        A fold's output is its state, a text for the `states` of a merge or of the next part's fold.
        It is complete only if the outcome is Succeeded. The wall time limit does not count the time
        of `chunks`, `sink` and `on_errors`. Raises what `run`, these and `part.require_use` raise,
        and LineTooLong.
        """
        part.require_use(states=len(states), checks=job.checks)
        streamed: list[Streamed] = []

        async def run(cell: Cell) -> SessionReport:
            streamed.append(
                await run_stream(
                    cell,
                    job,
                    part,
                    chunks=chunks,
                    states=states,
                    sink=sink,
                    on_errors=on_errors,
                    oom_kills=self._oom_kills,
                )
            )
            return streamed[0].session

        session, isolation = await self._run_in_cell(job, run, fresh=fresh, on_aborted=on_aborted)
        verdict = session.evidence.verdict
        outcome = classify(session.evidence, limits=job.limits, source=job.source)
        succeeded = isinstance(outcome, Succeeded)
        return PartReport(
            outcome=outcome,
            line=streamed[0].line,
            rows=streamed[0].rows,
            logs=session.logs,
            lines_dropped=session.lines_dropped,
            usage=session.usage,
            isolation=isolation,
            losses=verdict.losses[:_MAX_LOSSES] if succeeded and verdict else (),
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
                job,
                lambda cell: self._run_session(cell, job, mode="check", payload=b"", sink=_discard),
                fresh=attempt > 0,
            )
            verdict = session.evidence.verdict
            if verdict is not None and verdict.kind == "accepted" and not session.evidence.breach:
                kinds = tuple(each for each in ScriptKind if each in verdict.kinds)
                return Examined(globals=frozenset(verdict.globals), kinds=kinds)
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
        self._measures = first.ready.lockdown

    async def close(self) -> None:
        """Kill the zygote and every cell."""
        try:
            await self._cells.close()
        finally:
            self._oom_kills.close()

    async def _run_in_cell(
        self,
        job: Job,
        run: Callable[[Cell], Awaitable[SessionReport]],
        *,
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
                session = await run(pooled.cell)
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

    async def _run_session(
        self, cell: Cell, job: Job, *, mode: str, payload: Payload, sink: Sink
    ) -> SessionReport:
        return await run_session(
            cell, job, mode=mode, payload=payload, sink=sink, oom_kills=self._oom_kills
        )

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


async def _discard(_chunk: bytes) -> None:
    """Accept no output: a check has none."""
