"""Kill API, worker and PostgreSQL in turn under load, and account for every submission.

Each submission has an idempotency key and is sent twice, at random distances, by clients that
repeat a request until it is answered. Then each has exactly one execution, with the result and the
receipt of its input, however often its processes were killed. Every other one asks for a callback,
which arrives at least once, with one id and a valid signature.
"""

import argparse
import asyncio
import hashlib
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from app.background import background
from scripts.benchmarks.load import Client
from scripts.benchmarks.output import print_json
from scripts.benchmarks.receiver import Receiver, running_receiver
from scripts.benchmarks.restarts import keep_running, kill
from scripts.benchmarks.systems import Crivo, running_crivo

_VICTIMS: Final = ("api", "worker", "postgres")
_CLIENTS: Final = 16
_SENDINGS: Final = 2
# How many other submissions come between the two sendings of one, at most.
_DISTANCE: Final = 64
_LEASE_SECONDS: Final = 2
_MAX_ATTEMPTS: Final = 3
# Some executions run at any time.
_ROUNDS: Final = 10_000_000
_SUM: Final = 9_999_999
_SOURCE: Final = b"""function process(n) {
  let x = 0;
  for (let i = 0; i < %d; i++) x += i %% 3;
  return {n, x};
}
"""
_MAX_DELAY_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 120.0
_DRAIN_SECONDS: Final = 1_800.0
# Those without form groups.
_CALLBACK_EVERY: Final = 2
_DONE: Final = (200, 202)
_CONFLICT: Final = 409
_UNAVAILABLE: Final = 503
_MAX_FAULTS: Final = 20

COUNT_ROWS: Final = """
SELECT (SELECT count(*) FROM executions) AS executions,
       (SELECT count(*) FROM idempotency_keys) AS keys
"""
COUNT_UNDELIVERED: Final = "SELECT count(*) FROM callbacks WHERE status <> 'delivered'"


class Answers(Struct, kw_only=True):
    """What the clients were told: the ids of each submission, and why requests were repeated."""

    ids: dict[int, set[str]]
    count: int = 0
    retried: Counter[str]
    refused: list[str]


class Evidence(Struct, frozen=True, kw_only=True):
    """What is left at the end.

    `finished` counts the reports of each execution's outcome, `callbacks` has the ids of its
    callbacks, `forged` what was wrong with signatures.
    """

    ids: Mapping[int, set[str]]
    refused: Sequence[str]
    executions: Mapping[str, Mapping[str, Any]]
    stored: int
    keys: int
    finished: Mapping[str, int]
    callbacks: Mapping[str, set[str]]
    forged: Sequence[str]


def main(arguments: Sequence[str]) -> int:
    """Run on dedicated servers and print; return 1 if anything was lost, doubled or incoherent."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench kill", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--count", type=int, default=10_000, help="submissions")
    parser.add_argument("--kills", type=int, default=60, help="kills, of all processes together")
    parser.add_argument("--seed", type=int, default=13, help="of order and moments")
    options = parser.parse_args(arguments)
    return asyncio.run(_run(options.count, options.kills, options.seed))


async def _run(count: int, kills: int, seed: int) -> int:
    rng = random.Random(seed)  # noqa: S311 - a reproducible order
    began = time.monotonic()
    settings = {
        "CRIVO_LEASE_SECONDS": str(_LEASE_SECONDS),
        "CRIVO_CALLBACK_HTTP": "true",
        "CRIVO_CALLBACK_PRIVATE_NETWORKS": "127.0.0.0/8",
    }
    async with running_receiver() as receiver, running_crivo(**settings) as crivo:
        await crivo.create("killed", _SOURCE % _ROUNDS)
        receiver.secret = (await crivo.post("/callbacks/secrets", b"{}"))["secret"]
        answers = Answers(ids=defaultdict(set), retried=Counter(), refused=[])
        killed: Counter[str] = Counter()
        async with background(keep_running(crivo)):
            async with asyncio.TaskGroup() as tasks:
                waiting = _order(count, rng)
                for _ in range(_CLIENTS):
                    tasks.create_task(_send_all(crivo.port, receiver.url, waiting, answers))
                tasks.create_task(_kill_in_turn(crivo, answers, count, kills, rng, killed))
            # What is not done by then is a fault.
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await crivo.drained()
                    await _await_deliveries(crivo)
            seconds = time.monotonic() - began
            evidence = await _gather(crivo, answers, receiver)
    faults = find_faults(count, evidence)
    attempts = Counter(each["attempts"] for each in evidence.executions.values())
    print_json(
        {
            "bench": "kill",
            "submissions": count,
            "answers": answers.count,
            "executions": evidence.stored,
            "kills": dict(sorted(killed.items())),
            "retried": dict(sorted(answers.retried.items())),
            "attempts": {str(each): attempts[each] for each in sorted(attempts)},
            "callbacks": len(receiver.ids),
            "deliveries": receiver.count,
            "seconds": round(seconds, 1),
            "cpus": os.cpu_count(),
            "faults": len(faults),
            "first_faults": faults[:_MAX_FAULTS],
        }
    )
    return 1 if faults else 0


def find_faults(count: int, evidence: Evidence) -> list[str]:
    """Name everything that was lost, doubled or recorded wrongly, of submissions 0 to `count`."""
    faults = [f"refused: {each}" for each in evidence.refused]
    for what, rows in (("executions", evidence.stored), ("keys", evidence.keys)):
        if rows != count:
            faults.append(f"{rows} {what} for {count} submissions")
    for number in range(count):
        ids = evidence.ids.get(number, set())
        if len(ids) != 1:
            faults.append(f"{number}: has the executions {sorted(ids)}")
        for each in ids:
            faults += (
                f"{number}: {each}: {fault}"
                for fault in _faults_of(number, evidence.executions[each])
            )
            callbacks = evidence.callbacks.get(each, set())
            if len(callbacks) != _has_callback(number):
                faults.append(f"{number}: {each}: has the callbacks {sorted(callbacks)}")
    faults += (f"callbacks: {each}" for each in evidence.forged)
    owners = Counter(each for ids in evidence.ids.values() for each in ids)
    faults += (f"{each}: of {times} submissions" for each, times in owners.items() if times > 1)
    faults += (
        f"{each}: finished {times} times" for each, times in evidence.finished.items() if times > 1
    )
    return faults


def _faults_of(number: int, execution: Mapping[str, Any]) -> list[str]:
    if execution["status"] != "succeeded":
        return [f"{execution['status']}: {execution.get('error')}"]
    receipt = execution["receipt"]
    data, output = b"%d" % number, b'{"n":%d,"x":%d}' % (number, _SUM)
    checks = {
        "result": execution["result"] == msgspec.json.decode(output),
        "input": receipt["input"] == _payload(data),
        "output": receipt["output"] == _payload(output),
        "attempts": 1 <= receipt["attempts"] == execution["attempts"] <= _MAX_ATTEMPTS,
        "times": receipt["created_at"] <= receipt["started_at"] <= receipt["finished_at"],
        "run_ms": 0 < receipt["run_ms"] <= receipt["lead_ms"],
    }
    return [f"wrong: {name}" for name, holds in checks.items() if not holds]


def _has_callback(number: int) -> bool:
    return number % _CALLBACK_EVERY == 0


def _payload(data: bytes) -> dict[str, str | int]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _order(count: int, rng: random.Random) -> list[int]:
    """Return every submission as often as it is sent, in reverse: the last is sent first."""
    places = [
        (number + rng.uniform(0, _DISTANCE), number)
        for number in range(count)
        for _ in range(_SENDINGS)
    ]
    return [number for _, number in sorted(places, reverse=True)]


async def _send_all(port: int, receiver: str, waiting: list[int], answers: Answers) -> None:
    async with _client(port) as client:
        while waiting:
            await _send(client, receiver, waiting.pop(), answers)


async def _send(client: Client, receiver: str, number: int, answers: Answers) -> None:
    """Send a submission, again and again until it is answered."""
    query = f"?callback_url={receiver}" if _has_callback(number) else ""
    headers = f"Idempotency-Key: submission-{number}\r\n"
    began = time.monotonic()
    while time.monotonic() - began < _ANSWER_SECONDS:
        try:
            status, response = await client.request(
                "POST", f"/scripts/killed/executions{query}", b"%d" % number, headers=headers
            )
        except OSError:
            # A late response must not become that of the next request.
            client.close()
            answers.retried["broken connection"] += 1
        else:
            if status in _DONE:
                answers.ids[number].add(msgspec.json.decode(response)["id"])
                answers.count += 1
                return
            answers.retried[str(status)] += 1
            if status not in (_CONFLICT, _UNAVAILABLE):
                answers.refused.append(f"{number}: {status} {response[:500]!r}")
                return
        await asyncio.sleep(_RETRY_SECONDS)
    answers.refused.append(f"{number}: no answer")


async def _kill_in_turn(
    crivo: Crivo,
    answers: Answers,
    count: int,
    kills: int,
    rng: random.Random,
    killed: Counter[str],
) -> None:
    """Kill a process whenever so many more answers have come, and wait until it works again."""
    for turn in range(kills):
        enough = count * _SENDINGS * (turn + 1) // (kills + 1)
        # ASYNC110: a clock decides as well.
        while answers.count + len(answers.refused) < enough:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.sleep(rng.uniform(0, _MAX_DELAY_SECONDS))
        victim = _VICTIMS[turn % len(_VICTIMS)]
        killed[victim] += 1
        await kill(crivo, victim)


async def _await_deliveries(crivo: Crivo) -> None:
    conn = await asyncpg.connect(crivo.database_url)
    try:
        # ASYNC110: another process cannot set an event here.
        while await conn.fetchval(COUNT_UNDELIVERED):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await conn.close()


async def _gather(crivo: Crivo, answers: Answers, receiver: Receiver) -> Evidence:
    conn = await asyncpg.connect(crivo.database_url)
    try:
        rows = await conn.fetchrow(COUNT_ROWS)
    finally:
        await conn.close()
    assert rows is not None  # noqa: S101 - the statement returns a row in every case
    waiting = sorted({each for ids in answers.ids.values() for each in ids})
    executions: dict[str, Mapping[str, Any]] = {}

    async def show() -> None:
        async with _client(crivo.port) as client:
            while waiting:
                each = waiting.pop()
                status, response = await client.request("GET", f"/executions/{each}")
                executions[each] = (
                    msgspec.json.decode(response)
                    if status in _DONE
                    else {"status": status, "attempts": 0}
                )

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CLIENTS):
            tasks.create_task(show())
    return Evidence(
        ids=answers.ids,
        refused=answers.refused,
        executions=executions,
        stored=rows["executions"],
        keys=rows["keys"],
        finished=_count_reports(crivo),
        callbacks=receiver.ids,
        forged=[f"{fault}: {times} times" for fault, times in receiver.faults.items()],
    )


def _count_reports(crivo: Crivo) -> Counter[str]:
    log = crivo.log("worker")
    paths = [path for path in (log.with_name(f"{log.name}.1"), log) if path.exists()]
    lines = (line for path in paths for line in path.read_bytes().splitlines())
    return Counter(
        str(msgspec.json.decode(line)["id"]) for line in lines if b'"execution.finished"' in line
    )


@asynccontextmanager
async def _client(port: int) -> AsyncIterator[Client]:
    client = Client(port)
    try:
        yield client
    finally:
        client.close()
