"""Measure `map` over JSON lines, and `process` once for each record."""

import asyncio
import time
from itertools import count
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from app.sandbox.parts import Part, Task
from app.sandbox.pool import SandboxPool
from scripts.benchmarks.output import Line, new_line
from scripts.benchmarks.streams import NO_NODE, Ran, run_in_cell, run_in_node, stream_job
from scripts.benchmarks.workload import MIB, succeed

_FUNCTION: Final = "({ note, ...row }) => ({ ...row, total: row.price * row.count })"
_MAP: Final = f"const map = {_FUNCTION};".encode()
_PROCESS: Final = f"const process = {_FUNCTION};".encode()
_RECORD: Final = (
    '{"pk":"%d","name":"customer %d","price":%d.25,"count":%d,"note":null,"tags":["a","b"],'
    '"active":true,"city":"São Paulo"}\n'
)
_BLOCK: Final = 10_000
_GOAL: Final = 0.6
_EXECUTIONS: Final = 300


def make_records(file: Path, size_bytes: int) -> Path:
    """Write about `size_bytes` of JSON lines, unless the file exists."""
    if file.exists():
        return file
    with file.open("wb") as opened:
        for block in count():
            if opened.tell() >= size_bytes:
                break
            rows = range(block * _BLOCK, (block + 1) * _BLOCK)
            text = "".join(_RECORD % (n, n * 7_919, n % 997, n % 13) for n in rows)
            opened.write(text.encode())
    return file


async def measure_map(pool: SandboxPool, records: Path, *, runs: int) -> list[Line]:
    """Measure `map` beside a stream in Node that does the same."""
    ours: list[Ran] = []
    nodes: list[Ran] = []
    with NamedTemporaryFile(suffix=".js") as script:
        script.write(_MAP)
        script.flush()
        for _ in range(runs):
            ran = await run_in_cell(pool, _MAP, Part(task=Task.MAP), records)
            node = await run_in_node("map", records, Path(script.name))
            ours.append(ran)
            if node is not None:
                nodes.append(node)
                if node.output_bytes != ran.output_bytes:
                    raise RuntimeError("the outputs of sandbox and node differ")
    stream = "node: readline, JSON.parse, JSON.stringify, a stream to /dev/null"
    return [
        new_line(
            "runs-map",
            unit="MB per s of CPU",
            runs=[each.cpu_rate for each in ours],
            baseline=(stream if nodes else NO_NODE, [each.cpu_rate for each in nodes]),
            goal=_GOAL,
            goal_of="ratio",
            at_least=True,
            also={
                "wall_mb_per_s": [each.wall_rate for each in ours],
                "wall_mb_per_s_of_baseline": [each.wall_rate for each in nodes],
                "peak_mib": [each.peak_bytes / MIB for each in ours],
                "peak_mib_of_baseline": [each.peak_bytes / MIB for each in nodes],
            },
        )
    ]


async def measure_each(pool: SandboxPool, records: Path, *, runs: int) -> list[Line]:
    """Measure a record of `process` beside one of `map`, and beside an execution of its own."""
    each_us: list[float] = []
    map_us: list[float] = []
    execution_us: list[float] = []
    wall_us: list[float] = []
    lines = await asyncio.to_thread(_lines_of, records)
    for _ in range(runs):
        part = Part(task=Task.MAP, each_record=True)
        each = await run_in_cell(pool, _PROCESS, part, records)
        mapped = await run_in_cell(pool, _MAP, Part(task=Task.MAP), records)
        if each.output != mapped.output or each.output_bytes != mapped.output_bytes:
            raise RuntimeError("the outputs of process and map differ")
        each_us.append(each.cpu_ms * 1_000 / len(lines))
        map_us.append(mapped.cpu_ms * 1_000 / len(lines))
        began = time.perf_counter()
        cpu_ms = 0.0
        for line in lines[:_EXECUTIONS]:
            ran = await succeed(pool, stream_job(_PROCESS), line)
            cpu_ms += ran.report.usage.cpu_ms
        execution_us.append(cpu_ms * 1_000 / _EXECUTIONS)
        wall_us.append((time.perf_counter() - began) * 1e6 / _EXECUTIONS)
    return [
        new_line(
            "runs-each",
            unit="µs of CPU per record",
            runs=each_us,
            baseline=("map", map_us),
            also={"execution_us": execution_us, "execution_wall_us": wall_us},
        )
    ]


def _lines_of(records: Path) -> list[bytes]:
    return records.read_bytes().splitlines()
