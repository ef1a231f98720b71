"""Measure fairness between tenants, and recovery from a killed worker, as clients see them."""

import asyncio
import statistics
import time
from functools import partial
from typing import Final

import msgspec

from scripts.benchmarks.load import Client, time_one_by_one
from scripts.benchmarks.output import Line, new_line
from scripts.benchmarks.plan import Plan
from scripts.benchmarks.systems import Crivo

_FLOOD_RUN_MS: Final = 50.0
_QUEUED: Final = 500
_SUBMITTERS: Final = 8
_PAUSE_SECONDS: Final = 0.1
_RECOVERY_SECONDS: Final = 10.0
_SMALL: Final = b"1"
# A loop that no compiler removes: a script's clock stands still, so it cannot wait.
_LOOP: Final = b"""function process(rounds) {
  let hash = 1;
  for (let n = 0; n < rounds; n++) hash = (hash * 31 + n) | 0;
  return hash;
}
"""
_FIRST_ROUNDS: Final = 10_000_000
_WALL_MS: Final = 3_000
_POLL_SECONDS: Final = 0.02


async def measure_fairness(plan: Plan) -> list[Line]:
    """Measure occasional small executions of one tenant during another tenant's flood."""
    crivo = plan.crivo
    name = f"b{time.time_ns()}"
    await crivo.post("/tenants", msgspec.json.encode({"name": name}), key=crivo.admin_key)
    scopes = ["read", "scripts:write", "executions:write"]
    body = msgspec.json.encode({"tenant": name, "scopes": scopes})
    key = (await crivo.post("/keys", body, key=crivo.admin_key))["key"]
    await crivo.create("small", b"function process(data) { return data }", key=key)
    flood = f"flood-{time.time_ns()}"
    await crivo.create(flood, _LOOP)
    rounds, flood_run_ms = await _calibrate(crivo, flood)
    latencies_ms, allowed_ms, idle_latencies_ms = [], [], []
    for _ in range(plan.runs):
        client = Client(crivo.port, key=key)
        execute = partial(crivo.execute, client, _SMALL, script="small")
        count = plan.count(50)
        idle = await time_one_by_one(execute, count=count, pause_seconds=_PAUSE_SECONDS)
        await _queue(crivo, flood, rounds, 10 if plan.quick else _QUEUED)
        during_flood = await time_one_by_one(execute, count=count, pause_seconds=_PAUSE_SECONDS)
        client.close()
        await crivo.drained()
        idle_latencies_ms.append(statistics.median(idle))
        latencies_ms.append(statistics.median(during_flood))
        allowed_ms.append(2 * idle_latencies_ms[-1] + flood_run_ms)
    return [
        new_line(
            "fairness",
            unit="ms",
            runs=latencies_ms,
            baseline=("2 x the lead on an idle system + one of the flood's executions", allowed_ms),
            goal=1.0,
            goal_of="ratio",
            also={"idle_lead_ms": idle_latencies_ms, "flood_run_ms": [flood_run_ms]},
        )
    ]


async def measure_recovery(plan: Plan) -> list[Line]:
    """Measure the time from `kill -9` of a worker, replaced at once, until its executions run."""
    crivo = plan.crivo
    endless = f"endless-{time.time_ns()}"
    await crivo.create(endless, b"function process(data) { while (data) {} }")
    durations_s = []
    for _ in range(plan.runs):
        client = Client(crivo.port)
        paths = []
        for _ in range(2):
            path = f"/scripts/{endless}/executions?wall_ms={_WALL_MS}"
            _, response = await client.request("POST", path, _SMALL)
            paths.append(f"/executions/{msgspec.json.decode(response)['id']}")
        await _until(client, paths, attempts=1)
        began = time.perf_counter()
        crivo.kill("worker")
        crivo.restart("worker")
        await _until(client, paths, attempts=2)
        durations_s.append(time.perf_counter() - began)
        client.close()
        await crivo.drained()
    return [
        new_line(
            "recovery", unit="s", runs=durations_s, baseline=("none", []), goal=_RECOVERY_SECONDS
        )
    ]


async def _until(client: Client, paths: list[str], *, attempts: int) -> None:
    """Wait until each execution is in this attempt."""
    waiting = list(paths)
    while waiting:
        _, response = await client.request("GET", waiting[0])
        execution = msgspec.json.decode(response)
        if execution["attempts"] >= attempts:
            waiting.pop(0)
        elif execution["finished_at"] is not None:
            raise RuntimeError(f"it ended before it was rescued: {response[:500]!r}")
        else:
            await asyncio.sleep(_POLL_SECONDS)


async def _calibrate(crivo: Crivo, script: str) -> tuple[bytes, float]:
    """Find how many rounds take about _FLOOD_RUN_MS, and measure how long they take."""
    client = Client(crivo.port)

    async def run_ms(rounds: int) -> float:
        durations_ms = []
        for _ in range(5):
            response = await crivo.execute(client, str(rounds).encode(), script=script)
            durations_ms.append(float(msgspec.json.decode(response)["receipt"]["run_ms"]))
        return statistics.median(durations_ms)

    rounds = int(_FIRST_ROUNDS * _FLOOD_RUN_MS / await run_ms(_FIRST_ROUNDS))
    measured_ms = await run_ms(rounds)
    client.close()
    return str(rounds).encode(), measured_ms


async def _queue(crivo: Crivo, script: str, body: bytes, count: int) -> None:
    async def submit(count: int) -> None:
        client = Client(crivo.port)
        for _ in range(count):
            await client.request("POST", f"/scripts/{script}/executions", body)
        client.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_SUBMITTERS):
            tasks.create_task(submit(-(-count // _SUBMITTERS)))
