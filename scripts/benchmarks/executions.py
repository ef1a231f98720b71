"""Measure a running system over HTTP: executions per second, and the times of each.

scripts/bench executions [--url URL] [--count 200] [--clients 8] [--bytes 1000]

Submits `count` executions of one small script on about `bytes` bytes of data, waits for all, and
prints figures from their receipts. The rate is from the first submission to the last finish, by
PostgreSQL's clock.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import httpx
from msgspec import Struct

_NAME: Final = "bench-executions"
_SOURCE: Final = "function process(data) { return data.filter(row => row.n % 2 === 0) }\n"
_ROW: Final = '{"n":%d,"nomeBandeira":"VISA"}'
_POLL_SECONDS: Final = 0.1
_CONFLICT: Final = 409


class Receipt(Struct, frozen=True, kw_only=True):
    """The measured members of an execution's receipt."""

    created_at: datetime
    finished_at: datetime
    queued_ms: float
    run_ms: float
    lead_ms: float
    cpu_ms: float
    peak_memory_bytes: int


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 1 if an execution did not succeed."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench executions", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--count", type=int, default=200, help="executions")
    parser.add_argument("--clients", type=int, default=8, help="concurrent submissions")
    parser.add_argument("--bytes", type=int, default=1_000, help="approximate size of the data")
    options = parser.parse_args(arguments)
    row_bytes = len(_ROW % 10_000) + 1
    rows = ",".join(_ROW % n for n in range(max(1, options.bytes // row_bytes)))
    payload = f"[{rows}]".encode()
    receipts = asyncio.run(_measure(options.url, payload, options.count, options.clients))
    sys.stdout.write(_report(receipts, len(payload)))
    return 0 if len(receipts) == options.count else 1


async def _measure(url: str, payload: bytes, count: int, clients: int) -> list[Receipt]:
    key = os.environ.get("CRIVO_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(
        base_url=url, timeout=60, trust_env=False, headers=headers
    ) as client:
        created = await client.post("/scripts", json={"name": _NAME, "source": _SOURCE})
        if created.status_code != _CONFLICT:
            created.raise_for_status()
        slots = asyncio.Semaphore(clients)

        async def submit() -> str:
            async with slots:
                response = await client.post(f"/scripts/{_NAME}/executions", content=payload)
                response.raise_for_status()
                return str(response.headers["Location"])

        urls = await asyncio.gather(*(submit() for _ in range(count)))
        # The last one first: it ends near the end of all, so that polling disturbs little.
        receipts = [await _finished(client, url) for url in reversed(urls)]
    return [receipt for receipt in receipts if receipt is not None]


async def _finished(client: httpx.AsyncClient, url: str) -> Receipt | None:
    while True:
        execution = (await client.get(url)).raise_for_status().json()
        if execution["finished_at"] is not None:
            break
        await asyncio.sleep(_POLL_SECONDS)
    if execution["status"] != "succeeded":
        sys.stderr.write(f"{url}: {json.dumps(execution['error'])}\n")
        return None
    receipt = execution["receipt"]
    return Receipt(
        created_at=datetime.fromisoformat(receipt["created_at"]),
        finished_at=datetime.fromisoformat(receipt["finished_at"]),
        **{name: receipt[name] for name in Receipt.__struct_fields__[2:]},
    )


def _report(receipts: Sequence[Receipt], payload_bytes: int) -> str:
    if not receipts:
        return "nothing succeeded\n"
    first = min(receipt.created_at for receipt in receipts)
    last = max(receipt.finished_at for receipt in receipts)
    seconds = (last - first).total_seconds()
    rate = len(receipts) / seconds
    summary = f"{len(receipts)} executions on {payload_bytes:,} bytes each"
    lines = [f"{summary} in {seconds:.2f} s: {rate:.1f} a second"]
    for name in ("queued_ms", "run_ms", "lead_ms", "cpu_ms"):
        values = sorted(getattr(receipt, name) for receipt in receipts)
        p95 = values[min(len(values) - 1, int(len(values) * 0.95))]
        lines.append(f"{name:10} median {statistics.median(values):9.1f}   95 % {p95:9.1f}")
    peak = max(receipt.peak_memory_bytes for receipt in receipts)
    lines.append(f"peak memory of a cell: {peak / 2**20:.0f} MiB")
    return "\n".join([*lines, ""])
