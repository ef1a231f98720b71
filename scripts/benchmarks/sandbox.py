"""Measure the sandbox against its baselines, or soak it to find leaks and losses."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from app.sandbox.protocol import Isolation
from scripts.benchmarks.large import GOAL, measure_large
from scripts.benchmarks.output import Line, print_line
from scripts.benchmarks.small import measure_cpu, measure_latency, measure_rate
from scripts.benchmarks.soak import soak

_NAMES: Final = ("cpu", "latency", "25mb", "100mb", "rate")


class Options(Struct, frozen=True, kw_only=True):
    """The options of a run; `quick` only tests that everything runs."""

    runs: int
    quick: bool
    config: PoolConfig

    def count(self, usual: int) -> int:
        """Return the number of executions to measure."""
        return 4 if self.quick else usual

    def size_bytes(self, usual: int) -> int:
        """Return the size of the payload."""
        return usual // 25 if self.quick else usual


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 1 if a soak finds a leak or a loss."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench sandbox", description=(__doc__ or "").partition("\n")[0]
    )
    usual = PoolConfig(cells=1, warm=1)
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    parser.add_argument("--only", choices=_NAMES, action="append", help="one of the figures")
    parser.add_argument(
        "--isolation", type=Isolation, default=usual.isolation, help="context, isolate or process"
    )
    parser.add_argument("--isolates", type=int, help="of one cell, or its contexts")
    parser.add_argument("--soak", action="store_true", help="look for leaks and losses instead")
    parser.add_argument("--count", type=int, default=20_000, help="executions of the soak")
    parser.add_argument("--seed", type=int, default=1, help="of the soak's mixture")
    parsed = parser.parse_args(arguments)
    config = replace(
        usual,
        isolation=parsed.isolation,
        contexts=parsed.isolates or usual.contexts,
        isolates=parsed.isolates or usual.isolates,
    )
    if parsed.soak:
        return asyncio.run(soak(count=parsed.count, config=config, seed=parsed.seed))
    run_options = Options(
        runs=1 if parsed.quick else parsed.runs, quick=parsed.quick, config=config
    )
    asyncio.run(_measure(run_options, parsed.only or _NAMES))
    return 0


async def _measure(options: Options, names: Sequence[str]) -> None:
    async with open_pool(options.config) as pool:
        v8, isolation = pool.v8_version, pool.isolation.value
    for name in names:
        for line in await _MEASURES[name](options):
            print_line(
                line,
                v8=v8,
                cpus=os.cpu_count(),
                isolation=isolation,
                isolates=options.config.jobs,
                quick=options.quick,
            )


async def _cpu(options: Options) -> list[Line]:
    return await measure_cpu(runs=options.runs, count=options.count(400), config=options.config)


async def _latency(options: Options) -> list[Line]:
    return await measure_latency(runs=options.runs, count=options.count(200), config=options.config)


async def _25mb(options: Options) -> list[Line]:
    size_bytes = options.size_bytes(25_000_000)
    return await measure_large(
        runs=options.runs, size_bytes=size_bytes, config=options.config, goal=GOAL
    )


async def _100mb(options: Options) -> list[Line]:
    size_bytes = options.size_bytes(100_000_000)
    return await measure_large(
        runs=options.runs, size_bytes=size_bytes, config=options.config, goal=None
    )


async def _rate(options: Options) -> list[Line]:
    return await measure_rate(runs=options.runs, count=options.count(400), config=options.config)


_MEASURES: Final[dict[str, Callable[[Options], Awaitable[list[Line]]]]] = {
    "cpu": _cpu,
    "latency": _latency,
    "25mb": _25mb,
    "100mb": _100mb,
    "rate": _rate,
}
