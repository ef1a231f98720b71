"""Measure the whole system over HTTP, beside an assembly of common parts."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from scripts.benchmarks.backlog import measure_claims
from scripts.benchmarks.concurrency import measure_idle_cpu, measure_rate, measure_show
from scripts.benchmarks.fairness import measure_fairness, measure_recovery
from scripts.benchmarks.latency import measure_1mb, measure_25mb, measure_idle
from scripts.benchmarks.output import Line, print_line
from scripts.benchmarks.plan import Plan
from scripts.benchmarks.systems import running_crivo, running_peer
from scripts.benchmarks.workload import SOURCE

_MEASURES: Final[dict[str, Callable[[Plan], Awaitable[list[Line]]]]] = {
    "lead": measure_idle,
    "rate": measure_rate,
    "1mb": measure_1mb,
    "25mb": measure_25mb,
    "claims": measure_claims,
    "idle": measure_idle_cpu,
    "show": measure_show,
    "fairness": measure_fairness,
    "recovery": measure_recovery,
}
_WITH_PEER: Final = {"lead", "rate", "1mb", "25mb", "idle"}


def main(arguments: Sequence[str]) -> int:
    """Measure on dedicated systems and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench pipeline", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    parser.add_argument("--only", choices=_MEASURES, action="append", help="one of the figures")
    parser.add_argument("--no-peer", action="store_true", help="measure only Crivo")
    options = parser.parse_args(arguments)
    names = options.only or list(_MEASURES)
    asyncio.run(
        _measure(
            names,
            runs=1 if options.quick else options.runs,
            quick=options.quick,
            with_peer=not options.no_peer and not _WITH_PEER.isdisjoint(names),
        )
    )
    return 0


async def _measure(names: Sequence[str], *, runs: int, quick: bool, with_peer: bool) -> None:
    async with AsyncExitStack() as stack:
        crivo = await stack.enter_async_context(running_crivo())
        await crivo.create("cards", SOURCE)
        peer = await stack.enter_async_context(running_peer()) if with_peer else None
        plan = Plan(crivo=crivo, peer=peer, runs=runs, quick=quick)
        for name in names:
            for line in await _MEASURES[name](plan):
                print_line(line, cpus=os.cpu_count(), quick=quick)
