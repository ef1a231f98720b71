"""Measure datasets over HTTP: an upload in parts, its merge, and records by key."""

import argparse
import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import asyncpg
import uvloop

from app.limits import PART_BYTES
from scripts.benchmarks.dataset_rows import Rows
from scripts.benchmarks.load import Client, time_closed_loops
from scripts.benchmarks.output import new_line, percentile, print_line
from scripts.benchmarks.process_usage import peak_mib, read_usage, reset_peaks
from scripts.benchmarks.systems import Crivo, running_crivo

_JSON: Final = "Content-Type: application/json\r\n"
_SENDERS: Final = 4
_CLIENTS: Final = 16
_SUCCESS: Final = range(200, 300)
_MERGED: Final = "SELECT unmerged <= 1 FROM datasets"
_POLL_SECONDS: Final = 0.2
# The goals of the issue.
_LOOKUPS_PER_SECOND: Final = 1_000
_API_MIB: Final = 250


def main(arguments: Sequence[str]) -> int:
    """Measure in temporary folders and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench records", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--records", type=int, default=4_000_000)
    parser.add_argument("--lookups", type=int, default=10_000)
    chosen = parser.parse_args(arguments)
    uvloop.run(_measure(records=chosen.records, lookups=chosen.lookups))
    return 0


async def _measure(*, records: int, lookups: int) -> None:
    rows = Rows(count=records, shuffled=True)
    async with running_crivo() as crivo:
        processes = [crivo.roots["api"]]
        reset_peaks(processes)
        began = time.perf_counter()
        sent_bytes = await _upload(crivo, rows)
        seconds = time.perf_counter() - began
        none = ("", ())
        rate = [sent_bytes / 1e6 / seconds]
        print_line(new_line("records-upload", unit="MB/s", runs=rate, baseline=none))
        began = time.perf_counter()
        await _await_merge(crivo)
        merged = [time.perf_counter() - began]
        print_line(new_line("records-merge", unit="s", runs=merged, baseline=none))
        await _look_up(crivo, rows, lookups=lookups)
        peak = [peak_mib(processes)]
        print_line(
            new_line("records-api-peak", unit="MiB", runs=peak, baseline=none, goal=_API_MIB)
        )


async def _upload(crivo: Crivo, rows: Rows) -> int:
    """Send parts over a few connections and commit them; return their size."""
    client = Client(crivo.port)
    await _send(client, "PUT", "/datasets/scores", b'{"key":"/pk"}')
    upload = json.loads(await _send(client, "POST", "/datasets/scores/uploads", b"{}"))
    address = f"/uploads/{upload['id']}"
    free: asyncio.Queue[Client] = asyncio.Queue()
    for _ in range(_SENDERS):
        free.put_nowait(Client(crivo.port))
    digests: list[bytes] = []
    size = 0

    async def send(sender: Client, number: int, part: bytes) -> None:
        await _send(sender, "PUT", f"{address}/files/rows.jsonl/parts/{number}", part)
        free.put_nowait(sender)

    async with asyncio.TaskGroup() as tasks:
        for number, part in enumerate(rows.parts(PART_BYTES), 1):
            digests.append(hashlib.sha256(part).digest())
            size += len(part)
            tasks.create_task(send(await free.get(), number, part))
    digest = hashlib.sha256(b"".join(digests)).hexdigest()
    files = [{"path": "rows.jsonl", "parts": len(digests), "digest": digest}]
    await _send(client, "POST", f"{address}/commit", json.dumps({"files": files}).encode())
    while not free.empty():
        free.get_nowait().close()
    client.close()
    return size


async def _await_merge(crivo: Crivo) -> None:
    conn = await asyncpg.connect(crivo.database_url)
    try:
        while not await conn.fetchval(_MERGED):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await conn.close()


async def _look_up(crivo: Crivo, rows: Rows, *, lookups: int) -> None:
    """Find records from several connections; each response is compared."""
    keys = random.Random(1)  # noqa: S311 - a fixed order
    clients = [Client(crivo.port) for _ in range(_CLIENTS)]

    async def find(client: Client) -> None:
        key = keys.randrange(rows.count)
        found = await _send(client, "GET", f"/datasets/scores/records/{key}")
        if found != rows.line(key):
            raise RuntimeError(f"the record {key} is another one")

    executes: list[Callable[[], Awaitable[object]]] = [partial(find, each) for each in clients]
    await time_closed_loops(executes, count=lookups // 10)
    before = read_usage(crivo.roots)
    seconds, durations_ms = await time_closed_loops(executes, count=lookups)
    used = read_usage(crivo.roots).since(before)
    for client in clients:
        client.close()
    print_line(
        new_line(
            "records-lookups",
            unit="1/s of the API's CPU",
            runs=[lookups / (used.parts["api"] / 1_000)],
            baseline=("", ()),
            goal=_LOOKUPS_PER_SECOND,
            at_least=True,
            also={
                "per_second": [lookups / seconds],
                "p50_ms": [percentile(durations_ms, 0.5)],
                "p99_ms": [percentile(durations_ms, 0.99)],
            },
        )
    )


async def _send(client: Client, method: str, path: str, body: bytes = b"") -> bytes:
    status, answer = await client.request(method, path, body, headers=_JSON if body else "")
    if status not in _SUCCESS:
        raise RuntimeError(f"{method} {path}: {status} {answer.decode(errors='replace')}")
    return answer
