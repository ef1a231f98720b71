"""Send events through a pipe while its processes and servers are killed; look at every one of them.

One in a hundred is invalid. A sender repeats what is not answered, with the same idempotency key;
into a dataset each event then arrives exactly once, in the order in which it was sent.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import asyncpg
import httpx
import uvloop

from app.background import background
from scripts.benchmarks.output import print_json
from scripts.benchmarks.restarts import keep_running, kill
from scripts.benchmarks.systems import Crivo, running_crivo

VICTIMS: Final = ("worker", "api", "redis", "postgres", "worker") * 2
_PIPE: Final = "orders"
_SINK: Final = "clean"
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["id", "name"],
}
_INVALID_ONE_IN: Final = 100
_PER_REQUEST: Final = 200
_POLL_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 60.0
_ACCEPTED: Final = 202

SELECT_LETTERS: Final = "SELECT event FROM dead_letters ORDER BY id"
SELECT_COUNTS: Final = "SELECT events_in, events_forwarded, events_refused FROM pipes"


def measure(*, events: int, victims: Sequence[str] = VICTIMS) -> int:
    """Measure and print; return 1 if an event is missing, doubled, changed or out of order."""
    return uvloop.run(_measure(events, victims))


async def _measure(events: int, victims: Sequence[str]) -> int:
    # A short lease, so that ten kills fit into the run.
    async with running_crivo(CRIVO_LEASE_SECONDS="2", CRIVO_WORKER_SLOTS="1") as crivo:
        await asyncio.to_thread(_prepare, crivo)
        sender = _Sender(crivo, events)
        began = monotonic()
        async with background(keep_running(crivo)), background(sender.run()):
            killed = await _kill_in_turn(crivo, sender, victims)
            await sender.finished.wait()
            counts = await _all_done(crivo, events)
        seconds = monotonic() - began
        forwarded = await asyncio.to_thread(_lines, crivo)
        conn = await asyncpg.connect(crivo.database_url)
        try:
            letters = [row["event"] for row in await conn.fetch(SELECT_LETTERS)]
        finally:
            await conn.close()
    valid = [_event(each) for each in range(events) if not _is_invalid(each)]
    invalid = [_event(each) for each in range(events) if _is_invalid(each)]
    faults = [
        *(["events are missing or doubled"] if Counter(forwarded) != Counter(valid) else []),
        *(["events are out of order"] if forwarded != valid else []),
        *(["dead letters are missing or doubled"] if sorted(letters) != sorted(invalid) else []),
        *([f"counted {counts}"] if counts != (events, len(valid), len(invalid)) else []),
    ]
    print_json(
        {
            "bench": "pipe-kills",
            "events": events,
            "forwarded": len(forwarded),
            "dead_letters": len(letters),
            "kills": dict(Counter(killed)),
            "repeated_requests": sender.repeated,
            "seconds": round(seconds, 1),
            "faults": len(faults),
            "first_faults": faults,
        }
    )
    return 1 if faults else 0


def _prepare(crivo: Crivo) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{crivo.port}") as client:
        definition = {
            "from": {"http": {}},
            "schema": _PIPE,
            "to": {"dataset": {"dataset": _SINK}},
            "batch": {"events": 1_000, "wait_ms": 50},
        }
        for path, body in (
            (f"/schemas/{_PIPE}", {"schema": _SCHEMA}),
            (f"/datasets/{_SINK}", {"format": "jsonl"}),
            (f"/pipes/{_PIPE}", definition),
        ):
            client.put(path, json=body).raise_for_status()


class _Sender:
    """Sends all events in their order, each request until it is answered."""

    def __init__(self, crivo: Crivo, events: int) -> None:
        self._crivo = crivo
        self._events = events
        self.sent = 0
        self.repeated = 0
        self.finished = asyncio.Event()

    @property
    def share(self) -> float:
        """How much is accepted."""
        return self.sent / self._events

    async def run(self) -> None:
        """Send everything."""
        url = f"http://127.0.0.1:{self._crivo.port}/pipes/{_PIPE}/events"
        async with httpx.AsyncClient(trust_env=False) as client:
            for first in range(0, self._events, _PER_REQUEST):
                last = min(first + _PER_REQUEST, self._events)
                body = b"".join(_event(each) + b"\n" for each in range(first, last))
                while not await self._send(client, url, body, key=f"from {first}"):
                    self.repeated += 1
                    await asyncio.sleep(_POLL_SECONDS)
                self.sent = last
        self.finished.set()

    async def _send(self, client: httpx.AsyncClient, url: str, body: bytes, *, key: str) -> bool:
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        with suppress(httpx.TransportError):
            answer = await client.post(url, content=body, headers=headers)
            return answer.status_code == _ACCEPTED
        return False


async def _kill_in_turn(crivo: Crivo, sender: _Sender, victims: Sequence[str]) -> list[str]:
    """Kill each victim once so much is accepted."""
    killed: list[str] = []
    for turn, victim in enumerate(victims, 1):
        # ASYNC110: the sender sets no event for this.
        while sender.share < turn / (len(victims) + 1):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        await kill(crivo, victim)
        killed.append(victim)
    return killed


async def _all_done(crivo: Crivo, events: int) -> tuple[int, int, int]:
    """Wait until all events are counted, and nothing changes any more."""
    counts = (0, 0, 0)
    async with asyncio.timeout(_PATIENCE_SECONDS + events / 1_000):
        # ASYNC110: another process cannot set an event here.
        while counts[0] < events:
            await asyncio.sleep(_POLL_SECONDS)
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                conn = await asyncpg.connect(crivo.database_url)
                try:
                    row = await conn.fetchrow(SELECT_COUNTS)
                finally:
                    conn.terminate()
                assert row is not None  # noqa: S101 - there is a pipe
                counts = (row["events_in"], row["events_forwarded"], row["events_refused"])
    return counts


def _lines(crivo: Crivo) -> list[bytes]:
    """Read all lines of the sink in the order of its snapshots."""
    lines: list[bytes] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{crivo.port}", timeout=60) as client:
        for file in sorted(_files(client), key=lambda each: each["added_in"]):
            path = f"/datasets/{_SINK}/files/{file['path']}"
            lines += client.get(path).raise_for_status().content.splitlines()
    return lines


def _files(client: httpx.Client) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        query: dict[str, str] = {"limit": "100", **({"cursor": cursor} if cursor else {})}
        page = client.get(f"/datasets/{_SINK}/files", params=query).raise_for_status().json()
        yield from page["items"]
        cursor = page["next_cursor"]


def _event(number: int) -> bytes:
    named = None if _is_invalid(number) else f"order {number}"
    event = {
        "id": number,
        "name": named,
        "at": "2026-11-28T10:00:00Z",
        "tags": ["new", "äöü", "x" * 100],
    }
    return json.dumps(event, ensure_ascii=False).encode()


def _is_invalid(number: int) -> bool:
    return number % _INVALID_ONE_IN == _INVALID_ONE_IN - 1
