"""Send events through a pipe while worker, API, Redis and PostgreSQL are killed, and find them all.

Every valid event comes out, byte for byte; into a dataset once, and in the order in which it was
sent. Every invalid one is a dead letter, once. After the schema is mended, a re-drive leaves none.
"""

import asyncio
import http.client
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
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
_SINK: Final = "clean"

SELECT_LETTERS: Final = """
SELECT event, state
FROM dead_letters
ORDER BY id
"""
SELECT_WAITING: Final = "SELECT count(*) FROM pipe_inbox"
SELECT_IN: Final = "SELECT coalesce(sum(events_in), 0)::bigint FROM pipes"


def measure(
    *,
    count: int,
    sink: str = "redis_stream",
    victims: Sequence[str] = VICTIMS,
) -> int:
    """Measure and print; return 1 if an event was lost or changed, or is twice a dead letter.

    `sink` is `dataset` or `redis_stream`.
    """
    return uvloop.run(_measure(Events(count=count), sink, victims))


async def _measure(events: Events, sink: str, victims: Sequence[str]) -> int:
    # A short lease, so that ten kills fit into the run. The stream is read at the end.
    settings = {"CRIVO_LEASE_SECONDS": "2", "CRIVO_MAX_PIPE_STREAM_BYTES": str(2**32)}
    async with running_crivo(**settings) as crivo:
        _set_up(crivo, sink)
        began, before = time.perf_counter(), read_usage(crivo.roots)
        async with background(keep_running(crivo)):
            sending = asyncio.create_task(_send_all(crivo, events))
            killing = asyncio.create_task(_kill_in_turn(crivo, events, victims))
            await sending
            killed = await killing
            await _drained(crivo)
            seconds = time.perf_counter() - began
            usage = read_usage(crivo.roots).since(before) if not victims else None
            forwarded = find(events, await _read[sink](crivo))
            letters = await _letters(crivo)
            faults = _faults(events, forwarded, letters)
            if sink == "dataset":
                faults += _disorder(forwarded)
            redrive = await _redrive(crivo)
            after = find(events, await _read[sink](crivo))
            left = sum(row["state"] == "dead" for row in await _letters(crivo))
    faults += [
        *([f"{left} dead letters are left"] if left else []),
        *_missing(range(events.count), after, "after the re-drive"),
        *([f"{after.foreign} changed events"] if after.foreign else []),
        *(_doubled(after, "after the re-drive") if sink == "dataset" else []),
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
            "sink": sink,
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


def _set_up(crivo: Crivo, sink: str) -> None:
    """Create the schema and the pipe."""
    call(crivo, "PUT", "/schemas/events", {"schema": SCHEMA, "strict": True})
    to: dict[str, Any] = {"dataset": {"dataset": _SINK}}
    if sink == "dataset":
        call(crivo, "PUT", f"/datasets/{_SINK}", {})
    else:
        to = {"redis_stream": {"stream": _SINK}}
    definition: dict[str, Any] = {
        "from": {"http": {}},
        "schema": "events",
        "script": None,
        "to": to,
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


async def _read_stream(crivo: Crivo) -> list[bytes]:
    async with Redis.from_url(crivo.redis_url) as redis:
        [stream] = [each async for each in redis.scan_iter(f"*:{_SINK}")]
        found: list[bytes] = []
        first = "-"
        while page := await redis.xrange(stream, min=first, count=_PAGE):
            found += [fields[b"event"] for _, fields in page]
            first = f"({page[-1][0].decode()}"
        return found


async def _read_dataset(crivo: Crivo) -> list[bytes]:
    """Read all lines in the order of their snapshots."""
    files: list[Mapping[str, Any]] = []
    path: str | None = f"/datasets/{_SINK}/files?limit=100"
    while path is not None:
        page = await asyncio.to_thread(call, crivo, "GET", path)
        files += page["items"]
        cursor = page["next_cursor"]
        path = cursor and f"/datasets/{_SINK}/files?limit=100&cursor={cursor}"
    client, found = Client(crivo.port), list[bytes]()
    for file in sorted(files, key=itemgetter("added_in")):
        _, content = await client.request("GET", f"/datasets/{_SINK}/files/{file['path']}")
        found += content.splitlines()
    client.close()
    return found


_read: Final[Mapping[str, Callable[[Crivo], Awaitable[list[bytes]]]]] = {
    "dataset": _read_dataset,
    "redis_stream": _read_stream,
}


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


def _disorder(forwarded: Found) -> list[str]:
    order = list(forwarded.times)
    return [
        *(["the events are out of order"] if order != sorted(order) else []),
        *_doubled(forwarded, "at the sink"),
    ]


def _doubled(found: Found, where: str) -> list[str]:
    return [f"{found.doubled} events came twice {where}"] if found.doubled else []


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
