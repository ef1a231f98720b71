"""Stream a file through a script: in a cell, or in one process of Node."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from app.limits import PART_BYTES
from app.sandbox.outcomes import Job, Limits, Succeeded
from app.sandbox.parts import Part, PartReport
from app.sandbox.pool import SandboxPool
from scripts.benchmarks.node import PATH
from scripts.benchmarks.workload import MIB

NO_NODE: Final = "node is not on PATH"
_PROGRAM: Final = Path(__file__).parent / "streams.js"
# As a stored dataset is read.
_PIECE_BYTES: Final = 128 * 1024
_KEPT_BYTES: Final = 1024


class Ran(Struct, frozen=True, kw_only=True):
    """A file that went through a script.

    `output` is what the script wrote, up to its first KiB; `output_bytes` is its whole length.
    """

    size_bytes: int
    cpu_ms: float
    wall_ms: float
    peak_bytes: int
    output: bytes
    output_bytes: int

    @property
    def cpu_rate(self) -> float:
        """MB for each second of CPU."""
        return self.size_bytes / 1_000 / self.cpu_ms

    @property
    def wall_rate(self) -> float:
        """MB for each second."""
        return self.size_bytes / 1_000 / self.wall_ms


async def run_in_cell(pool: SandboxPool, source: bytes, part: Part, file: Path) -> Ran:
    """Stream a file through a cell, as one part; the CPU is the cell's.

    Raises RuntimeError if the script fails.
    """
    kept = bytearray()
    count = 0

    async def sink(chunk: bytes) -> None:
        nonlocal count
        count += len(chunk)
        kept.extend(chunk[: _KEPT_BYTES - len(kept)])

    began = time.perf_counter()
    report: PartReport = await pool.stream(
        stream_job(source), part, sink=sink, chunks=_pieces_of(file)
    )
    wall_ms = (time.perf_counter() - began) * 1_000
    if not isinstance(report.outcome, Succeeded):
        message = f"not a success: {report.outcome}"
        raise RuntimeError(message)  # noqa: TRY004 - not an argument of a wrong type
    return Ran(
        size_bytes=_size_of(file),
        cpu_ms=report.usage.cpu_ms,
        wall_ms=wall_ms,
        peak_bytes=report.usage.peak_memory_bytes,
        output=bytes(kept),
        output_bytes=count,
    )


async def rate_in_parts(pool: SandboxPool, source: bytes, part: Part, file: Path) -> float:
    """Stream a file in parts of about PART_BYTES, each in a fresh cell, as a run does.

    Returns MB for each second of CPU of the cells. Raises RuntimeError if the script fails.
    """
    size_bytes, cpu_ms = 0, 0.0
    for piece in await asyncio.to_thread(_parts_of, file):
        report = await pool.stream(
            stream_job(source), part, sink=_discard, chunks=_chunks_of(piece)
        )
        if not isinstance(report.outcome, Succeeded):
            message = f"not a success: {report.outcome}"
            raise RuntimeError(message)  # noqa: TRY004 - not an argument of a wrong type
        size_bytes += len(piece)
        cpu_ms += report.usage.cpu_ms
    return size_bytes / 1_000 / cpu_ms


def stream_job(source: bytes) -> Job:
    """Create a job with limits that a well-behaved script does not reach."""
    limits = Limits(wall_ms=3_600_000, memory_bytes=512 * MIB, output_bytes=2**50)
    return Job(tenant="bench", source=source, seed=1, clock_ms=1_700_000_000_000, limits=limits)


async def run_in_node(mode: str, file: Path, script: Path | None = None) -> Ran | None:
    """Run a mode of `streams.js` over a file; CPU and wall time without Node's start.

    Returns None if Node is not installed.
    """
    if PATH is None:
        return None
    process = await asyncio.create_subprocess_exec(
        *(PATH, str(_PROGRAM), mode, str(file), *([str(script)] if script else [])),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    line, details = await process.communicate()
    if process.returncode != 0:
        message = f"node: {details.decode(errors='replace')[-500:]}"
        raise RuntimeError(message)
    done: dict[str, Any] = json.loads(line)
    return Ran(
        size_bytes=_size_of(file),
        cpu_ms=done["cpu_ms"],
        wall_ms=done["wall_ms"],
        peak_bytes=done["peak_kib"] * 1024,
        output=done["output"].encode(),
        output_bytes=done["output_bytes"],
    )


def _parts_of(file: Path) -> list[bytes]:
    """Cut a file at line ends."""
    parts: list[bytes] = []
    with file.open("rb") as opened:
        while piece := opened.read(PART_BYTES):
            parts.append(piece + opened.readline())
    return parts


async def _chunks_of(piece: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(piece), _PIECE_BYTES):
        yield piece[start : start + _PIECE_BYTES]


async def _discard(_chunk: bytes) -> None:
    """Need no output."""


async def _pieces_of(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            yield piece


def _size_of(file: Path) -> int:
    return file.stat().st_size
