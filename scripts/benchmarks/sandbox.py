"""Measure the sandbox: its figures beside their baselines, or a soak for leaks and losses."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from scripts.benchmarks.large import GOAL, measure_large
from scripts.benchmarks.output import Line, print_line
from scripts.benchmarks.small import measure_cpu, measure_latency, measure_rate
from scripts.benchmarks.soak import soak

_NAMES: Final = ("cpu", "latency", "25mb", "100mb", "rate")


class Choice(Struct, frozen=True, kw_only=True):
    """What the command line says; `quick` takes tiny numbers, to see that all of it runs."""

    runs: int
    quick: bool
    isolates: int

    def count(self, usual: int) -> int:
        """Say how many executions to measure over."""
        return 4 if self.quick else usual

    def size_bytes(self, usual: int) -> int:
        """Say how large a payload to take."""
        return usual // 25 if self.quick else usual


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when a soak leaks or loses something."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench sandbox", description=(__doc__ or "").partition("\n")[0]
    )
    usual = PoolConfig(cells=1, warm=1).isolates
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    parser.add_argument("--only", choices=_NAMES, action="append", help="one of the figures")
    parser.add_argument("--isolates", type=int, default=usual, help="of one cell")
    parser.add_argument("--soak", action="store_true", help="look for leaks and losses instead")
    parser.add_argument("--count", type=int, default=20_000, help="executions of the soak")
    parser.add_argument("--seed", type=int, default=1, help="of the soak's mixture")
    chosen = parser.parse_args(arguments)
    if chosen.soak:
        return asyncio.run(soak(count=chosen.count, isolates=chosen.isolates, seed=chosen.seed))
    choice = Choice(
        runs=1 if chosen.quick else chosen.runs, quick=chosen.quick, isolates=chosen.isolates
    )
    asyncio.run(_measure(choice, chosen.only or _NAMES))
    return 0


async def _measure(choice: Choice, names: Sequence[str]) -> None:
    async with open_pool(PoolConfig(cells=1, warm=0, isolates=1)) as pool:
        v8 = pool.v8_version
    for name in names:
        for line in await _MEASURES[name](choice):
            print_line(
                line, v8=v8, cpus=os.cpu_count(), isolates=choice.isolates, quick=choice.quick
            )


async def _cpu(choice: Choice) -> list[Line]:
    return await measure_cpu(runs=choice.runs, count=choice.count(400), isolates=choice.isolates)


async def _latency(choice: Choice) -> list[Line]:
    return await measure_latency(
        runs=choice.runs, count=choice.count(200), isolates=choice.isolates
    )


async def _25mb(choice: Choice) -> list[Line]:
    size_bytes = choice.size_bytes(25_000_000)
    return await measure_large(
        runs=choice.runs, size_bytes=size_bytes, isolates=choice.isolates, goal=GOAL
    )


async def _100mb(choice: Choice) -> list[Line]:
    size_bytes = choice.size_bytes(100_000_000)
    return await measure_large(
        runs=choice.runs, size_bytes=size_bytes, isolates=choice.isolates, goal=None
    )


async def _rate(choice: Choice) -> list[Line]:
    return await measure_rate(runs=choice.runs, count=choice.count(400), isolates=choice.isolates)


_MEASURES: Final[dict[str, Callable[[Choice], Awaitable[list[Line]]]]] = {
    "cpu": _cpu,
    "latency": _latency,
    "25mb": _25mb,
    "100mb": _100mb,
    "rate": _rate,
}
