"""Measure small executions: CPU time, latency and throughput."""

import asyncio
import time
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import Isolation
from scripts.benchmarks.node import open_contexts
from scripts.benchmarks.output import Line, new_line, percentile
from scripts.benchmarks.processes import cpu_of, idle_cpu
from scripts.benchmarks.workload import PAYLOAD, SOURCE, TINY_SOURCE, new_job, succeed

CPU_GOAL_MS: Final = 3.0
LATENCY_GOAL_MS: Final = 1.5
_TWO_CELLS: Final = 2
# Between two executions, so that each starts on an idle cell.
_PAUSE_S: Final = 0.005


class CpuMs(Struct, frozen=True, kw_only=True):
    """CPU time per execution in ms, by process."""

    zygote: float
    cells: float
    pool: float

    @property
    def sandbox(self) -> float:
        """Return the sum without the pool's own process."""
        return self.zygote + self.cells


async def measure_cpu(*, runs: int, count: int, config: PoolConfig) -> list[Line]:
    """Measure the CPU time of zygote and cells per execution, from the fork to the cell's exit."""
    ours, alone, node = [], [], []
    for _ in range(runs):
        ours.append(await _cpu_ms(count, config))
        alone.append(await _cpu_ms(max(count // 4, 1), _process_each(config)))
        node_ms = await _node_cpu_ms(count)
        node += [] if node_ms is None else [node_ms]
    return [
        new_line(
            "small-cpu",
            unit="ms",
            runs=[each.sandbox for each in ours],
            baseline=("one process per execution", [each.sandbox for each in alone]),
            goal=CPU_GOAL_MS,
            also={
                "zygote_ms": [each.zygote for each in ours],
                "cells_ms": [each.cells for each in ours],
                "pool_process_ms": [each.pool for each in ours],
                "node_fresh_context_ms": node,
            },
        )
    ]


async def measure_latency(*, runs: int, count: int, config: PoolConfig) -> list[Line]:
    """Measure a call of `pool.run` for a script that does nothing."""
    paced, paced_95, at_once, node = [], [], [], []
    for _ in range(runs):
        async with open_pool(config) as pool:
            await _repeat(pool, config.jobs)
            values = await _latencies_ms(pool, count, pause_s=_PAUSE_S)
            paced.append(percentile(values, 0.5))
            paced_95.append(percentile(values, 0.95))
            at_once.append(percentile(await _latencies_ms(pool, count, pause_s=0), 0.5))
        node += await _node_latency_ms(count)
    return [
        new_line(
            "dispatch-latency",
            unit="ms",
            runs=paced,
            baseline=("a long-lived node, fresh context, by pipes", node),
            goal=LATENCY_GOAL_MS,
            also={"p95_ms": paced_95, "back_to_back_ms": at_once},
        )
    ]


async def measure_rate(*, runs: int, count: int, config: PoolConfig) -> list[Line]:
    """Measure executions per second with every cell busy."""
    one, two, alone = [], [], []
    for _ in range(runs):
        one.append(await _rate(count, config))
        two.append(await _rate(count, replace(config, cells=_TWO_CELLS, warm=_TWO_CELLS)))
        alone.append(await _rate(max(count // 4, 1), _process_each(config)))
    return [
        new_line(
            "rate-one-cell",
            unit="executions/s",
            runs=one,
            baseline=("one process per execution", alone),
        ),
        new_line("rate-two-cells", unit="executions/s", runs=two, baseline=("one cell", one)),
    ]


def _process_each(config: PoolConfig) -> PoolConfig:
    return replace(config, isolation=Isolation.PROCESS)


async def _cpu_ms(count: int, config: PoolConfig) -> CpuMs:
    """Measure from one idle fresh cell to the next, over whole lifetimes of cells.

    Each used cell counts from its fork to its exit: the fresh cell at the end stands for the one
    at the beginning.
    """
    count = -(-count // config.jobs) * config.jobs
    async with open_pool(config) as pool:
        await _repeat(pool, config.jobs)
        before = await idle_cpu(cell_count=1)
        await _repeat(pool, count)
        # Before the wait, which uses CPU time of this process too.
        pool_ns = time.process_time_ns() - before.pool_ns
        after = await idle_cpu(cell_count=1)
    return CpuMs(
        zygote=(after.zygote_ns - before.zygote_ns) / count / 1e6,
        cells=(after.cells_ns - before.cells_ns) / count / 1e6,
        pool=pool_ns / count / 1e6,
    )


async def _node_cpu_ms(count: int) -> float | None:
    async with open_contexts(SOURCE) as node:
        if node is None:
            return None
        await node.run(PAYLOAD)
        before_ns = cpu_of(node.pid)
        for _ in range(count):
            await node.run(PAYLOAD)
        return (cpu_of(node.pid) - before_ns) / count / 1e6


async def _latencies_ms(pool: SandboxPool, count: int, *, pause_s: float) -> list[float]:
    job = new_job(TINY_SOURCE)
    values = []
    for _ in range(count):
        if pause_s:
            await asyncio.sleep(pause_s)
        began_ns = time.perf_counter_ns()
        await succeed(pool, job, b"1")
        values.append((time.perf_counter_ns() - began_ns) / 1e6)
    return values


async def _node_latency_ms(count: int) -> list[float]:
    async with open_contexts(TINY_SOURCE) as node:
        if node is None:
            return []
        values = []
        for _ in range(count):
            await asyncio.sleep(_PAUSE_S)
            began_ns = time.perf_counter_ns()
            await node.run(b"1")
            values.append((time.perf_counter_ns() - began_ns) / 1e6)
        return [percentile(values, 0.5)]


async def _rate(count: int, config: PoolConfig) -> float:
    cells = config.cells
    async with open_pool(config) as pool:
        await _repeat(pool, config.jobs)
        began = time.perf_counter()
        count_per_cell = max(count // cells, 1)
        await asyncio.gather(*(_repeat(pool, count_per_cell) for _ in range(cells)))
        return count_per_cell * cells / (time.perf_counter() - began)


async def _repeat(pool: SandboxPool, count: int) -> None:
    job = new_job()
    for _ in range(count):
        await succeed(pool, job)
