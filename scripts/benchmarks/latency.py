"""Measure the latency of one client, from submission to result, for small and large data."""

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
_MAX_RATIO_TO_PEER: Final = 0.7
_1MB_MS: Final = 20.0
_25MB_MS: Final = 500.0
_25MB_MIB: Final = 150e6 / 2**20
_PAUSE_SECONDS: Final = 0.03
# Short, so that the client's sleeps do not dominate the peer's latency.
_POLL_SECONDS: Final = 0.001
_PEER_POLL_SECONDS: Final = 0.005


async def measure_idle(plan: Plan) -> list[Line]:
    """Measure consecutive small executions of one client."""
    count = plan.count(200)
    ours, theirs = list[float](), list[float]()
    also: dict[str, list[float]] = {"p95_ms": [], "without_pauses": []}
    if plan.peer is not None:
        also |= {"peer_polled_every_5_ms": [], "peer_without_pauses": []}
    for _ in range(plan.runs):
        durations_ms = await _times(plan.crivo, PAYLOAD, count)
        ours.append(statistics.median(durations_ms))
        also["p95_ms"].append(percentile(durations_ms, 0.95))
        durations_ms = await _times(plan.crivo, PAYLOAD, count, pause_seconds=0)
        also["without_pauses"].append(statistics.median(durations_ms))
        if plan.peer is not None:
            durations_ms = await _times(plan.peer, PAYLOAD, count)
            theirs.append(statistics.median(durations_ms))
            durations_ms = await _times(plan.peer, PAYLOAD, count, poll_seconds=_PEER_POLL_SECONDS)
            also["peer_polled_every_5_ms"].append(statistics.median(durations_ms))
            durations_ms = await _times(plan.peer, PAYLOAD, count, pause_seconds=0)
            also["peer_without_pauses"].append(statistics.median(durations_ms))
    baseline = ("the peer, polled every 1 ms", theirs)
    line = partial(new_line, unit="ms", runs=ours, baseline=baseline, also=also)
    return [
        line("lead-idle", goal=_IDLE_P50_MS),
        line("lead-idle-beside-peer", goal=_MAX_RATIO_TO_PEER, goal_of="ratio"),
    ]


async def measure_1mb(plan: Plan) -> list[Line]:
    """Measure 1 MB of data."""
    ours, baseline, _, _ = await _large(
        plan, 50_000 if plan.quick else 1_000_000, count=plan.count(30)
    )
    return [new_line("lead-1mb", unit="ms", goal=_1MB_MS, runs=ours, baseline=baseline)]


async def measure_25mb(plan: Plan) -> list[Line]:
    """Measure 25 MB of data: the latency, and the peak memory of API and worker."""
    size_bytes, count = (1_100_000, 1) if plan.quick else (25_000_000, 5)
    ours, baseline, our_peaks, their_peaks = await _large(plan, size_bytes, count=count)
    return [
        new_line("lead-25mb", unit="ms", goal=_25MB_MS, runs=ours, baseline=baseline),
        new_line(
            "memory-25mb",
            unit="MiB",
            goal=_25MB_MIB,
            runs=our_peaks,
            baseline=("the peer's two processes, isolates included", their_peaks),
        ),
    ]


async def _large(
    plan: Plan, size_bytes: int, *, count: int
) -> tuple[list[float], tuple[str, list[float]], list[float], list[float]]:
    payload = cards_of(size_bytes)
    ours, theirs, our_peaks, their_peaks = [], [], [], []
    for _ in range(plan.runs):
        our_pids = _serving_pids(plan.crivo)
        reset_peaks(our_pids)
        ours.append(statistics.median(await _times(plan.crivo, payload, count)))
        our_peaks.append(peak_mib(our_pids))
        if plan.peer is not None:
            their_pids = _serving_pids(plan.peer)
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
    # Crivo's clients wait instead of polling.
    poll = 0 if isinstance(system, Crivo) else poll_seconds
    execute = partial(system.execute, client, body, poll_seconds=poll)
    await execute()
    try:
        return await time_one_by_one(execute, count=count, pause_seconds=pause_seconds)
    finally:
        client.close()


def _serving_pids(system: Crivo | Peer) -> list[int]:
    return [pid for name, pid in system.roots.items() if name.endswith(("api", "worker"))]
