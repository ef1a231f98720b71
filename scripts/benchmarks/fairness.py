"""Fairness and recovery, as clients see them."""

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

_OF_A_MS: Final = 50.0
_QUEUED: Final = 500
_SUBMITTERS: Final = 8
_EVERY_SECONDS: Final = 0.1
_RECOVERY_SECONDS: Final = 10.0
_SMALL: Final = b"1"
# Rounds of a loop that no compiler removes; the clock stands still in a script.
_LOOP: Final = b"""function process(rounds) {
  let hash = 1;
  for (let n = 0; n < rounds; n++) hash = (hash * 31 + n) | 0;
  return hash;
}
"""
_FIRST_ROUNDS: Final = 10_000_000
_WALL_MS: Final = 3_000
_LOOK_SECONDS: Final = 0.02


async def measure_fairness(plan: Plan) -> list[Line]:
    """Measure what another tenant's flood does to a small execution now and then."""
    crivo = plan.crivo
    name = f"b{time.time_ns()}"
    await crivo.post("/tenants", msgspec.json.encode({"name": name}), key=crivo.admin_key)
    scopes = ["read", "scripts:write", "executions:write"]
    wanted = msgspec.json.encode({"tenant": name, "scopes": scopes})
    key = (await crivo.post("/keys", wanted, key=crivo.admin_key))["key"]
    await crivo.create("small", b"function process(data) { return data }", key=key)
    flood = f"flood-{time.time_ns()}"
    await crivo.create(flood, _LOOP)
    rounds, of_a_ms = await _calibrate(crivo, flood)
    leads, allowed, idles = [], [], []
    for _ in range(plan.runs):
        client = Client(crivo.port, key=key)
        execute = partial(crivo.execute, client, _SMALL, script="small")
        count = plan.count(50)
        idle = await time_one_by_one(execute, count=count, pause_seconds=_EVERY_SECONDS)
        await _queue(crivo, flood, rounds, 10 if plan.quick else _QUEUED)
        beside = await time_one_by_one(execute, count=count, pause_seconds=_EVERY_SECONDS)
        client.close()
        await crivo.drained()
        idles.append(statistics.median(idle))
        leads.append(statistics.median(beside))
        allowed.append(2 * idles[-1] + of_a_ms)
    return [
        new_line(
            "fairness",
            unit="ms",
            runs=leads,
            baseline=("2 x the lead on an idle system + one of the flood's executions", allowed),
            goal=1.0,
            goal_of="ratio",
            also={"idle_lead_ms": idles, "flood_run_ms": [of_a_ms]},
        )
    ]


async def measure_recovery(plan: Plan) -> list[Line]:
    """Measure from `kill -9` of a worker, replaced at once, until its executions run again."""
    crivo = plan.crivo
    endless = f"endless-{time.time_ns()}"
    await crivo.create(endless, b"function process(data) { while (data) {} }")
    took = []
    for _ in range(plan.runs):
        client = Client(crivo.port)
        paths = []
        for _ in range(2):
            path = f"/scripts/{endless}/executions?wall_ms={_WALL_MS}"
            _, answer = await client.ask("POST", path, _SMALL)
            paths.append(f"/executions/{msgspec.json.decode(answer)['id']}")
        await _until(client, paths, attempts=1)
        began = time.perf_counter()
        crivo.kill_worker()
        crivo.start_worker()
        await _until(client, paths, attempts=2)
        took.append(time.perf_counter() - began)
        client.close()
        await crivo.drained()
    return [
        new_line("recovery", unit="s", runs=took, baseline=("none", []), goal=_RECOVERY_SECONDS)
    ]


async def _until(client: Client, paths: list[str], *, attempts: int) -> None:
    """Wait until each is in that attempt."""
    waiting = list(paths)
    while waiting:
        _, answer = await client.ask("GET", waiting[0])
        found = msgspec.json.decode(answer)
        if found["attempts"] >= attempts:
            waiting.pop(0)
        elif found["finished_at"] is not None:
            raise RuntimeError(f"it ended before it was taken over: {answer[:500]!r}")
        else:
            await asyncio.sleep(_LOOK_SECONDS)


async def _calibrate(crivo: Crivo, script: str) -> tuple[bytes, float]:
    """Find how many rounds take the wanted time, and what they then take."""
    client = Client(crivo.port)

    async def run_ms(rounds: int) -> float:
        found = []
        for _ in range(5):
            answer = await crivo.execute(client, str(rounds).encode(), script=script)
            found.append(float(msgspec.json.decode(answer)["receipt"]["run_ms"]))
        return statistics.median(found)

    rounds = int(_FIRST_ROUNDS * _OF_A_MS / await run_ms(_FIRST_ROUNDS))
    took_ms = await run_ms(rounds)
    client.close()
    return str(rounds).encode(), took_ms


async def _queue(crivo: Crivo, script: str, body: bytes, count: int) -> None:
    async def submit(share: int) -> None:
        client = Client(crivo.port)
        for _ in range(share):
            await client.ask("POST", f"/scripts/{script}/executions", body)
        client.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_SUBMITTERS):
            tasks.create_task(submit(-(-count // _SUBMITTERS)))
