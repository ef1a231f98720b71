"""A stream sends each state that its client has not seen, and ends after the final one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct

from tests.executions.waiting.idle_systems import BUSY, IDENTITY, start_idle
from tests.support.system import System
from tests.support.system_with_keys import SystemWithKeys

FINAL = "1000"


class Event(Struct, frozen=True):
    """One event as received."""

    name: str
    id: str
    execution: dict[str, Any]


def test_a_stream_sends_each_state_in_order(idle: System) -> None:
    location = idle.submit("busy", b"7")
    with _followed(idle.client, location) as (_, events):
        first = next(events)
        with idle.another_worker():
            rest = list(events)

    states = [(each.execution["status"], each.id) for each in (first, *rest)]
    assert states == [("queued", "0"), ("running", "1"), ("succeeded", FINAL)]
    assert {each.name for each in (first, *rest)} == {"status"}


def test_the_final_event_has_everything_but_the_result(system: System) -> None:
    system.upload("events-same", IDENTITY)
    location = system.submit("events-same", b'"a result"')
    shown = system.finished(location)

    with _followed(system.client, location) as (_, events):
        [event] = events

    assert event.id == FINAL
    assert shown.pop("result") == "a result"
    assert event.execution == shown


def test_a_client_that_reconnects_gets_the_events_it_has_not_seen(idle: System) -> None:
    location = idle.submit("busy", b"7")

    with idle.another_worker():
        with _followed(idle.client, location, seen="0") as (_, events):
            running = next(events)
        # The client disconnects and reconnects with the id of the last event that it received.
        with _followed(idle.client, location, seen=running.id) as (_, events):
            rest = list(events)

    assert running.execution["status"] == "running"
    assert [each.execution["status"] for each in rest] == ["succeeded"]


def test_a_client_that_has_the_final_event_gets_204(system: System) -> None:
    system.upload("events-seen", IDENTITY)
    location = system.submit("events-seen", b"1")
    system.finished(location)

    answer = system.client.get(f"{location}/events", headers={"Last-Event-ID": FINAL})

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("seen", ["soon", "-1", "999"])
def test_an_unknown_last_event_id_hides_nothing(system: System, seen: str) -> None:
    system.upload(f"events-odd{seen}", IDENTITY)
    location = system.submit(f"events-odd{seen}", b"1")
    system.finished(location)

    with _followed(system.client, location, seen=seen) as (_, events):
        assert [each.id for each in events] == [FINAL]


def test_the_next_attempt_has_a_higher_event_id(stopped_system: System) -> None:
    # The killed worker may leave an offer, which the executions of other tests would take.
    idle = start_idle(stopped_system)
    idle.upload("forever", "function process(_) { for (;;); }")
    location = idle.submit("forever", b"1", wall_ms=5_000)
    with _followed(idle.client, location) as (_, events):
        assert next(events).execution["status"] == "queued"
        with idle.another_worker(CRIVO_LEASE_SECONDS="1") as worker:
            assert next(events).execution["status"] == "running"
            worker.kill()
            worker.wait()
        # The killed worker sends no notification: the next worker rescues the execution and does.
        with idle.another_worker(CRIVO_LEASE_SECONDS="1"):
            again = next(each for each in events if each.execution["status"] == "running")

    assert (again.execution["attempts"], again.id) == (2, "3")


def test_a_stream_is_not_buffered_by_proxies(idle: System) -> None:
    location = idle.submit("same", b"1")

    with _followed(idle.client, location) as (answer, events):
        next(events)

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in answer.headers


def test_a_client_that_does_not_accept_event_streams_gets_406(system: System) -> None:
    system.upload("events-accept", IDENTITY)
    location = system.submit("events-accept", b"1")

    answer = system.client.get(f"{location}/events", headers={"Accept": "application/json"})

    assert answer.status_code == 406


def test_a_stream_ends_when_its_key_is_revoked(keyed: SystemWithKeys) -> None:
    keyed.tenant("events-revoked")
    reader, writer = keyed.key("events-revoked"), keyed.key("events-revoked")
    made = keyed.post("/scripts", writer.key, json={"name": "busy", "source": BUSY})
    assert made.status_code == 201
    # The worker runs two at a time: the last stays queued until the others have finished.
    locations = [
        keyed.post("/scripts/busy/executions", writer.key, content=b"1").headers["Location"]
        for _ in range(6)
    ]
    headers = keyed.authorized(reader.key)
    with _followed(keyed.system.client, locations[-1], headers=headers) as (_, events):
        assert next(events).execution["status"] == "queued"
        assert keyed.request("DELETE", f"/keys/{reader.id}").status_code == 200
        keyed.becomes(401, reader.key)

        # It does not last until the end.
        assert {each.execution["status"] for each in events} <= {"running"}
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
