"""Server-sent events: every state that a reader has not seen, to the final one and no further."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct

from tests.acceptance.keyed import Keyed
from tests.acceptance.system import System

IDENTITY = "const process = data => data"
BUSY = "function process(d) { let x = 0; for (let i = 0; i < 4e8; i++) x += i; return d }"
FINAL = "1000"


class Event(Struct, frozen=True):
    """One event as it came."""

    name: str
    id: str
    execution: dict[str, Any]


@pytest.fixture
def idle(stopped_system: System) -> System:
    """A system whose API runs and whose worker does not: what is submitted stays queued."""
    stopped_system.start_api()
    stopped_system.await_api()
    stopped_system.upload("same", IDENTITY)
    stopped_system.upload("busy", BUSY)
    return stopped_system


def test_a_reader_is_told_each_state_in_its_order(idle: System) -> None:
    location = idle.submit("busy", b"7")
    with _followed(idle.client, location) as (_, events):
        first = next(events)
        idle.start_worker()
        rest = list(events)

    told = [(each.execution["status"], each.id) for each in (first, *rest)]
    assert told == [("queued", "0"), ("running", "1"), ("succeeded", FINAL)]
    assert {each.name for each in (first, *rest)} == {"status"}


def test_the_final_event_holds_all_but_the_result(system: System) -> None:
    system.upload("events-same", IDENTITY)
    location = system.submit("events-same", b'"a result"')
    shown = system.finished(location)

    with _followed(system.client, location) as (_, events):
        [event] = events

    assert event.id == FINAL
    assert shown.pop("result") == "a result"
    assert event.execution == shown


def test_a_reader_that_comes_again_is_told_what_it_has_not_seen(idle: System) -> None:
    location = idle.submit("busy", b"7")

    with _followed(idle.client, location, seen="0") as (_, events):
        idle.start_worker()
        running = next(events)
    # It leaves in the middle, and comes again with the last that it saw.
    with _followed(idle.client, location, seen=running.id) as (_, events):
        rest = list(events)

    assert running.execution["status"] == "running"
    assert [each.execution["status"] for each in rest] == ["succeeded"]


def test_a_reader_that_has_seen_all_is_told_to_stop(system: System) -> None:
    system.upload("events-seen", IDENTITY)
    location = system.submit("events-seen", b"1")
    system.finished(location)

    answer = system.client.get(f"{location}/events", headers={"Last-Event-ID": FINAL})

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("seen", ["soon", "-1", "999"])
def test_an_id_that_was_never_given_hides_nothing(system: System, seen: str) -> None:
    system.upload(f"events-odd{seen}", IDENTITY)
    location = system.submit(f"events-odd{seen}", b"1")
    system.finished(location)

    with _followed(system.client, location, seen=seen) as (_, events):
        assert [each.id for each in events] == [FINAL]


def test_the_next_attempt_of_an_execution_is_told_with_a_higher_id(idle: System) -> None:
    idle.upload("forever", "function process(_) { for (;;); }")
    location = idle.submit("forever", b"1", wall_ms=5_000)
    with _followed(idle.client, location) as (_, events):
        assert next(events).execution["status"] == "queued"
        worker = idle.start_worker(CRIVO_LEASE_SECONDS="1")
        assert next(events).execution["status"] == "running"
        worker.kill()
        worker.wait()
        # Nobody is left who could tell: the next worker's sweep finds it, and tells.
        idle.start_worker(CRIVO_LEASE_SECONDS="1")
        again = next(each for each in events if each.execution["status"] == "running")

    assert (again.execution["attempts"], again.id) == (2, "3")


def test_a_stream_is_not_kept_back_on_its_way(idle: System) -> None:
    location = idle.submit("same", b"1")

    with _followed(idle.client, location) as (answer, events):
        next(events)

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in answer.headers


def test_who_does_not_take_events_is_told_what_there_is(system: System) -> None:
    system.upload("events-accept", IDENTITY)
    location = system.submit("events-accept", b"1")

    answer = system.client.get(f"{location}/events", headers={"Accept": "application/json"})

    assert answer.status_code == 406


def test_a_key_that_is_revoked_is_told_no_more(keyed: Keyed) -> None:
    keyed.tenant("events-revoked")
    reader, writer = keyed.key("events-revoked"), keyed.key("events-revoked")
    made = keyed.post("/scripts", writer.key, json={"name": "busy", "source": BUSY})
    assert made.status_code == 201
    # Two go on while a third waits for its turn: the last is queued until they have ended.
    locations = [
        keyed.post("/scripts/busy/executions", writer.key, content=b"1").headers["Location"]
        for _ in range(6)
    ]
    headers = keyed.authorized(reader.key)
    with _followed(keyed.system.client, locations[-1], headers=headers) as (_, events):
        assert next(events).execution["status"] == "queued"
        assert keyed.request("DELETE", f"/keys/{reader.id}").status_code == 200
        keyed.becomes(401, reader.key)

        assert list(events) == []
    assert keyed.get(f"{locations[-1]}?wait=60", writer.key).json()["status"] == "succeeded"


@contextmanager
def _followed(
    client: httpx.Client,
    location: str,
    *,
    seen: str | None = None,
    headers: dict[str, str] | None = None,
) -> Iterator[tuple[httpx.Response, Iterator[Event]]]:
    headers = {"Accept": "text/event-stream", **(headers or {})}
    if seen is not None:
        headers["Last-Event-ID"] = seen
    with client.stream("GET", f"{location}/events", headers=headers) as answer:
        assert answer.status_code == 200
        yield answer, _read(answer.iter_lines())


def _read(lines: Iterator[str]) -> Iterator[Event]:
    members: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            members[name] = value
        elif "data" in members:
            yield Event(members["event"], members["id"], msgspec.json.decode(members["data"]))
            members = {}
