"""Many clients at once: executions a second, their CPU, reads meanwhile, and rest."""

import asyncio
import os
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from scripts.benchmarks.load import Client, time_closed_loops, time_one_by_one
from scripts.benchmarks.output import Line, new_line, percentile
from scripts.benchmarks.plan import Plan
from scripts.benchmarks.process_usage import Account, look
from scripts.benchmarks.systems import System
from scripts.benchmarks.workload import PAYLOAD, SOURCE

_CLIENTS: Final = 32
_POLL_SECONDS: Final = 0.005
_TIMES_PEER: Final = 1.5
_CPU_OF_PEER: Final = 0.75
_IDLE_PERCENT: Final = 3.0
_SHOW_P95_MS: Final = 30.0
# What still runs when the last result is there: cells that end, logs, reaped children.
_SETTLE_SECONDS: Final = 0.3


class _Rate:
    """What the runs of one side came to."""

    def __init__(self) -> None:
        self.per_second: list[float] = []
        self.p95_ms: list[float] = []
        self.cpu_ms: list[float] = []
        self.load_ms: list[float] = []
        self.parts: dict[str, list[float]] = {}

    def add(self, seconds: float, took: list[float], used: Account) -> None:
        count = len(took)
        self.per_second.append(count / seconds)
        self.p95_ms.append(percentile(took, 0.95))
        self.cpu_ms.append(used.total_ms / count)
        self.load_ms.append(used.load_ms / count)
        for name, ms in used.parts.items():
            self.parts.setdefault(name, []).append(ms / count)


async def measure_rate(plan: Plan) -> list[Line]:
    """Measure closed loops: ours waiting, then, for the record, ours polling as the peer must."""
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
    what: str, ours: _Rate, theirs: _Rate, *, goals: tuple[float | None, float | None]
) -> list[Line]:
    return [
        new_line(
            f"rate-{what}",
            unit="executions/s",
            runs=ours.per_second,
            baseline=("the peer, polled every 5 ms", theirs.per_second),
            goal=goals[0],
            goal_of="ratio",
            at_least=True,
            also={"lead_p95_ms": ours.p95_ms, "peer_lead_p95_ms": theirs.p95_ms},
        ),
        new_line(
            f"cpu-{what}",
            unit="ms/execution",
            runs=ours.cpu_ms,
            baseline=("the peer, polled every 5 ms", theirs.cpu_ms),
            goal=goals[1],
            goal_of="ratio",
            also={
                **{f"{name}_ms": values for name, values in ours.parts.items()},
                **{f"peer_{name}_ms": values for name, values in theirs.parts.items()},
                "load_ms": ours.load_ms,
                "peer_load_ms": theirs.load_ms,
            },
        ),
    ]


async def measure_idle_cpu(plan: Plan) -> list[Line]:
    """Measure what the whole system uses while nothing is asked of it."""
    seconds = 0.5 if plan.quick else 20.0
    ours, theirs, parts = [], [], dict[str, list[float]]()
    # What the last executions leave to do is no rest.
    await asyncio.sleep(0 if plan.quick else 5)
    for _ in range(plan.runs):
        before = {system: look(system.roots) for system in (plan.crivo, plan.peer) if system}
        await asyncio.sleep(seconds)
        used = look(plan.crivo.roots).since(before[plan.crivo])
        ours.append(used.total_ms / seconds / 10)
        for name, ms in used.parts.items():
            parts.setdefault(f"{name}_percent", []).append(ms / seconds / 10)
        if plan.peer is not None:
            theirs.append(look(plan.peer.roots).since(before[plan.peer]).total_ms / seconds / 10)
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
    """Measure `GET /executions/{id}` by one client while 32 others saturate the workers."""
    medians, p95s = [], []
    for _ in range(plan.runs):
        client = Client(plan.crivo.port)
        shown = msgspec.json.decode(await plan.crivo.execute(client, PAYLOAD))["id"]
        load = asyncio.create_task(_saturate(plan))
        await asyncio.sleep(0 if plan.quick else 1)
        took = await time_one_by_one(
            partial(client.ask, "GET", f"/executions/{shown}"),
            count=plan.count(300),
            pause_seconds=0.02,
        )
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        client.close()
        p95s.append(percentile(took, 0.95))
        medians.append(percentile(took, 0.5))
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
) -> tuple[float, list[float], Account]:
    clients = [Client(system.port) for _ in range(_CLIENTS)]
    body = system.encode(SOURCE, PAYLOAD)
    executes = [partial(system.execute, each, body, poll_seconds=poll_seconds) for each in clients]
    try:
        await time_closed_loops(list(executes), count=_CLIENTS * (os.cpu_count() or 1))
        await asyncio.sleep(_SETTLE_SECONDS)
        before = look(system.roots)
        seconds, took = await time_closed_loops(list(executes), count=count)
        await asyncio.sleep(_SETTLE_SECONDS)
        return seconds, took, look(system.roots).since(before)
    finally:
        for client in clients:
            client.close()
