"""Measure many concurrent clients: throughput, CPU per execution, reads, and idle CPU."""

import asyncio
import os
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from scripts.benchmarks.load import Client, time_closed_loops, time_one_by_one
from scripts.benchmarks.output import Line, new_line, percentile
from scripts.benchmarks.plan import Plan
from scripts.benchmarks.process_usage import CpuUsage, read_usage
from scripts.benchmarks.systems import System
from scripts.benchmarks.workload import PAYLOAD, SOURCE

_CLIENTS: Final = 32
_POLL_SECONDS: Final = 0.005
_TIMES_PEER: Final = 1.5
_CPU_OF_PEER: Final = 0.75
_IDLE_PERCENT: Final = 3.0
_SHOW_P95_MS: Final = 30.0
# Work after the last result: cells exit, logs are written, children are reaped.
_SETTLE_SECONDS: Final = 0.3


class _Rate:
    """The figures of one side's runs."""

    def __init__(self) -> None:
        self.per_second: list[float] = []
        self.p95_ms: list[float] = []
        self.cpu_ms: list[float] = []
        self.load_ms: list[float] = []
        self.parts: dict[str, list[float]] = {}

    def add(self, seconds: float, durations_ms: list[float], usage: CpuUsage) -> None:
        count = len(durations_ms)
        self.per_second.append(count / seconds)
        self.p95_ms.append(percentile(durations_ms, 0.95))
        self.cpu_ms.append(usage.total_ms / count)
        self.load_ms.append(usage.load_ms / count)
        for name, ms in usage.parts.items():
            self.parts.setdefault(name, []).append(ms / count)


async def measure_rate(plan: Plan) -> list[Line]:
    """Measure closed loops: Crivo waiting, the peer polling, and Crivo polling for comparison."""
    count = 40 if plan.quick else 2_000
    waiting, polling, theirs = _Rate(), _Rate(), _Rate()
    for _ in range(plan.runs):
        waiting.add(*await _closed_loops(plan.crivo, count, poll_seconds=0))
        if plan.peer is not None:
            theirs.add(*await _closed_loops(plan.peer, count, poll_seconds=_POLL_SECONDS))
        polling.add(*await _closed_loops(plan.crivo, count, poll_seconds=_POLL_SECONDS))
    return [
        *_lines("32-clients", waiting, theirs, goals=(_TIMES_PEER, _CPU_OF_PEER)),
        *_lines("32-clients-polling", polling, theirs, goals=(None, None)),
    ]


def _lines(
    name: str, ours: _Rate, theirs: _Rate, *, goals: tuple[float | None, float | None]
) -> list[Line]:
    return [
        new_line(
            f"rate-{name}",
            unit="executions/s",
            runs=ours.per_second,
            baseline=("the peer, polled every 5 ms", theirs.per_second),
            goal=goals[0],
            goal_of="ratio",
            at_least=True,
            also={"lead_p95_ms": ours.p95_ms, "peer_lead_p95_ms": theirs.p95_ms},
        ),
        new_line(
            f"cpu-{name}",
            unit="ms/execution",
            runs=ours.cpu_ms,
            baseline=("the peer, polled every 5 ms", theirs.cpu_ms),
            goal=goals[1],
            goal_of="ratio",
            also={
                **{f"{part}_ms": values for part, values in ours.parts.items()},
                **{f"peer_{part}_ms": values for part, values in theirs.parts.items()},
                "load_ms": ours.load_ms,
                "peer_load_ms": theirs.load_ms,
            },
        ),
    ]


async def measure_idle_cpu(plan: Plan) -> list[Line]:
    """Measure the CPU of the whole system without requests."""
    seconds = 0.5 if plan.quick else 20.0
    ours, theirs, parts = [], [], dict[str, list[float]]()
    # Work that the last executions have caused must end first.
    await asyncio.sleep(0 if plan.quick else 5)
    for _ in range(plan.runs):
        before = {system: read_usage(system.roots) for system in (plan.crivo, plan.peer) if system}
        await asyncio.sleep(seconds)
        usage = read_usage(plan.crivo.roots).since(before[plan.crivo])
        ours.append(usage.total_ms / seconds / 10)
        for name, ms in usage.parts.items():
            parts.setdefault(f"{name}_percent", []).append(ms / seconds / 10)
        if plan.peer is not None:
            theirs.append(
                read_usage(plan.peer.roots).since(before[plan.peer]).total_ms / seconds / 10
            )
    return [
        new_line(
            "cpu-idle",
            unit="% of a core",
            runs=ours,
            baseline=("the peer", theirs),
            goal=_IDLE_PERCENT,
            also=parts,
        )
    ]


async def measure_show(plan: Plan) -> list[Line]:
    """Measure `GET /executions/{id}` of one client while 32 others saturate the workers."""
    medians, p95s = [], []
    for _ in range(plan.runs):
        client = Client(plan.crivo.port)
        shown = msgspec.json.decode(await plan.crivo.execute(client, PAYLOAD))["id"]
        load = asyncio.create_task(_saturate(plan))
        await asyncio.sleep(0 if plan.quick else 1)
        durations_ms = await time_one_by_one(
            partial(client.request, "GET", f"/executions/{shown}"),
            count=plan.count(300),
            pause_seconds=0.02,
        )
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        client.close()
        p95s.append(percentile(durations_ms, 0.95))
        medians.append(percentile(durations_ms, 0.5))
        await plan.crivo.drained()
    return [
        new_line(
            "show-while-saturated",
            unit="ms",
            runs=p95s,
            baseline=("none", []),
            goal=_SHOW_P95_MS,
            also={"median_ms": medians},
        )
    ]


async def _saturate(plan: Plan) -> None:
    clients = [Client(plan.crivo.port) for _ in range(_CLIENTS)]
    executes = [partial(plan.crivo.execute, client, PAYLOAD) for client in clients]
    try:
        await time_closed_loops(list(executes), count=1_000_000)
    finally:
        for client in clients:
            client.close()


async def _closed_loops(
    system: System, count: int, *, poll_seconds: float
) -> tuple[float, list[float], CpuUsage]:
    clients = [Client(system.port) for _ in range(_CLIENTS)]
    body = system.encode(SOURCE, PAYLOAD)
    executes = [partial(system.execute, each, body, poll_seconds=poll_seconds) for each in clients]
    try:
        await time_closed_loops(list(executes), count=_CLIENTS * (os.cpu_count() or 1))
        await asyncio.sleep(_SETTLE_SECONDS)
        before = read_usage(system.roots)
        seconds, durations_ms = await time_closed_loops(list(executes), count=count)
        await asyncio.sleep(_SETTLE_SECONDS)
        return seconds, durations_ms, read_usage(system.roots).since(before)
    finally:
        for client in clients:
            client.close()
