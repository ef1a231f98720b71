"""Lead times of one client: from a submission to its result, small and large."""

import statistics
from functools import partial
from typing import Final

from scripts.benchmarks.load import Client, time_one_by_one
from scripts.benchmarks.output import Line, new_line, percentile
from scripts.benchmarks.plan import Plan
from scripts.benchmarks.process_usage import peak_mib, reset_peaks
from scripts.benchmarks.systems import Crivo, Peer, System
from scripts.benchmarks.workload import PAYLOAD, SOURCE, cards_of

_IDLE_P50_MS: Final = 5.0
_MOST_OF_PEER: Final = 0.7
_1MB_MS: Final = 20.0
_25MB_MS: Final = 500.0
_25MB_MIB: Final = 150e6 / 2**20
_PAUSE_SECONDS: Final = 0.03
# Short, so that the peer is not measured by the sleeps of its client.
_POLL_SECONDS: Final = 0.001
_PEER_POLL_SECONDS: Final = 0.005


async def measure_idle(plan: Plan) -> list[Line]:
    """Measure small executions of one client, one after the other."""
    count = plan.count(200)
    ours, theirs = list[float](), list[float]()
    also: dict[str, list[float]] = {"p95_ms": [], "without_pauses": []}
    if plan.peer is not None:
        also |= {"peer_polled_every_5_ms": [], "peer_without_pauses": []}
    for _ in range(plan.runs):
        took = await _times(plan.crivo, PAYLOAD, count)
        ours.append(statistics.median(took))
        also["p95_ms"].append(percentile(took, 0.95))
        took = await _times(plan.crivo, PAYLOAD, count, pause_seconds=0)
        also["without_pauses"].append(statistics.median(took))
        if plan.peer is not None:
            took = await _times(plan.peer, PAYLOAD, count)
            theirs.append(statistics.median(took))
            took = await _times(plan.peer, PAYLOAD, count, poll_seconds=_PEER_POLL_SECONDS)
            also["peer_polled_every_5_ms"].append(statistics.median(took))
            took = await _times(plan.peer, PAYLOAD, count, pause_seconds=0)
            also["peer_without_pauses"].append(statistics.median(took))
    baseline = ("the peer, polled every 1 ms", theirs)
    line = partial(new_line, unit="ms", runs=ours, baseline=baseline, also=also)
    return [
        line("lead-idle", goal=_IDLE_P50_MS),
        line("lead-idle-beside-peer", goal=_MOST_OF_PEER, goal_of="ratio"),
    ]


async def measure_1mb(plan: Plan) -> list[Line]:
    """Measure data of one megabyte."""
    found = await _large(plan, 50_000 if plan.quick else 1_000_000, count=plan.count(30))
    return [new_line("lead-1mb", unit="ms", goal=_1MB_MS, runs=found[0], baseline=found[1])]


async def measure_25mb(plan: Plan) -> list[Line]:
    """Measure data of 25 MB: the time, and what API and worker hold meanwhile."""
    size_bytes, count = (1_100_000, 1) if plan.quick else (25_000_000, 5)
    found = await _large(plan, size_bytes, count=count)
    baseline = found[1]
    return [
        new_line("lead-25mb", unit="ms", goal=_25MB_MS, runs=found[0], baseline=baseline),
        new_line(
            "memory-25mb",
            unit="MiB",
            goal=_25MB_MIB,
            runs=found[2],
            baseline=("the peer's two processes, isolates included", found[3]),
        ),
    ]


async def _large(
    plan: Plan, size_bytes: int, *, count: int
) -> tuple[list[float], tuple[str, list[float]], list[float], list[float]]:
    payload = cards_of(size_bytes)
    ours, theirs, our_peaks, their_peaks = [], [], [], []
    for _ in range(plan.runs):
        our_pids = _serving(plan.crivo)
        reset_peaks(our_pids)
        ours.append(statistics.median(await _times(plan.crivo, payload, count)))
        our_peaks.append(peak_mib(our_pids))
        if plan.peer is not None:
            their_pids = _serving(plan.peer)
            reset_peaks(their_pids)
            theirs.append(statistics.median(await _times(plan.peer, payload, count)))
            their_peaks.append(peak_mib(their_pids))
    return ours, ("the peer, polled every 1 ms", theirs), our_peaks, their_peaks


async def _times(
    system: System,
    payload: bytes,
    count: int,
    *,
    poll_seconds: float = _POLL_SECONDS,
    pause_seconds: float = _PAUSE_SECONDS,
) -> list[float]:
    client = Client(system.port)
    body = system.encode(SOURCE, payload)
    # Ours is waited for.
    poll = 0 if isinstance(system, Crivo) else poll_seconds
    execute = partial(system.execute, client, body, poll_seconds=poll)
    await execute()
    try:
        return await time_one_by_one(execute, count=count, pause_seconds=pause_seconds)
    finally:
        client.close()


def _serving(system: Crivo | Peer) -> list[int]:
    return [pid for name, pid in system.roots.items() if name.endswith(("api", "worker"))]
