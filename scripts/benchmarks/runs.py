"""Measure how a script streams in a cell, against Node on the same bytes."""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool
from scripts.benchmarks import run_kills, run_system
from scripts.benchmarks.dataset_files import parse_size
from scripts.benchmarks.output import Line, print_line
from scripts.benchmarks.run_folds import make_numbers, measure_styles
from scripts.benchmarks.run_maps import make_records, measure_each, measure_map

_QUICK_BYTES: Final = 1_000_000


class Options(Struct, frozen=True, kw_only=True):
    """The options of a run; `quick` only tests that everything runs. Files are in `folder`."""

    runs: int
    size_bytes: int
    quick: bool
    folder: Path


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench runs", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--size", type=parse_size, default=100_000_000, help="such as 100MB")
    parser.add_argument("--quick", action="store_true", help="one run of a tiny file")
    parser.add_argument("--system", action="store_true", help="whole runs, over HTTP")
    parser.add_argument("--kills", action="store_true", help="whole runs, with ten kills")
    parser.add_argument("--records", type=parse_size, default=1_000_000_000, help="such as 1GB")
    parser.add_argument("--only", choices=_MEASURES, action="append", help="one of the figures")
    parsed = parser.parse_args(arguments)
    if parsed.kills:
        return run_kills.measure(size=parsed.records)
    if parsed.system:
        return run_system.measure(size=parsed.size, records=parsed.records, runs=parsed.runs)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(
            runs=1 if parsed.quick else parsed.runs,
            size_bytes=_QUICK_BYTES if parsed.quick else parsed.size,
            quick=parsed.quick,
            folder=Path(folder),
        )
        asyncio.run(_measure(options, parsed.only or list(_MEASURES)))
    return 0


async def _measure(options: Options, names: Sequence[str]) -> None:
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        for name in names:
            for line in await _MEASURES[name](options, pool):
                print_line(
                    line,
                    v8=pool.v8_version,
                    cpus=os.cpu_count(),
                    isolation=pool.isolation.value,
                    size_bytes=options.size_bytes,
                    quick=options.quick,
                )


async def _styles(options: Options, pool: SandboxPool) -> list[Line]:
    numbers = await make_numbers(options.folder / "numbers.txt", options.size_bytes)
    return await measure_styles(pool, numbers, runs=options.runs)


async def _map(options: Options, pool: SandboxPool) -> list[Line]:
    records = make_records(options.folder / "records.jsonl", options.size_bytes)
    return await measure_map(pool, records, runs=options.runs)


async def _each(options: Options, pool: SandboxPool) -> list[Line]:
    records = make_records(options.folder / "records.jsonl", options.size_bytes)
    return await measure_each(pool, records, runs=options.runs)


# Each is a file of its own.
_MEASURES: Final[dict[str, Callable[[Options, SandboxPool], Awaitable[list[Line]]]]] = {
    "styles": _styles,
    "map": _map,
    "each": _each,
}
