"""Measure batches beside single submissions, and beside the peer's `addBulk`."""

import argparse
import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from time import perf_counter
from typing import Any, Final

import msgspec

from scripts.benchmarks.load import Client, time_closed_loops
from scripts.benchmarks.output import new_line, print_line
from scripts.benchmarks.process_usage import CpuUsage, peak_mib, read_usage, reset_peaks
from scripts.benchmarks.systems import Crivo, Peer, running_crivo, running_peer
from scripts.benchmarks.workload import PAYLOAD, SOURCE

_CLIENTS: Final = 32
_BATCH: Final = 1_000
_LARGE: Final = 100_000
_CPU_OF_SINGLE: Final = 0.5
_MAX_MIB: Final = 200.0
_SETTLE_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.02
_NDJSON: Final = "Content-Type: application/x-ndjson\r\n"
_JSON: Final = "Content-Type: application/json\r\n"
# NDJSON has a line for each input.
_LINE: Final = msgspec.json.encode(msgspec.json.decode(PAYLOAD)) + b"\n"


class _Side:
    """The figures of one side's runs."""

    def __init__(self) -> None:
        self.cpu_ms: list[float] = []
        self.per_second: list[float] = []
        self.parts: dict[str, list[float]] = {}

    def add(self, count: int, seconds: float, usage: CpuUsage) -> None:
        self.cpu_ms.append(usage.total_ms / count)
        self.per_second.append(count / seconds)
        for name, ms in usage.parts.items():
            self.parts.setdefault(name, []).append(ms / count)


def main(arguments: Sequence[str]) -> int:
    """Measure on dedicated systems and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench batch", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    parser.add_argument("--no-peer", action="store_true", help="measure only Crivo")
    parser.add_argument("--no-large", action="store_true", help="without the batch of 100,000")
    options = parser.parse_args(arguments)
    asyncio.run(_measure(options))
    return 0


async def _measure(options: argparse.Namespace) -> None:
    runs, quick = 1 if options.quick else options.runs, bool(options.quick)
    size = 20 if quick else _BATCH
    async with AsyncExitStack() as stack:
        crivo = await stack.enter_async_context(running_crivo())
        await crivo.create("cards", SOURCE)
        with_peer = not options.no_peer
        peer = await stack.enter_async_context(running_peer()) if with_peer else None
        single, batch, theirs = _Side(), _Side(), _Side()
        for _ in range(runs):
            single.add(size, *await _singles(crivo, size))
            batch.add(size, *await _batch(crivo, size))
            if peer is not None:
                theirs.add(size, *await _bulk(peer, size))
        _print("batch-cpu-of-single", batch, single, "single submissions", goal=_CPU_OF_SINGLE)
        _print("batch-cpu-of-peer", batch, theirs, "the peer's addBulk", goal=None)
        if not options.no_large:
            await _print_large(crivo, 100 if quick else _LARGE)


def _print(name: str, ours: _Side, baseline: _Side, what: str, *, goal: float | None) -> None:
    line = new_line(
        name,
        unit="ms/item",
        runs=ours.cpu_ms,
        baseline=(what, baseline.cpu_ms),
        goal=goal,
        goal_of="ratio",
        also={
            "items_per_second": ours.per_second,
            "baseline_per_second": baseline.per_second,
            **{f"{part}_ms": values for part, values in ours.parts.items()},
            **{f"baseline_{part}_ms": values for part, values in baseline.parts.items()},
        },
    )
    print_line(line, cpus=os.cpu_count())


async def _singles(crivo: Crivo, count: int) -> tuple[float, CpuUsage]:
    """Submit in closed loops of clients that wait for their results."""
    clients = [Client(crivo.port) for _ in range(_CLIENTS)]
    executes = [partial(crivo.execute, client, PAYLOAD) for client in clients]
    try:
        await time_closed_loops(list(executes), count=_CLIENTS)
        await asyncio.sleep(_SETTLE_SECONDS)
        before = read_usage(crivo.roots)
        seconds, _ = await time_closed_loops(list(executes), count=count)
        await asyncio.sleep(_SETTLE_SECONDS)
        return seconds, read_usage(crivo.roots).since(before)
    finally:
        for client in clients:
            client.close()


async def _batch(crivo: Crivo, count: int) -> tuple[float, CpuUsage]:
    """Submit one batch and wait for its end."""
    client = Client(crivo.port)
    try:
        await _run_batch(crivo, client, 2 * (os.cpu_count() or 1))
        await asyncio.sleep(_SETTLE_SECONDS)
        before = read_usage(crivo.roots)
        began = perf_counter()
        await _run_batch(crivo, client, count)
        seconds = perf_counter() - began
        await asyncio.sleep(_SETTLE_SECONDS)
        return seconds, read_usage(crivo.roots).since(before)
    finally:
        client.close()


async def _run_batch(crivo: Crivo, client: Client, count: int) -> str:
    del crivo
    status, response = await client.request(
        "POST", "/batches?script=cards", _LINE * count, headers=_NDJSON
    )
    if status != 202:  # noqa: PLR2004 - Accepted
        raise RuntimeError(f"not accepted: {status} {response[:500]!r}")
    path = f"/batches/{msgspec.json.decode(response)['id']}"
    batch: dict[str, Any] = {"finished_at": None}
    while batch["finished_at"] is None:
        _, response = await client.request("GET", f"{path}?wait=60")
        batch = msgspec.json.decode(response)
    if batch["counts"]["succeeded"] != count:
        raise RuntimeError(f"not a success: {response[:500]!r}")
    return path


async def _bulk(peer: Peer, count: int) -> tuple[float, CpuUsage]:
    """Add jobs by one call of `addBulk` and poll until none is left."""
    client = Client(peer.port)
    try:
        await _run_bulk(peer, client, 2 * (os.cpu_count() or 1))
        await asyncio.sleep(_SETTLE_SECONDS)
        before = read_usage(peer.roots)
        began = perf_counter()
        await _run_bulk(peer, client, count)
        seconds = perf_counter() - began
        await asyncio.sleep(_SETTLE_SECONDS)
        return seconds, read_usage(peer.roots).since(before)
    finally:
        client.close()


async def _run_bulk(peer: Peer, client: Client, count: int) -> None:
    items = b",".join([peer.encode(SOURCE, PAYLOAD)] * count)
    _, response = await client.request("POST", "/bulk", b"[" + items + b"]", headers=_JSON)
    wanted = msgspec.json.decode(response)["ids"]
    if len(wanted) != count:
        raise RuntimeError(f"not accepted: {response[:500]!r}")
    while True:
        _, response = await client.request("GET", f"/jobs/{wanted[-1]}")
        _, left = await client.request("GET", "/left")
        if b'"status":"failed"' in response:
            raise RuntimeError(f"not a success: {response[:500]!r}")
        if msgspec.json.decode(left)["left"] == 0:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _print_large(crivo: Crivo, count: int) -> None:
    """Run the largest batch, and read the peaks of API and worker."""
    pids = {name: crivo.roots[name] for name in ("api", "worker")}
    reset_peaks(list(pids.values()))
    client = Client(crivo.port, timeout_seconds=600)
    before = read_usage(crivo.roots)
    began = perf_counter()
    path = await _run_batch(crivo, client, count)
    seconds = perf_counter() - began
    usage = read_usage(crivo.roots).since(before)
    client.close()
    results = await _download(crivo, f"{path}/results")
    if results != count:
        raise RuntimeError(f"{results} results of {count}")
    for name, pid in pids.items():
        line = new_line(
            f"batch-large-{name}-memory",
            unit="MiB",
            runs=[peak_mib([pid])],
            baseline=("none", []),
            goal=_MAX_MIB,
            also={
                "items": [float(count)],
                "items_per_second": [count / seconds],
                "cpu_ms_per_item": [usage.total_ms / count],
            },
        )
        print_line(line, cpus=os.cpu_count())


async def _download(crivo: Crivo, path: str) -> int:
    """Download results, of which nothing is kept; return the number of lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", crivo.port)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{crivo.port}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    lines = 0
    while chunk := await reader.read(64 * 1024):
        lines += chunk.count(b'{"line":')
    writer.close()
    await writer.wait_closed()
    return lines
