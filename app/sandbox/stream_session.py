"""Run the part of a stream in a cell: one chunk at a time, each after the one before is used."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final

from msgspec import Struct
from typing_extensions import override

from app.sandbox.cell_process import Cell
from app.sandbox.cgroups import OomKills
from app.sandbox.classification import (
    RecordErrorFrame,
    SessionReport,
    classify_record,
    max_resident_bytes,
)
from app.sandbox.feeder import Feeder
from app.sandbox.frames import decode_frame
from app.sandbox.framing import Chunk, cut
from app.sandbox.outcomes import Job
from app.sandbox.parts import ErrorSink, Format, OnError, Part, RecordError, Task
from app.sandbox.protocol import (
    CHUNK_BYTES,
    ChunkHeader,
    Kind,
    ProtocolError,
    Rows,
    decode_rows,
    encode_json,
)
from app.sandbox.session import (
    DEADLINE_GRACE_S,
    Session,
    Sink,
    finish_session,
)

# The transfer of a chunk and of its output counts for the pool's clock, not for the cell's.
_CHUNK_GRACE_S: Final = 0.01
# Copies of a chunk that exist in the cell beside the script's memory.
_CHUNK_COPIES: Final = 4
# Frames of output below this size are few: a flush of the harness is larger.
_SMALL_OUTPUT_BYTES: Final = 64 * 1024
_MAX_SMALL_OUTPUTS: Final = 4
_ERROR_BATCH: Final = 100


async def run_stream(
    cell: Cell,
    job: Job,
    part: Part,
    *,
    chunks: AsyncIterable[bytes] | None,
    states: Sequence[bytes],
    sink: Sink,
    on_errors: ErrorSink | None,
    oom_kills: OomKills,
) -> "Streamed":
    """Run one part.

    Raises only what `chunks`, `sink` and `on_errors` raise; then the cell must be closed.
    """
    cell.begin()
    options = {
        "task": part.task,
        "format": part.format,
        "output": part.output,
        "each_record": part.each_record,
        "many": part.many,
        "nulls": part.nulls,
        "on_error": "fail" if part.on_error is OnError.FAIL else "skip",
        "max_errors": part.max_errors,
        "finish": part.finish,
        "needs": part.functions(states=len(states)),
    }
    feeder = Feeder(cell, job, mode="stream", payload=b"", options=encode_json(options))
    session = StreamSession(cell, job, sink, oom_kills, feeder, part=part, on_errors=on_errors)
    try:
        with suppress(ConnectionError):  # `listen` finds out why the cell has ended
            await session.open()
            for state in states:
                await session.give(Chunk(0, state), is_state=True)
            if chunks is not None and part.task is not Task.MERGE:
                async with _prefetched(
                    cut(chunks, format_=part.format, first_line=part.first_line)
                ) as ahead:
                    async for chunk in ahead:
                        if not await session.give(chunk):
                            break
            await session.end()
        await session.listen()
        report = await finish_session(cell, session, feeder)
    finally:
        session.stop_clock()
        cell.rest()
    verdict = report.evidence.verdict
    if verdict is None or report.evidence.breach is not None:
        return Streamed(session=report, line=session.line, rows=session.rows)
    line = None if verdict.kind == "succeeded" else verdict.input_line
    return Streamed(session=report, line=line, rows=Rows(*verdict.rows))


class Streamed(Struct, frozen=True, kw_only=True):
    """The report of a part's session, the line at which the part failed, and its rows."""

    session: SessionReport
    line: int | None
    rows: Rows


@asynccontextmanager
async def _prefetched(chunks: AsyncIterator[Chunk]) -> AsyncIterator[AsyncIterator[Chunk]]:
    """Make the next chunk while the cell works on one."""
    ahead: list[asyncio.Task[Chunk | None]] = []

    def fetch() -> None:
        ahead.append(asyncio.create_task(_next_of(chunks)))

    async def each() -> AsyncIterator[Chunk]:
        fetch()
        while (chunk := await ahead.pop()) is not None:
            fetch()
            yield chunk

    try:
        yield each()
    finally:
        for task in ahead:
            task.cancel()
            await asyncio.wait([task])
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


async def _next_of(chunks: AsyncIterator[Chunk]) -> Chunk | None:
    return await anext(chunks, None)


class StreamSession(Session):
    """The state of a part as the cell's frames arrive."""

    def __init__(
        self,
        cell: Cell,
        job: Job,
        sink: Sink,
        oom_kills: OomKills,
        feeder: Feeder,
        *,
        part: Part,
        on_errors: ErrorSink | None,
    ) -> None:
        """Take what a session takes; failed records go to `on_errors`."""
        super().__init__(cell, job, sink, oom_kills, feeder)
        self._job = job
        self._part = part
        self._on_errors = on_errors
        self.rows = Rows(0, 0, 0)
        self._chunk = Chunk(0, b"")
        self._cursor = (0, 0)
        self._next_error_line = 0
        self._errors: list[RecordError] = []
        self._error_count = 0
        self._small_outputs_left = 0
        # The cell works on the source, a chunk, or the end.
        self._works = False
        self._spent_s = 0.0
        self._grace_s = DEADLINE_GRACE_S
        self._resumed_at: float | None = None

    @property
    def line(self) -> int | None:
        """The first line of the chunk that the cell works on."""
        return self._chunk.line or None if self._works else None

    async def open(self) -> None:
        """Send the job, and wait until the source has run. Raises ConnectionError."""
        await self._feeder.send_job()
        self._works = True
        self.expect_start()
        await self._until_used()

    async def give(self, chunk: Chunk, *, is_state: bool = False) -> bool:
        """Send a chunk and wait until it is used up; false: the part has ended.

        Raises ConnectionError.
        """
        if self.has_ended:
            return False
        self._chunk = chunk
        self._cursor = (chunk.line, 0)
        self._next_error_line = chunk.line
        self._small_outputs_left = _MAX_SMALL_OUTPUTS
        self._set_memory_ceiling(len(chunk.data))
        header = ChunkHeader(is_state, chunk.line, len(chunk.data))
        await self._feeder.send_chunk(header, chunk.data)
        self._works = True
        self._grace_s += _CHUNK_GRACE_S
        self._resume()
        await self._until_used()
        return not self.has_ended

    async def end(self) -> None:
        """Send the end of the input. Raises ConnectionError."""
        if self.has_ended:
            return
        self._chunk = Chunk(0, b"")
        self._small_outputs_left = _MAX_SMALL_OUTPUTS
        await self._feeder.send_end()
        self._works = True
        self._resume()

    @override
    def start(self) -> None:
        super().start()
        self._resumed_at = monotonic()
        self._set_memory_ceiling(0)

    @override
    def stop_clock(self) -> None:
        super().stop_clock()
        self._resumed_at = None

    async def _until_used(self) -> None:
        await self.listen(until=lambda: not self._works)
        if self._errors:
            await self._report_errors()

    @override
    async def _handle(self, kind: Kind, body: bytes) -> None:
        match kind:
            case Kind.OUTPUT if self._works and self._started and not self._resulted and body:
                await self._take_output(body)
            case Kind.ERROR if self._works and self._started and not self._resulted:
                self._take_error(decode_frame(body, RecordErrorFrame))
                if len(self._errors) >= _ERROR_BATCH:
                    await self._report_errors()
            case Kind.USED if self._works and self._started and not self._feeder.done_with_input:
                self.rows = decode_rows(body)
                self._works = False
                self._pause()
            case _:
                await super()._handle(kind, body)

    async def _take_output(self, body: bytes) -> None:
        # A flood of tiny frames must not occupy the slot: the sink's time does not count.
        if len(body) < _SMALL_OUTPUT_BYTES:
            self._small_outputs_left -= 1
            if self._small_outputs_left < 0:
                message = "output in crumbs"
                raise ProtocolError(message)
        else:
            self._small_outputs_left += 1
        self._count_output(len(body))
        self._pause()
        await self._sink(body)
        self._resume()

    def _take_error(self, frame: RecordErrorFrame) -> None:
        self._error_count += 1
        if self._part.on_error is OnError.FAIL or self._error_count > self._part.max_errors:
            message = "more failed records than may be"
            raise ProtocolError(message)
        self._small_outputs_left += 1
        record = self._record_at(frame.line)
        self._errors.append(
            RecordError(
                line=frame.line,
                outcome=classify_record(
                    frame.failure, source=self._job.source, checks=self._job.checks
                ),
                record=record if self._part.on_error is OnError.DEAD_LETTER else None,
            )
        )

    def _record_at(self, line: int) -> bytes:
        """Return a line of the chunk, without its end; or the chunk, if that is the record."""
        data = self._chunk.data
        if line < self._next_error_line:
            message = "failed records out of order"
            raise ProtocolError(message)
        self._next_error_line = line + 1
        if self._part.format in (Format.TEXT, Format.BYTES):
            return data
        current, at = self._cursor
        while current < line:
            at = data.find(b"\n", at) + 1
            current += 1
            if not at:
                message = "a failed record beyond the chunk"
                raise ProtocolError(message)
        self._cursor = (current, at)
        end = data.find(b"\n", at)
        return data[at : len(data) if end < 0 else end].removesuffix(b"\r")

    async def _report_errors(self) -> None:
        errors, self._errors = self._errors, []
        if self._on_errors is None:
            return
        self._pause()
        await self._on_errors(errors)
        if self._works:
            self._resume()

    def _resume(self) -> None:
        if self.has_ended or self._resulted:
            return
        self._resumed_at = monotonic()
        left_s = self._limits.wall_ms / 1_000 - self._spent_s
        self._set_clock(max(left_s, 0) + self._grace_s, self._expire)

    def _pause(self) -> None:
        if self._resumed_at is not None:
            self._spent_s += monotonic() - self._resumed_at
            self._resumed_at = None
        if self._deadline is not None:
            self._deadline.cancel()

    def _set_memory_ceiling(self, chunk_bytes: int) -> None:
        self._cell.memory_ceiling_bytes = (
            self._base_bytes
            + max_resident_bytes(self._limits)
            + _CHUNK_COPIES * max(chunk_bytes, CHUNK_BYTES)
        )
