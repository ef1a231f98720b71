"""Run thousands of executions, hostile ones among them: nothing may leak, none may be lost."""

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
# How long a tenant stays before another one comes, in executions, about.
_STAY: Final = 20
# Primes: no window ends with the same thing each time.
_CELL_KILL_EVERY: Final = 149
_ZYGOTE_KILL_EVERY: Final = 997
# Short, so that between two windows only the fresh cells are left.
_IDLE_S: Final = 0.5
_SETTLE_TIMEOUT_S: Final = 30
_WINDOWS: Final = 20
_FIRST_JUDGED: Final = 1
# A late window may have so much more than an early one.
_MORE_RSS: Final = 1.10
_MORE_RSS_MIB: Final = 8.0


class Sample(Struct, frozen=True, kw_only=True):
    """What the pool's process and its zygote hold while nothing runs."""

    pool_rss_mib: float
    pool_fds: int
    pool_threads: int
    zygotes: int
    zygote_rss_mib: float
    zygote_fds: int
    zygote_threads: int
    cells: int


async def soak(*, count: int, isolates: int, seed: int) -> int:
    """Print a line per window and a verdict; 1 when something leaked or was lost."""
    config = PoolConfig(cells=_CELLS, warm=_WARM, isolates=isolates, idle_seconds=_IDLE_S)
    window = min(1_000, max(count // _WINDOWS, 1))
    samples: list[Sample] = []
    async with open_pool(config) as pool:
        record = _Record(pool, seed=seed)
        await record.learn()
        while record.done < count:
            began = time.perf_counter()
            await record.work(min(window, count - record.done))
            seconds = time.perf_counter() - began
            await record.renew()
            samples.append(await _settle())
            print_json(
                {
                    "bench": "soak",
                    "done": record.done,
                    "seconds": round(seconds, 1),
                    **structs.asdict(samples[-1]),
                    "cells_killed": record.cells_killed,
                    "zygotes_killed": record.zygotes_killed,
                }
            )
    leaks = find_leaks(samples)
    print_json(
        {
            "bench": "soak-verdict",
            "executions": record.done,
            "outcomes": dict(sorted(record.outcomes.items())),
            "cells_killed": record.cells_killed,
            "zygotes_killed": record.zygotes_killed,
            "ended_by_our_kills": record.excused,
            "flat": not leaks,
            "leaks": leaks,
            "tolerance": f"RSS {_MORE_RSS} x + {_MORE_RSS_MIB} MiB, all else 0",
            "wrong_or_lost": record.wrong,
        }
    )
    return 1 if leaks or record.wrong else 0


def find_leaks(samples: Sequence[Sample]) -> list[str]:
    """Compare the medians of an early and a late third; name what has grown.

    The first window is left out: imports and allocators warm up in it.
    """
    judged = samples[_FIRST_JUDGED:] or samples
    third = max(len(judged) // 3, 1)
    leaks = []
    for name in Sample.__struct_fields__:
        values = [float(getattr(sample, name)) for sample in judged]
        early, late = statistics.median(values[:third]), statistics.median(values[-third:])
        most = early * _MORE_RSS + _MORE_RSS_MIB if name.endswith("_mib") else early
        if late > most:
            leaks.append(f"{name}: {early} early, {late} late")
    return leaks


class _Record:
    """The executions of a soak and what came of each."""

    def __init__(self, pool: SandboxPool, *, seed: int) -> None:
        self.done = 0
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.excused = 0
        self.cells_killed = 0
        self.zygotes_killed = 0
        self._pool = pool
        self._dice = random.Random(seed)  # noqa: S311 - a mixture that can be repeated
        self._right = b""
        # Executions that ran while we killed something: of these one may die for each victim.
        self._running: dict[int, bool] = {}
        self._killing = 0
        self._begun = 0
        self._left = 0

    async def learn(self) -> None:
        """See once what the cards come to."""
        self._right = (await succeed(self._pool, job_of(CARDS, tenant="t0"))).output

    async def renew(self) -> None:
        """Have the pool find what we killed among its fresh cells: it looks when it takes one."""
        for _ in range(_WARM + 1):
            await succeed(self._pool, job_of(CARDS, tenant="t0"), fresh=True)

    async def work(self, count: int) -> None:
        """Do so many executions, as many at once as there are cells."""
        self._left = count
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CELLS):
                tasks.create_task(self._loop())

    async def _loop(self) -> None:
        tenant = "t0"
        while self._left:
            self._left -= 1
            self._begun += 1
            if self._dice.randrange(_STAY) == 0:
                tenant = f"t{self._dice.randrange(_TENANTS)}"
            kill = self._next_kill(self._begun)
            execution = self._execute(self._begun, draw(self._dice), tenant)
            if kill is None:
                await execution
            else:
                await asyncio.gather(execution, self._kill_soon(kill))

    async def _execute(self, number: int, case: Case, tenant: str) -> None:
        self._running[number] = self._killing > 0
        try:
            ran = await run(self._pool, job_of(case, tenant=tenant), case.payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, this execution is lost
            self._note(number, case, f"{type(error).__name__}: {error}")
            return
        tag = str(ran.report.outcome.__struct_config__.tag)
        intact = case is not CARDS or ran.output == self._right
        self._note(number, case, tag if intact or tag != "succeeded" else "another's output")

    def _note(self, number: int, case: Case, came_to: str) -> None:
        excusable = self._running.pop(number)
        self.done += 1
        self.outcomes[came_to] += 1
        if came_to == case.expected:
            return
        if came_to == "crashed" and excusable:
            self.excused += 1
            return
        self.wrong.append(f"{number}: {case.name}: {came_to}, not {case.expected}")

    def _next_kill(self, number: int) -> str | None:
        if number % _ZYGOTE_KILL_EVERY == 0:
            return "zygote"
        return "cell" if number % _CELL_KILL_EVERY == 0 else None

    async def _kill_soon(self, what: str) -> None:
        """Kill -9 one process, and excuse whoever runs until it is gone."""
        await asyncio.sleep(self._dice.random() * 0.01)
        victims = zygotes() if what == "zygote" else cells()
        if not victims:
            return
        victim = self._dice.choice(victims)
        with ExitStack() as descriptors, suppress(ProcessLookupError, psutil.NoSuchProcess):
            # By pidfd, as the pool looks: a process is called a zombie when its first thread
            # has ended, and then it is not over yet.
            doomed = []
            for process in (victim, *victim.children()):
                doomed.append(os.pidfd_open(process.pid))
                descriptors.callback(os.close, doomed[-1])
            self._killing += 1
            descriptors.callback(self._end_killing)
            self._running = dict.fromkeys(self._running, True)
            signal.pidfd_send_signal(doomed[0], signal.SIGKILL)
            if what == "zygote":
                self.zygotes_killed += 1
            else:
                self.cells_killed += 1
            async with asyncio.timeout(_SETTLE_TIMEOUT_S):
                while any(map(is_running, doomed)):  # noqa: ASYNC110 - not worth three readers
                    await asyncio.sleep(0.001)

    def _end_killing(self) -> None:
        self._killing -= 1


async def _settle() -> Sample:
    """Wait until only the fresh cells are left, or for a while; then look."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_TIMEOUT_S):
            # ASYNC110: these are grandchildren; the kernel tells us nothing of them.
            while len(zygotes()) != 1 or len(cells()) != _WARM:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    pool = psutil.Process()
    found = zygotes()
    newest = found[-1]
    return Sample(
        pool_rss_mib=round(pool.memory_info().rss / MIB, 1),
        pool_fds=count_fds(pool.pid),
        pool_threads=pool.num_threads(),
        zygotes=len(found),
        zygote_rss_mib=round(newest.memory_info().rss / MIB, 1),
        zygote_fds=count_fds(newest.pid),
        zygote_threads=newest.num_threads(),
        cells=len(cells()),
    )
