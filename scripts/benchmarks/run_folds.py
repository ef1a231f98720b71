"""Measure a fold in three styles: the sum of the even numbers of a file."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.sandbox.parts import Format, Part, Task
from app.sandbox.pool import SandboxPool
from scripts.benchmarks.output import Line, new_line
from scripts.benchmarks.streams import NO_NODE, Ran, rate_in_parts, run_in_cell, run_in_node
from scripts.benchmarks.workload import MIB

_EXAMPLE: Final = Path(__file__).resolve().parents[2] / "examples" / "sum-even"
# The goals of the issue, in rates of Node's loop.
_GOALS: Final = {Format.LINES: None, Format.TEXT: 0.55, Format.BYTES: 2.0}
_LOOP: Final = "a loop in node over 4 MB chunks, a line after the other"


class Numbers(Struct, frozen=True):
    """A file of numbers, and the JSON of the sum of the even ones."""

    file: Path
    expected: bytes


async def make_numbers(file: Path, size_bytes: int) -> Numbers:
    """Let the example make its file. Raises RuntimeError if it fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(_EXAMPLE / "make_numbers.py")),
        *("--size", str(size_bytes), "--to", str(file)),
        stdout=asyncio.subprocess.PIPE,
    )
    line, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("the generator failed")
    return Numbers(file, json.dumps(json.loads(line)["sum_even"]).encode())


async def measure_styles(pool: SandboxPool, numbers: Numbers, *, runs: int) -> list[Line]:
    """Measure each style in a cell, beside Node's loop, and beside the same script in Node."""
    ours: dict[Format, list[Ran]] = {style: [] for style in _GOALS}
    same: dict[Format, list[Ran]] = {style: [] for style in _GOALS}
    in_parts: dict[Format, list[float]] = {style: [] for style in _GOALS}
    loops: list[Ran] = []
    for _ in range(runs):
        loop = await run_in_node("loop", numbers.file)
        loops += _checked(loop, numbers)
        for style in _GOALS:
            script = _EXAMPLE / f"{style}.js"
            part = Part(task=Task.FOLD, format=style, finish=True)
            source = script.read_bytes()
            ran = await run_in_cell(pool, source, part, numbers.file)
            ours[style] += _checked(ran, numbers)
            in_parts[style].append(await rate_in_parts(pool, source, part, numbers.file))
            same[style] += _checked(await run_in_node(style, numbers.file, script), numbers)
    return [
        new_line(
            f"runs-{style}",
            unit="MB per s of CPU",
            runs=[each.cpu_rate for each in ours[style]],
            baseline=(_LOOP if loops else NO_NODE, [each.cpu_rate for each in loops]),
            goal=goal,
            goal_of="ratio",
            at_least=True,
            also={
                "same_script_in_node": [each.cpu_rate for each in same[style]],
                "ratio_to_same_script": [
                    cell.cpu_rate / node.cpu_rate
                    for cell, node in zip(ours[style], same[style], strict=False)
                ],
                "in_parts_of_8_mib": in_parts[style],
                "wall_mb_per_s": [each.wall_rate for each in ours[style]],
                "wall_mb_per_s_of_baseline": [each.wall_rate for each in loops],
                "peak_mib": [each.peak_bytes / MIB for each in ours[style]],
                "peak_mib_of_baseline": [each.peak_bytes / MIB for each in loops],
            },
        )
        for style, goal in _GOALS.items()
    ]


def _checked(ran: Ran | None, numbers: Numbers) -> list[Ran]:
    if ran is None:
        return []
    if ran.output != numbers.expected:
        message = f"the sum is {ran.output!r}, not {numbers.expected!r}"
        raise RuntimeError(message)
    return [ran]
