"""Send one job to a cell: a small one in one message, the payload of another in pieces."""

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Final

import msgspec

from app.sandbox.cell_process import Cell
from app.sandbox.checks_text import encode_checks
from app.sandbox.outcomes import Io, Job
from app.sandbox.protocol import (
    CHECK,
    CHUNK_BYTES,
    RUN,
    RUN_BYTES,
    STREAM,
    VERSION,
    ChunkHeader,
    Frame,
    JobHeader,
    Kind,
    encode_chunk,
    encode_job,
    encode_json,
)

# The time that a cell may take to read a frame, to start, and to deliver its output.
OWED_TIMEOUT_S: Final = 60.0
# The channel takes this much at once: a cell has read everything before its next job.
_PROMPT_BYTES: Final = 64 * 1024


_MODES: Final = {"run": RUN, "check": CHECK, "stream": STREAM}

# In memory, or in chunks as they come.
Payload = bytes | AsyncIterable[bytes]


class Feeder:
    """Sends one job: `begin` a small one whose payload is in memory, `finish` any other.

    A job is `prompt` if `begin` sent it; the clock of its run starts then. `payload_bytes` is the
    length of the payload so far.
    """

    def __init__(
        self, cell: Cell, job: Job, *, mode: str, payload: Payload, options: bytes = b""
    ) -> None:
        """Take what is to be sent; `options`: the STREAM frame."""
        self._options = options
        self.prompt = False
        self.done = False
        # The end of a stream has been sent.
        self.done_with_input = False
        self.payload_bytes = 0
        self._cell = cell
        self._job = job
        self._mode = mode
        self._payload = payload
        self._checks = b"" if job.checks is None else encode_checks(job.checks)
        self._unsent: list[memoryview] = []

    def begin(self) -> None:
        """Send the job at once, if it is small."""
        size_bytes = 0 if self._has_source else len(self._job.source)
        if not isinstance(self._payload, bytes):
            return
        if size_bytes + len(self._checks) + len(self._payload) > _PROMPT_BYTES:
            return
        self.prompt = True
        inputs = self._inputs_of(self._payload)
        try:
            self._unsent = self._cell.send_at_once(
                [*self._first_frames(), *inputs, (Kind.END, b"")]
            )
        except ConnectionError:
            self.done = True  # the session finds out why the cell has ended
        else:
            self.done = not self._unsent

    async def finish(self, *, before_end: Callable[[], None]) -> None:
        """Send the rest; `before_end` runs before the last frame of a job that is not prompt.

        Raises what the payload raises.
        """
        try:
            if self.prompt:
                await self._send(self._unsent)
            else:
                await self._send_in_pieces(before_end)
        except ConnectionError:
            pass  # the session finds out why the cell has ended
        self.done = True

    async def send_job(self) -> None:
        """Send a stream's job, up to its context. Raises ConnectionError."""
        await self._send(self._cell.send_at_once(self._first_frames()))
        self.done = True

    async def send_chunk(self, header: ChunkHeader, chunk: bytes) -> None:
        """Send one chunk of a stream. Raises ConnectionError."""
        self.done = False
        frames: list[Frame] = [(Kind.CHUNK, encode_chunk(header)), *self._inputs_of(chunk)]
        await self._send(self._cell.send_at_once(frames))
        self.done = True

    async def send_end(self) -> None:
        """Send the end of a stream. Raises ConnectionError."""
        await self._send(self._cell.send_at_once([(Kind.END, b"")]))
        self.done_with_input = True

    async def _send_in_pieces(self, before_end: Callable[[], None]) -> None:
        # They wait for the payload's first chunk, so that one system call sends all.
        frames = self._first_frames()
        if isinstance(self._payload, bytes):
            frames += self._inputs_of(self._payload)
        else:
            async for chunk in self._payload:
                await self._send(self._cell.send_at_once([*frames, *self._inputs_of(chunk)]))
                frames = []
        await self._send(self._cell.send_at_once(frames))
        # Called before the cell can answer.
        before_end()
        await self._send(self._cell.send_at_once([(Kind.END, b"")]))

    @property
    def has_bytes(self) -> bool:
        """Whether input and output are bytes; a stream has a format of its own."""
        return self._mode == "run" and self._job.io is Io.BYTES

    @property
    def _has_source(self) -> bool:
        return self._cell.source == self._job.source

    def _first_frames(self) -> list[Frame]:
        job, limits = self._job, self._job.limits
        header = JobHeader(
            version=VERSION,
            mode=RUN_BYTES if self.has_bytes else _MODES[self._mode],
            seed=job.seed,
            clock_ms=job.clock_ms,
            wall_ms=limits.wall_ms,
            memory_bytes=limits.memory_bytes,
            output_bytes=limits.output_bytes,
            console_lines=limits.console_lines,
            console_bytes=limits.console_bytes,
            console_line_bytes=limits.console_line_bytes,
            sent_ns=time.monotonic_ns() if self.prompt else 0,
        )
        frames: list[Frame] = [(Kind.JOB, encode_job(header))]
        if not self._has_source:
            frames.append((Kind.SOURCE, job.source))
            self._cell.source = job.source
        frames += _pieces(Kind.CHECKS, self._checks)
        if self._options:
            frames.append((Kind.STREAM, self._options))
        about = {"media_type": job.media_type} if self.has_bytes else {}
        frames.append((Kind.CONTEXT, _context(job, **about) if self._mode != "check" else b""))
        return frames

    def _inputs_of(self, chunk: bytes) -> list[Frame]:
        self.payload_bytes += len(chunk)
        return _pieces(Kind.INPUT, chunk)

    async def _send(self, pieces: Sequence[memoryview]) -> None:
        """Send pieces; kill a cell that does not read them. Raises ConnectionError."""
        if not pieces:
            return
        try:
            async with asyncio.timeout(OWED_TIMEOUT_S):
                await self._cell.send(pieces)
        except TimeoutError:
            self._cell.kill("it did not read")
            raise ConnectionError from None


def _pieces(kind: Kind, body: bytes) -> list[Frame]:
    view = memoryview(body)
    return [(kind, view[start : start + CHUNK_BYTES]) for start in range(0, len(view), CHUNK_BYTES)]


def _context(job: Job, **about: str) -> bytes:
    context = msgspec.structs.asdict(job.context)
    return encode_json({**context, "clock_ms": job.clock_ms, "seed": job.seed, **about})
