"""Send events through a pipe while worker, API, Redis and PostgreSQL are killed, and find them all.

Every valid event comes out, byte for byte; every invalid one is a dead letter, once. After the
schema is mended, a re-drive leaves none.
"""

import asyncio
import http.client
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import asyncpg
import uvloop
from redis.asyncio import Redis

from app.background import background
from scripts.benchmarks.load import Client
from scripts.benchmarks.output import new_line, print_json, print_line
from scripts.benchmarks.pipe_events import MENDED, SCHEMA, Events, Found, find, is_invalid
from scripts.benchmarks.process_usage import read_usage
from scripts.benchmarks.restarts import keep_running, kill
from scripts.benchmarks.run_loads import call
from scripts.benchmarks.systems import Crivo, running_crivo

VICTIMS: Final = ("worker", "api", "redis", "postgres", "worker") * 2
_POLL_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 0.2
_PAGE: Final = 5_000
_ACCEPTED: Final = 202
_NDJSON: Final = "Content-Type: application/x-ndjson\r\n"
_STREAM: Final = "clean"

SELECT_LETTERS: Final = """
SELECT event, state
FROM dead_letters
ORDER BY id
"""
SELECT_WAITING: Final = "SELECT count(*) FROM pipe_inbox"
SELECT_IN: Final = "SELECT coalesce(sum(events_in), 0)::bigint FROM pipes"


def measure(*, count: int, victims: Sequence[str] = VICTIMS) -> int:
    """Measure and print; return 1 if an event was lost or changed, or is twice a dead letter."""
    return uvloop.run(_measure(Events(count=count), victims))


async def _measure(events: Events, victims: Sequence[str]) -> int:
    # A short lease, so that ten kills fit into the run.
    async with running_crivo(CRIVO_LEASE_SECONDS="2") as crivo:
        set_up(crivo)
        began, before = time.perf_counter(), read_usage(crivo.roots)
        async with background(keep_running(crivo)):
            sending = asyncio.create_task(_send_all(crivo, events))
            killing = asyncio.create_task(_kill_in_turn(crivo, events, victims))
            await sending
            killed = await killing
            await _drained(crivo)
            seconds = time.perf_counter() - began
            usage = read_usage(crivo.roots).since(before) if not victims else None
            forwarded = await _forwarded(crivo, events)
            letters = await _letters(crivo)
            faults = _faults(events, forwarded, letters)
            redrive = await _redrive(crivo)
            after = await _forwarded(crivo, events)
            left = sum(row["state"] == "dead" for row in await _letters(crivo))
    faults += [
        *([f"{left} dead letters are left"] if left else []),
        *_missing(range(events.count), after, "after the re-drive"),
        *([f"{after.foreign} changed events"] if after.foreign else []),
    ]
    rate = new_line(
        "pipe-events", unit="/s", runs=[events.count / seconds], baseline=("", ()), goal=None
    )
    print_line(
        rate,
        kills=dict(Counter(killed)),
        cpu_us_an_event=None
        if usage is None
        else {name: round(ms * 1e3 / events.count, 1) for name, ms in usage.parts.items()},
    )
    print_json(
        {
            "bench": "pipe-kills",
            "events": events.count,
            "kills": dict(Counter(killed)),
            "forwarded": len(forwarded.times),
            "forwarded_again": forwarded.doubled,
            "dead_letters": len(letters),
            "redrive": redrive,
            "dead_letters_left": left,
            "faults": len(faults),
            "first_faults": faults[:20],
        }
    )
    return 1 if faults else 0


def set_up(crivo: Crivo) -> None:
    """Create the schema and the pipe."""
    call(crivo, "PUT", "/schemas/events", {"schema": SCHEMA, "strict": True})
    definition: dict[str, Any] = {
        "from": {"http": {}},
        "schema": "events",
        "script": None,
        "to": {"redis_stream": {"stream": _STREAM}},
    }
    call(crivo, "PUT", "/pipes/events", definition)


async def _send_all(crivo: Crivo, events: Events) -> None:
    """Send every request until it is accepted; a key lets each be accepted once."""
    client = Client(crivo.port)
    for number, body in enumerate(events.bodies()):
        headers = f"{_NDJSON}Idempotency-Key: request-{number}\r\n"
        while True:
            with suppress(OSError, TimeoutError):
                path = "/pipes/events/events"
                status, answer = await client.request("POST", path, body, headers=headers)
                if status == _ACCEPTED:
                    break
                if status < http.client.INTERNAL_SERVER_ERROR and status not in {409, 429}:
                    message = f"POST {path}: {status} {answer[:500]!r}"
                    raise RuntimeError(message)
            await asyncio.sleep(_RETRY_SECONDS)
    client.close()


async def _kill_in_turn(crivo: Crivo, events: Events, victims: Sequence[str]) -> list[str]:
    """Kill each victim once so many events have passed."""
    killed: list[str] = []
    for turn, victim in enumerate(victims, 1):
        enough = events.count * turn / (len(victims) + 1)
        # ASYNC110: another process cannot set an event here.
        while (await _number(crivo, SELECT_IN) or 0) < enough:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        await kill(crivo, victim)
        killed.append(victim)
    return killed


async def _drained(crivo: Crivo) -> None:
    while await _number(crivo, SELECT_WAITING) != 0:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(_POLL_SECONDS)


async def _number(crivo: Crivo, query: str) -> int | None:
    """Return a number from the database; None while it is away."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        conn = await asyncpg.connect(crivo.database_url)
        try:
            number: int = await conn.fetchval(query)
            return number
        finally:
            conn.terminate()
    return None


async def _letters(crivo: Crivo) -> list[Mapping[str, Any]]:
    conn = await asyncpg.connect(crivo.database_url)
    try:
        return [dict(row) for row in await conn.fetch(SELECT_LETTERS)]
    finally:
        await conn.close()


async def _forwarded(crivo: Crivo, events: Events) -> Found:
    async with Redis.from_url(crivo.redis_url) as redis:
        [stream] = [each async for each in redis.scan_iter(f"*:{_STREAM}")]
        return find(events, [each async for each in _entries(redis, stream)])


async def _entries(redis: Redis, stream: bytes) -> AsyncIterator[bytes]:
    first = "-"
    while page := await redis.xrange(stream, min=first, count=_PAGE):
        for _, fields in page:
            yield fields[b"event"]
        first = f"({page[-1][0].decode()}"


def _faults(events: Events, forwarded: Found, letters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name what was lost, doubled or changed before the schema is mended."""
    valid = (each for each in range(events.count) if not is_invalid(each))
    dead = find(events, (bytes(row["event"]) for row in letters))
    invalid = (each for each in range(events.count) if is_invalid(each))
    return [
        *_missing(valid, forwarded, "at the sink"),
        *_missing(invalid, dead, "among the dead letters"),
        *(f"{each}: forwarded, though invalid" for each in forwarded.times if is_invalid(each)),
        *(f"{each}: a dead letter, though valid" for each in dead.times if not is_invalid(each)),
        *([f"{dead.doubled} events are dead letters twice"] if dead.doubled else []),
        *([f"{forwarded.foreign} events were changed"] if forwarded.foreign else []),
        *([f"{dead.foreign} dead letters were changed"] if dead.foreign else []),
    ]


def _missing(numbers: Iterable[int], found: Found, where: str) -> list[str]:
    return [f"{each}: missing {where}" for each in numbers if each not in found.times]


async def _redrive(crivo: Crivo) -> Mapping[str, Any]:
    """Mend the schema and bring the dead letters back."""
    call(crivo, "PUT", "/schemas/events", {"schema": MENDED, "strict": True})
    redrive = call(crivo, "POST", "/redrives", {"filter": {"pipe": "events"}})
    while redrive["status"] in {"queued", "running"}:
        await asyncio.sleep(_POLL_SECONDS)
        redrive = await asyncio.to_thread(call, crivo, "GET", f"/redrives/{redrive['id']}")
    return {
        name: redrive[name] for name in ("status", "matched", "moved", "failed_again", "remaining")
    }
