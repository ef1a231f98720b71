"""Send one job to a cell: its header, its source, its payload in pieces."""

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from app.sandbox.cell_process import Cell
from app.sandbox.outcomes import Job
from app.sandbox.protocol import CHUNK_BYTES, VERSION, Frame, Kind, encode_json

# The time that a cell may take to read a frame, to start, and to deliver its output.
OWED_TIMEOUT_S: Final = 60.0


async def feed(
    cell: Cell,
    job: Job,
    *,
    mode: str,
    payload: AsyncIterable[bytes],
    before_end: Callable[[], None],
) -> None:
    """Send the job, its source and its payload; `before_end` runs before the last frame is sent.

    Raises what `payload` raises.
    """
    header = {
        "protocol": VERSION,
        "mode": mode,
        "world": {"seed": job.seed, "clock_ms": job.clock_ms},
        "limits": msgspec.structs.asdict(job.limits),
    }
    # These frames wait for the payload's first chunk, so that one system call sends all.
    frames: list[Frame] = [
        (Kind.JOB, encode_json(header)),
        (Kind.SOURCE, job.source),
        (Kind.CONTEXT, _context(job) if mode == "run" else b""),
    ]
    async for chunk in payload:
        view = memoryview(chunk)
        try:
            for start in range(0, len(view), CHUNK_BYTES):
                frames.append((Kind.INPUT, view[start : start + CHUNK_BYTES]))
                await _send(cell, frames)
                frames = []
        except ConnectionError:
            return  # the cell has ended; `listen` finds out why
    with suppress(ConnectionError):
        # Called before the cell can answer.
        before_end()
        await _send(cell, [*frames, (Kind.END, b"")])


def _context(job: Job) -> bytes:
    context = msgspec.structs.asdict(job.context)
    return encode_json({**context, "clock_ms": job.clock_ms, "seed": job.seed})


async def _send(cell: Cell, frames: Sequence[Frame]) -> None:
    """Send frames; kill a cell that does not read them. Raises ConnectionError."""
    try:
        async with asyncio.timeout(OWED_TIMEOUT_S):
            await cell.send(frames)
    except TimeoutError:
        cell.kill("it did not read")
        raise ConnectionError from None
