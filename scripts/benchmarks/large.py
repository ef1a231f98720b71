"""Measure filter and reduce of large data, against a fresh Node on the same bytes."""

import time
from typing import Final

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from scripts.benchmarks.node import NodeRun, run_whole
from scripts.benchmarks.output import Line, new_line
from scripts.benchmarks.workload import MIB, SOURCE, cards_of, new_job, succeed

GOAL: Final = 1.0
_MEMORY_BYTES: Final = 2_048 * MIB


async def measure_large(
    *, runs: int, size_bytes: int, config: PoolConfig, goal: float | None
) -> list[Line]:
    """Measure the time inside, the whole time, and the peak resident set of both sides.

    Inside is from the bytes in memory to the result. Whole is a call of `pool.run` with a warm
    cell, including the transfer, and a Node process from start to exit.
    """
    payload = cards_of(size_bytes)
    inside: list[float] = []
    whole: list[float] = []
    peaks: list[float] = []
    nodes: list[NodeRun] = []
    async with open_pool(config) as pool:
        for run in range(runs):
            job = new_job(
                tenant=f"bench-{run}", memory_bytes=_MEMORY_BYTES
            )  # a new tenant gets a fresh cell
            began_ns = time.perf_counter_ns()
            ran = await succeed(pool, job, payload)
            whole.append((time.perf_counter_ns() - began_ns) / 1e6)
            inside.append(ran.report.usage.run_ms)
            peaks.append(ran.report.usage.peak_memory_bytes / MIB)
            node = await run_whole(SOURCE, payload)
            if node is not None:
                nodes.append(node)
                if node.output != ran.output:
                    raise RuntimeError("the results of sandbox and node differ")
    name = f"filter-reduce-{size_bytes // 1_000_000}mb"
    node_inside = [node.inside_ms for node in nodes]
    ratios = [ours / theirs for ours, theirs in zip(whole, node_inside, strict=False)]
    return [
        new_line(
            f"{name}-inside",
            unit="ms",
            runs=inside,
            baseline=("inside node: parse, function, stringify", node_inside),
            goal=goal,
            goal_of="ratio",
        ),
        new_line(
            f"{name}-whole",
            unit="ms",
            runs=whole,
            baseline=("a node process, start to end", [node.wall_ms for node in nodes]),
            goal=goal,
            goal_of="ratio",
            also={"ratio_to_inside_node": ratios},
        ),
        new_line(
            f"{name}-peak",
            unit="MiB",
            runs=peaks,
            baseline=("node's peak", [node.peak_bytes / MIB for node in nodes]),
        ),
    ]
