"""Soak the sandbox with thousands of executions, some hostile, to find leaks and losses."""

import asyncio
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

import psutil
from msgspec import Struct, structs

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.zygote_client import is_running
from scripts.benchmarks.mixture import CARDS, Case, draw, job_of
from scripts.benchmarks.output import print_json
from scripts.benchmarks.processes import cells, count_fds, zygotes
from scripts.benchmarks.workload import MIB, run, succeed

_CELLS: Final = 2
_WARM: Final = 2
_TENANTS: Final = 5
# The average number of consecutive executions of a tenant.
_STAY: Final = 20
# Primes, so that windows do not all end alike.
_CELL_KILL_EVERY: Final = 149
_ZYGOTE_KILL_EVERY: Final = 997
# Short, so that only fresh cells are left between windows.
_IDLE_S: Final = 0.5
_SETTLE_TIMEOUT_S: Final = 30
_WINDOWS: Final = 20
_WARM_UP_WINDOWS: Final = 1
# Allowed growth from early to late windows.
_MAX_RSS_RATIO: Final = 1.10
_EXTRA_RSS_MIB: Final = 8.0


class Sample(Struct, frozen=True, kw_only=True):
    """The resources of the idle pool's process and its zygote."""

    pool_rss_mib: float
    pool_fds: int
    pool_threads: int
    zygotes: int
    zygote_rss_mib: float
    zygote_fds: int
    zygote_threads: int
    cells: int


async def soak(*, count: int, config: PoolConfig, seed: int) -> int:
    """Print a line per window and a verdict; return 1 if something leaked or was lost."""
    config = structs.replace(config, cells=_CELLS, warm=_WARM, idle_seconds=_IDLE_S)
    window = min(1_000, max(count // _WINDOWS, 1))
    samples: list[Sample] = []
    async with open_pool(config) as pool:
        soak_run = _Soak(pool, seed=seed)
        await soak_run.record_expected_output()
        while soak_run.done < count:
            began = time.perf_counter()
            await soak_run.execute_many(min(window, count - soak_run.done))
            seconds = time.perf_counter() - began
            await soak_run.replace_killed()
            samples.append(await _settle())
            print_json(
                {
                    "bench": "soak",
                    "done": soak_run.done,
                    "seconds": round(seconds, 1),
                    **structs.asdict(samples[-1]),
                    "cells_killed": soak_run.cells_killed,
                    "zygotes_killed": soak_run.zygotes_killed,
                }
            )
    leaks = find_leaks(samples)
    print_json(
        {
            "bench": "soak-verdict",
            "executions": soak_run.done,
            "outcomes": dict(sorted(soak_run.outcomes.items())),
            "cells_killed": soak_run.cells_killed,
            "zygotes_killed": soak_run.zygotes_killed,
            "ended_by_our_kills": soak_run.excused,
            "flat": not leaks,
            "leaks": leaks,
            "tolerance": f"RSS {_MAX_RSS_RATIO} x + {_EXTRA_RSS_MIB} MiB, all else 0",
            "wrong_or_lost": soak_run.wrong,
        }
    )
    return 1 if leaks or soak_run.wrong else 0


def find_leaks(samples: Sequence[Sample]) -> list[str]:
    """Compare the medians of the first and the last third, and name what has grown.

    The first window is left out, since imports and allocators warm up in it.
    """
    compared = samples[_WARM_UP_WINDOWS:] or samples
    third = max(len(compared) // 3, 1)
    leaks = []
    for name in Sample.__struct_fields__:
        values = [float(getattr(sample, name)) for sample in compared]
        early, late = statistics.median(values[:third]), statistics.median(values[-third:])
        limit = early * _MAX_RSS_RATIO + _EXTRA_RSS_MIB if name.endswith("_mib") else early
        if late > limit:
            leaks.append(f"{name}: {early} early, {late} late")
    return leaks


class _Soak:
    """The executions of a soak and their outcomes."""

    def __init__(self, pool: SandboxPool, *, seed: int) -> None:
        self.done = 0
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.excused = 0
        self.cells_killed = 0
        self.zygotes_killed = 0
        self._pool = pool
        self._rng = random.Random(seed)  # noqa: S311 - a reproducible mixture
        self._expected_output = b""
        # Whether a process was killed while an execution ran: such an execution may crash.
        self._running: dict[int, bool] = {}
        self._killing = 0
        self._started = 0
        self._left = 0

    async def record_expected_output(self) -> None:
        """Run the cards script once to learn its output."""
        self._expected_output = (await succeed(self._pool, job_of(CARDS, tenant="t0"))).output

    async def replace_killed(self) -> None:
        """Have the pool replace killed fresh cells, which it notices when it takes one."""
        for _ in range(_WARM + 1):
            await succeed(self._pool, job_of(CARDS, tenant="t0"), fresh=True)

    async def execute_many(self, count: int) -> None:
        """Run `count` executions, one at a time per cell."""
        self._left = count
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CELLS):
                tasks.create_task(self._loop())

    async def _loop(self) -> None:
        tenant = "t0"
        while self._left:
            self._left -= 1
            self._started += 1
            if self._rng.randrange(_STAY) == 0:
                tenant = f"t{self._rng.randrange(_TENANTS)}"
            kill = self._next_kill(self._started)
            execution = self._execute(self._started, draw(self._rng), tenant)
            if kill is None:
                await execution
            else:
                await asyncio.gather(execution, self._kill_soon(kill))

    async def _execute(self, number: int, case: Case, tenant: str) -> None:
        self._running[number] = self._killing > 0
        try:
            ran = await run(self._pool, job_of(case, tenant=tenant), case.payload)
        except Exception as error:  # noqa: BLE001 - with any exception the execution is lost
            self._record_outcome(number, case, f"{type(error).__name__}: {error}")
            return
        tag = str(ran.report.outcome.__struct_config__.tag)
        is_intact = case is not CARDS or ran.output == self._expected_output
        self._record_outcome(
            number, case, tag if is_intact or tag != "succeeded" else "another's output"
        )

    def _record_outcome(self, number: int, case: Case, outcome: str) -> None:
        is_excused = self._running.pop(number)
        self.done += 1
        self.outcomes[outcome] += 1
        if outcome == case.expected:
            return
        if outcome == "crashed" and is_excused:
            self.excused += 1
            return
        self.wrong.append(f"{number}: {case.name}: {outcome}, not {case.expected}")

    def _next_kill(self, number: int) -> str | None:
        if number % _ZYGOTE_KILL_EVERY == 0:
            return "zygote"
        return "cell" if number % _CELL_KILL_EVERY == 0 else None

    async def _kill_soon(self, kind: str) -> None:
        """Kill -9 one process, and excuse the executions that run until it has exited."""
        await asyncio.sleep(self._rng.random() * 0.01)
        victims = zygotes() if kind == "zygote" else cells()
        if not victims:
            return
        victim = self._rng.choice(victims)
        with ExitStack() as descriptors, suppress(ProcessLookupError, psutil.NoSuchProcess):
            # By pidfd, like the pool: a process is a zombie as soon as its first thread has
            # ended, although others may still run.
            pidfds = []
            for process in (victim, *victim.children()):
                pidfds.append(os.pidfd_open(process.pid))
                descriptors.callback(os.close, pidfds[-1])
            self._killing += 1
            descriptors.callback(self._end_killing)
            self._running = dict.fromkeys(self._running, True)
            signal.pidfd_send_signal(pidfds[0], signal.SIGKILL)
            if kind == "zygote":
                self.zygotes_killed += 1
            else:
                self.cells_killed += 1
            async with asyncio.timeout(_SETTLE_TIMEOUT_S):
                while any(map(is_running, pidfds)):  # noqa: ASYNC110 - not worth three readers
                    await asyncio.sleep(0.001)

    def _end_killing(self) -> None:
        self._killing -= 1


async def _settle() -> Sample:
    """Wait, for a bounded time, until only fresh cells are left, then take a sample."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_TIMEOUT_S):
            # ASYNC110: the kernel reports no events of grandchildren.
            while len(zygotes()) != 1 or len(cells()) != _WARM:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    pool = psutil.Process()
    all_zygotes = zygotes()
    newest = all_zygotes[-1]
    return Sample(
        pool_rss_mib=round(pool.memory_info().rss / MIB, 1),
        pool_fds=count_fds(pool.pid),
        pool_threads=pool.num_threads(),
        zygotes=len(all_zygotes),
        zygote_rss_mib=round(newest.memory_info().rss / MIB, 1),
        zygote_fds=count_fds(newest.pid),
        zygote_threads=newest.num_threads(),
        cells=len(cells()),
    )
