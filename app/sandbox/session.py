"""Run one job in a cell: send its payload, and check every frame that the cell sends."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from app.sandbox.cell_process import Cell
from app.sandbox.cgroups import OomKills
from app.sandbox.classification import CellVerdict, Evidence, SessionReport, max_resident_bytes
from app.sandbox.feeder import OWED_TIMEOUT_S, Feeder, Payload
from app.sandbox.frames import decode_frame
from app.sandbox.media_types import is_media_type
from app.sandbox.meter import Exit, Used
from app.sandbox.mismatches import MISMATCH, UNKNOWN, require_fitting
from app.sandbox.outcomes import Job, Limits, LogLine
from app.sandbox.protocol import (
    CHUNK_BYTES,
    Kind,
    ProtocolError,
    decode_result,
)

# The cell stops the script at its limit; the pool kills the cell this much later.
DEADLINE_GRACE_S: Final = 0.5
EXIT_TIMEOUT_S: Final = 10.0
# A cell that has used less CPU time since a job was sent has not been woken for it.
_NOT_WOKEN_NS: Final = 20_000

# Verdicts that leave V8 at rest. After any other the cell runs no further job.
_REUSABLE: Final = frozenset(
    {
        "accepted",
        "succeeded",
        "threw",
        "refused",
        "invalid_input",
        "invalid_result",
        MISMATCH,
        UNKNOWN,
        "output_too_large",
        "unsettled_promise",
    }
)

Sink = Callable[[bytes], Awaitable[None]]


async def run_session(
    cell: Cell,
    job: Job,
    *,
    mode: str,
    payload: Payload,
    sink: Sink,
    oom_kills: OomKills,
) -> SessionReport:
    """Run one job. Raises only what `payload` and `sink` raise; then the cell must be closed."""
    cell.begin()
    feeder = Feeder(cell, job, mode=mode, payload=payload)
    session = Session(cell, job, sink, oom_kills, feeder)
    feeding: asyncio.Task[None] | None = None
    try:
        feeder.begin()
        if feeder.prompt:
            session.start()
        if not feeder.done:
            feeding = asyncio.create_task(feeder.finish(before_end=session.expect_start))
            # A payload that fails kills the cell, so that `listen` returns.
            feeding.add_done_callback(lambda task: _kill_if_failed(cell, task))
        await session.listen()
        if feeding is not None:
            if session.reusable:
                # The cell has read everything, but the feeder may not have resumed yet.
                await asyncio.wait([feeding], timeout=EXIT_TIMEOUT_S / 10)
            if feeding.done():
                feeding.result()
        return await finish_session(cell, session, feeder)
    finally:
        session.stop_clock()
        if feeding is not None:
            feeding.cancel()
            # `wait` raises if this run is cancelled, but nothing that the feeder raised.
            await asyncio.wait([feeding])
        cell.rest()


async def finish_session(cell: Cell, session: "Session", feeder: Feeder) -> SessionReport:
    """Make the report, after the exit of a cell that runs no further job."""
    reusable = feeder.done and session.reusable
    # A cell exits after its last isolate, and may have done so by now.
    used = cell.meter.used() if reusable else None
    account = await _await_exit(cell) if used is None else None
    if used is None:
        meter = cell.meter
        used = Used(cpu_ns=meter.cpu_ns(account), peak_bytes=meter.peak_bytes(account))
    return session.conclude(account, used, reusable=reusable)


def _kill_if_failed(cell: Cell, task: "asyncio.Task[None]") -> None:
    if task.cancelled() or task.exception() is not None:
        cell.kill("its payload failed")


async def _await_exit(cell: Cell) -> Exit | None:
    """Wait for the exit; a cell that does not exit after its last frame is killed."""
    try:
        async with asyncio.timeout(EXIT_TIMEOUT_S / 10):
            return await asyncio.shield(cell.exited)
    except TimeoutError:
        cell.kill("it did not exit")
    try:
        async with asyncio.timeout(EXIT_TIMEOUT_S):
            return await asyncio.shield(cell.exited)
    except TimeoutError:
        return None


class Session:
    """The state of a session as the cell's frames arrive."""

    def __init__(
        self, cell: Cell, job: Job, sink: Sink, oom_kills: OomKills, feeder: Feeder
    ) -> None:
        """Begin before the job is sent; output goes to `sink`."""
        self._cell = cell
        self._feeder = feeder
        self._limits: Limits = job.limits
        self._checks = job.checks
        self._sink = sink
        self._verdict: CellVerdict | None = None
        self._breach: str | None = None
        self._exited = False
        self._logs: list[LogLine] = []
        self._lines_cut = 0
        self._console_bytes = 0
        self._output_bytes = 0
        # Of them, what came before RESULT; a stream's.
        self._streamed_bytes = 0
        self._started = False
        self._may_start = True
        self._resulted = False
        self._started_at = 0.0
        self._ended_at = 0.0
        self._delivery_left_s = OWED_TIMEOUT_S
        self._deadline: asyncio.TimerHandle | None = None
        self._base_bytes = cell.meter.resident_bytes
        self._oom_kills = oom_kills
        self._oom_kills_before = oom_kills.count()

    def expect_start(self) -> None:
        """Set the deadline for STARTED: everything has been sent."""
        if self._may_start:
            self._set_clock(OWED_TIMEOUT_S, lambda: self._cell.kill("it did not start"))

    def start(self) -> None:
        """Start the clock: user code runs, or is about to, as the whole job has been sent."""
        self._started = True
        self._started_at = monotonic()
        self._set_clock(self._limits.wall_ms / 1_000 + DEADLINE_GRACE_S, self._expire)
        if self._limits.cpu_ms is not None:
            self._cell.cpu_ceiling_ns = self._cell.meter.cpu_ns() + self._limits.cpu_ms * 1_000_000
        # Two copies of the payload exist beside the run's memory until V8 has parsed it.
        self._cell.memory_ceiling_bytes = (
            self._base_bytes + max_resident_bytes(self._limits) + 2 * self._feeder.payload_bytes
        )

    async def listen(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Read frames up to the verdict or the exit of the cell, or `until` something is so."""
        try:
            while not self.has_ended and not until():
                frame = await self._next()
                if frame is None:
                    self._exited = True
                    break
                await self._handle(*frame)
        except ProtocolError as error:
            self._breach = str(error)
            self._cell.kill("a breach of the protocol")
        except BaseException:
            self.stop_clock()
            raise
        if self.has_ended:
            self.stop_clock()

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to read."""
        return self._verdict is not None or self._exited or self._breach is not None

    @property
    def reusable(self) -> bool:
        """Whether the cell may run another job after this verdict."""
        return (
            self._breach is None
            and self._verdict is not None
            and self._verdict.kind in _REUSABLE
            and not self._verdict.allocation
            # A payload that is not UTF-8 was not read to its end.
            and self._verdict.byte_offset is None
        )

    def stop_clock(self) -> None:
        """Stop the wall clock: user code is over, or never began."""
        if self._started and not self._ended_at:
            self._ended_at = monotonic()
        if self._deadline is not None:
            self._deadline.cancel()

    def conclude(self, account: Exit | None, used: Used, *, reusable: bool) -> SessionReport:
        """Make the report after the job, or the cell, has ended."""
        cell = self._cell
        span_ns = int((self._ended_at - self._started_at) * 1e9)
        verdict = self._verdict
        reported_ns = verdict.run_ns if verdict is not None else span_ns
        reported_dropped = verdict.lines_dropped if verdict is not None else 0
        evidence = Evidence(
            verdict=verdict,
            breach=self._breach,
            killed_for=cell.killed_for,
            oom_kills=self._oom_kills.count() - self._oom_kills_before if account else 0,
            exit=account,
            stderr=cell.stderr_tail(),
            base_bytes=self._base_bytes,
            peak_bytes=used.peak_bytes,
            last_bytes=cell.meter.resident_bytes,
            private_growth_bytes=cell.meter.private_growth_bytes,
            output_bytes=self._output_bytes,
        )
        return SessionReport(
            evidence=evidence,
            reusable=reusable,
            logs=tuple(self._logs),
            lines_dropped=max(reported_dropped, 0) + self._lines_cut,
            run_ns=min(max(reported_ns, 0), span_ns),
            cpu_ns=used.cpu_ns,
            peak_bytes=used.peak_bytes,
        )

    async def _next(self) -> tuple[Kind, bytes] | None:
        """Wait for a frame; after RESULT, a budget of time limits the waits for all output.

        The time that the sink takes does not count.
        """
        frame = self._cell.received()
        if frame is not None:
            return frame
        if not self._resulted:
            return await self._cell.receive()
        waiting_since = monotonic()
        try:
            async with asyncio.timeout(self._delivery_left_s):
                return await self._cell.receive()
        except TimeoutError:
            message = "no output where output was due"
            raise ProtocolError(message) from None
        finally:
            self._delivery_left_s -= monotonic() - waiting_since

    async def _handle(self, kind: Kind, body: bytes) -> None:
        match kind:
            case Kind.STARTED if self._may_start and not self._resulted:
                # That of a prompt job is late.
                self._may_start = False
                self.start()
            case Kind.LOG if self._started and not self._resulted:
                self._may_start = False
                if not self._log(body):
                    # A flood of lines over the limits must not block the event loop.
                    await asyncio.sleep(0)
            case Kind.RESULT if self._started and not self._resulted:
                self._result(body)
            # All chunks but the last are full, so that tiny frames cannot occupy the slot.
            case Kind.OUTPUT if self._resulted and body and self._may_continue:
                self._count_output(len(body))
                await self._sink(body)
            case Kind.VERDICT:
                verdict = decode_frame(body, CellVerdict)
                if (verdict.kind == "succeeded") and not self._resulted:
                    message = "success without a result"
                    raise ProtocolError(message)
                if not self._has_right_type(verdict):
                    message = "a media type that does not fit the job"
                    raise ProtocolError(message)
                require_fitting(verdict.kind, verdict, self._checks)
                self._verdict = verdict
            case _:
                message = f"frame {kind.name} out of order"
                raise ProtocolError(message)

    def _has_right_type(self, verdict: CellVerdict) -> bool:
        if verdict.kind != "succeeded" or not self._feeder.has_bytes:
            return verdict.media_type is None
        return verdict.media_type is not None and is_media_type(verdict.media_type)

    @property
    def _may_continue(self) -> bool:
        return (self._output_bytes - self._streamed_bytes) % CHUNK_BYTES == 0

    def _count_output(self, count: int) -> None:
        self._output_bytes += count
        if self._output_bytes > self._limits.output_bytes:
            message = "more output than its limit"
            raise ProtocolError(message)

    def _set_clock(self, allowed_s: float, then: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(allowed_s, then)

    def _expire(self) -> None:
        """Kill the cell, unless the host has not let it read its job yet."""
        if self._may_start and self._cell.meter.cpu_ns() < _NOT_WOKEN_NS:
            self.expect_start()
        else:
            self._cell.kill("deadline")

    def _result(self, body: bytes) -> None:
        units = decode_result(body)
        if units > self._limits.output_bytes:
            message = f"a result of {units} units"
            raise ProtocolError(message)
        self._resulted = True
        self._streamed_bytes = self._output_bytes
        self._cell.cpu_ceiling_ns = None
        self.stop_clock()
        if self._cell.memory_ceiling_bytes is not None:
            # The platform's encoded copy takes at most three bytes per UTF-16 unit.
            self._cell.memory_ceiling_bytes += 3 * units

    def _log(self, body: bytes) -> bool:
        """Keep a console line; false: it exceeds the limits."""
        line = decode_frame(body, LogLine)
        size = len(line.text.encode("utf-8", "surrogatepass"))
        limits = self._limits
        if (
            len(self._logs) >= limits.console_lines
            or self._console_bytes + size > limits.console_bytes
            or size > max(limits.console_line_bytes, len("…".encode()))
        ):
            self._lines_cut += 1
            return False
        self._console_bytes += size
        self._logs.append(line)
        return True
