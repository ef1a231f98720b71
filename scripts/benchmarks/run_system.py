"""Measure whole runs: exact sums of gigabytes, memory, two slots beside one, a mapping, turns."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import psutil
import uvloop

from app.background import background
from scripts.benchmarks.load import Client, time_one_by_one
from scripts.benchmarks.output import new_line, print_json, print_line
from scripts.benchmarks.process_usage import peak_mib, read_usage, reset_peaks
from scripts.benchmarks.run_loads import (
    MAP,
    SUM_BYTES,
    Numbers,
    Records,
    call,
    create_script,
    ended,
    numbers_of_size,
    send,
    start_run,
)
from scripts.benchmarks.systems import Crivo, running_crivo

_POLL_SECONDS: Final = 0.02
# The goals of the issue.
_CELL_MIB: Final = 200
_SERVICE_MIB: Final = 150
_TWO_SLOTS: Final = 1.8
_FLOODING_RUNS: Final = 4
_EXECUTIONS: Final = 50
_PAUSE_SECONDS: Final = 0.1


class Peaks:
    """The highest resident sets, in MiB, of API, worker and cells, while it watches."""

    def __init__(self, crivo: Crivo) -> None:
        """Watch the processes of a system."""
        self.mib: Counter[str] = Counter()
        self._crivo = crivo

    async def watch(self) -> None:
        """Read the peaks until cancelled."""
        reset_peaks([self._crivo.roots[name] for name in ("api", "worker")])
        while True:
            for name in ("api", "worker"):
                with suppress(OSError, ValueError):
                    self._note(name, self._crivo.roots[name])
            with suppress(psutil.Error, OSError, ValueError):
                for each in psutil.Process(self._crivo.roots["worker"]).children(recursive=True):
                    with suppress(psutil.Error, OSError, ValueError):
                        self._note("cell", each.pid)
            await asyncio.sleep(_POLL_SECONDS)

    def _note(self, name: str, pid: int) -> None:
        self.mib[name] = max(self.mib[name], round(peak_mib([pid])))


def measure(*, size: int, records: int, runs: int) -> int:
    """Measure and print; return 1 if a result is not exact."""
    return uvloop.run(_measure(size, records, runs))


async def _measure(size: int, records: int, runs: int) -> int:
    numbers = numbers_of_size(size)
    small = numbers_of_size(min(size, 500_000_000))
    faults = 0
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(runs):
        for slots in (1, 2):
            async with running_crivo(CRIVO_WORKER_SLOTS=str(slots)) as crivo:
                rates[slots].append(await _rate_of_sum(crivo, small))
    print_line(
        new_line(
            "run-two-slots",
            unit="MB/s",
            runs=rates[2],
            baseline=("one slot", rates[1]),
            goal=_TWO_SLOTS,
            goal_of="ratio",
            at_least=True,
        )
    )
    async with running_crivo() as crivo:
        faults += await _large_sum(crivo, numbers)
        await _mapping(crivo, records)
    async with running_crivo() as crivo:
        await _turns(crivo, small, runs)
    return 1 if faults else 0


async def _rate_of_sum(crivo: Crivo, numbers: Numbers) -> float:
    await asyncio.to_thread(send, crivo, "numbers", numbers.chunks(), format="text")
    create_script(crivo, "sum-even", SUM_BYTES)
    # Once, so that the pages of the dataset are in memory for both.
    await _run_sum(crivo, numbers)
    began = time.perf_counter()
    await _run_sum(crivo, numbers)
    return numbers.size / 1e6 / (time.perf_counter() - began)


async def _run_sum(crivo: Crivo, numbers: Numbers) -> bool:
    run_id = start_run(crivo, script="sum-even", dataset="numbers", format="bytes")
    run = await ended(crivo, run_id)
    return bool(run["result"] == str(numbers.even_sum))


async def _large_sum(crivo: Crivo, numbers: Numbers) -> int:
    began = time.perf_counter()
    await asyncio.to_thread(send, crivo, "numbers", numbers.chunks(), format="text")
    upload_seconds = time.perf_counter() - began
    create_script(crivo, "sum-even", SUM_BYTES)
    peaks = Peaks(crivo)
    before = read_usage(crivo.roots)
    began = time.perf_counter()
    async with background(peaks.watch()):
        exact = await _run_sum(crivo, numbers)
    seconds = time.perf_counter() - began
    used = read_usage(crivo.roots).since(before)
    for name, goal in (("cell", _CELL_MIB), ("worker", _SERVICE_MIB), ("api", _SERVICE_MIB)):
        print_line(
            new_line(
                f"run-sum-{name}-peak",
                unit="MiB",
                runs=[peaks.mib[name]],
                baseline=("", ()),
                goal=goal,
            )
        )
    print_json(
        {
            "bench": "run-sum",
            "bytes": numbers.size,
            "exact": exact,
            "upload_mb_s": round(numbers.size / 1e6 / upload_seconds, 1),
            "mb_s": round(numbers.size / 1e6 / seconds, 1),
            "cpu_ms_per_mb": {
                name: round(each / (numbers.size / 1e6), 2) for name, each in used.parts.items()
            },
        }
    )
    return 0 if exact else 1


async def _mapping(crivo: Crivo, size: int) -> None:
    await asyncio.to_thread(send, crivo, "records", Records(size=size).chunks(), format="jsonl")
    create_script(crivo, "double", MAP)
    peaks = Peaks(crivo)
    began = time.perf_counter()
    async with background(peaks.watch()):
        run_id = start_run(
            crivo, script="double", dataset="records", output={"dataset": "doubled", "key": "/pk"}
        )
        run = await ended(crivo, run_id)
    seconds = time.perf_counter() - began
    print_json(
        {
            "bench": "run-map",
            "bytes": run["progress"]["bytes"],
            "rows_in": run["progress"]["rows_in"],
            "rows_out": run["progress"]["rows_out"],
            "mb_s": round(run["progress"]["bytes"] / 1e6 / seconds, 1),
            "peaks_mib": dict(peaks.mib),
        }
    )


async def _turns(crivo: Crivo, numbers: Numbers, runs: int) -> None:
    """Measure small executions of one tenant, idle and during another tenant's flood of runs."""
    name = f"b{time.time_ns()}"
    call(crivo, "POST", "/tenants", {"name": name}, key=crivo.admin_key)
    scopes = ["read", "scripts:write", "executions:write"]
    key = call(crivo, "POST", "/keys", {"tenant": name, "scopes": scopes}, key=crivo.admin_key)[
        "key"
    ]
    create_script(crivo, "small", "function process(data) { return data }", key=key)
    await asyncio.to_thread(send, crivo, "numbers", numbers.chunks(), format="text")
    create_script(crivo, "sum-even", SUM_BYTES)
    idle: list[float] = []
    flooded: list[float] = []
    worst: list[float] = []
    for _ in range(runs):
        idle.append(statistics.median(await _lead_ms(crivo, key)))
        started = [
            start_run(crivo, script="sum-even", dataset="numbers", format="bytes")
            for _ in range(_FLOODING_RUNS)
        ]
        leads = await _lead_ms(crivo, key)
        flooded.append(statistics.median(leads))
        worst.append(max(leads))
        for each in started:
            call(crivo, "POST", f"/runs/{each}/cancel")
        await crivo.drained()
    print_line(
        new_line(
            "run-turns",
            unit="ms",
            runs=flooded,
            baseline=("2 x the lead on an idle system", [2 * each for each in idle]),
            goal=1.0,
            goal_of="ratio",
            also={"idle_lead_ms": idle, "worst_ms": worst},
        )
    )


async def _lead_ms(crivo: Crivo, key: str) -> Sequence[float]:
    client = Client(crivo.port, key=key)
    try:
        execute = partial(crivo.execute, client, b"1", script="small")
        return await time_one_by_one(execute, count=_EXECUTIONS, pause_seconds=_PAUSE_SECONDS)
    finally:
        client.close()
