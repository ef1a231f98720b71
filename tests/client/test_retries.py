"""Requests are repeated where that is safe, and only there."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

import crivo
from crivo import AsyncCrivo, Crivo, Retry
from crivo.retries import Keys, Pause, deliver
from crivo.wire import Reply, Request
from tests.support.faulty_server import FaultyServer, Lost, Scripted, faulty_server
from tests.support.system import System

QUICK: Final = Retry(attempts=4, first_pause=0.001, max_pause=0.002)
ECHO: Final = "function process(data) { return data }"
PROBLEM: Final = {"Content-Type": "application/problem+json"}
QUEUED: Final = (
    b'{"id":"01a1fbeb-e349-7359-851e-28a65d1b7be4","status":"queued","url":"/executions/x"}'
)


def problem(status: int, code: str, **headers: str) -> Scripted:
    body = (
        f'{{"type":"urn:crivo:problem:{code}","title":"t","status":{status},'
        f'"detail":"d","request_id":"r"}}'
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status=status, headers={**PROBLEM, **named}, body=body.encode())


@pytest.fixture
def keyless(system: System) -> Iterator[FaultyServer]:
    """A service of version 0.1.0, which takes no idempotency keys."""
    with faulty_server(system.url, refuse_keys=True) as server:
        yield server


@pytest.fixture
def old(keyless: FaultyServer) -> Iterator[Crivo]:
    """A client of that service, which knows already that it takes no keys."""
    with Crivo(keyless.url, retry=QUICK) as client:
        client._driver.session.keys.supported = False
        yield client


@pytest.fixture
def client(faulty: FaultyServer) -> Iterator[Crivo]:
    with Crivo(faulty.url, retry=QUICK) as client:
        yield client


def submissions(faulty: FaultyServer) -> list[str | None]:
    """The idempotency keys of the submissions that arrived."""
    return [
        each.headers.get("idempotency-key")
        for each in faulty.seen
        if each.method == "POST" and each.path.partition("?")[0].endswith("/executions")
    ]


@pytest.mark.parametrize(
    "fault",
    [
        Lost(),
        Lost(forwarded=True),
        problem(503, "database-unavailable", Retry_After="0"),
        problem(429, "too-many-requests"),
        Scripted(status=502, headers={"Content-Type": "text/html"}, body=b"<html>"),
    ],
)
def test_a_read_is_repeated(
    client: Crivo, faulty: FaultyServer, echo: str, fault: Scripted | Lost
) -> None:
    faulty.faults = [fault, fault]

    assert client.scripts.show(echo).name == echo
    assert len(faulty.seen) == 3


def test_a_push_is_repeated_and_adds_one_version(client: Crivo, faulty: FaultyServer) -> None:
    name = f"pushed-once-{uuid4().hex[:8]}"
    faulty.faults = [Lost(forwarded=True)]

    pushed = client.scripts.push(name, ECHO)

    assert (pushed.version, pushed.is_new) == (1, False)


def test_a_wait_without_room_is_asked_once(client: Crivo, faulty: FaultyServer, echo: str) -> None:
    execution = client.run(echo, 1).execution
    faulty.seen.clear()
    faulty.faults = [problem(503, "no-room-to-wait")]

    found = client.executions.wait(execution.id, timeout=0.01)

    assert found == execution
    assert ["wait=" in each.path for each in faulty.seen] == [True, False]


def test_attempts_end(client: Crivo, faulty: FaultyServer) -> None:
    faulty.faults = [Lost()] * 10

    with pytest.raises(crivo.Unreachable, match="was lost"):
        client.scripts.show("any")
    assert len(faulty.seen) == QUICK.attempts


def test_a_refusal_is_not_repeated(client: Crivo, faulty: FaultyServer) -> None:
    with pytest.raises(crivo.NotFound):
        client.scripts.show("missing")
    assert len(faulty.seen) == 1


@pytest.mark.parametrize("text", ["7", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", ""])
def test_retry_after_is_obeyed(text: str) -> None:
    patient = Retry(attempts=4, first_pause=0.001, max_retry_after=1e12)
    flow = deliver(Request(method="GET", path="/"), retry=patient, keys=Keys())
    busy = problem(503, "queue-full", Retry_After=text)
    next(flow)

    headers = {name.lower(): value for name, value in busy.headers.items()}
    step = flow.send(Reply(url="", status=503, headers=headers, content=busy.body))

    assert isinstance(step, Pause)
    at_least = {"7": 7.0, "soon": 0.0, "": 0.0}.get(text, 1e9)
    assert at_least <= step.seconds
    assert step.seconds < 8.0 or at_least == 1e9
    assert flow.send(None) == Request(method="GET", path="/")


def test_a_retry_after_beyond_patience_ends_the_attempts(
    client: Crivo, faulty: FaultyServer
) -> None:
    faulty.faults = [problem(429, "too-many-requests", Retry_After="3600")]

    with pytest.raises(crivo.TooManyRequests) as refusal:
        client.scripts.show("any")
    assert refusal.value.retry_after == 3600


def test_pauses_grow_and_are_random() -> None:
    retry = Retry(attempts=4, first_pause=1.0, max_pause=3.0)

    pauses = [
        [retry.pause(failures, retry_after=None) or 0.0 for _ in range(200)]
        for failures in (1, 2, 3)
    ]

    assert retry.pause(4, retry_after=None) is None
    assert all(
        0 <= each <= bound for row, bound in zip(pauses, (1, 2, 3), strict=True) for each in row
    )
    assert max(pauses[1]) > 1 > min(pauses[1])
    assert (retry.pause(1, retry_after=5.0) or 0) >= 5
    endless = Retry(attempts=10_000, max_pause=3.0)
    assert 0 <= (endless.pause(9_999, retry_after=None) or 0) <= 3


def test_a_lost_submission_is_not_repeated_on_a_service_without_keys(
    old: Crivo, keyless: FaultyServer, echo: str
) -> None:
    keyless.faults = [Lost(forwarded=True)]

    with pytest.raises(crivo.Unreachable) as lost:
        old.executions.submit(echo, 1, labels={"of": echo})

    assert lost.value.may_have_arrived
    assert len(list(old.executions.list(labels={"of": echo}))) == 1


def test_a_submission_that_did_not_arrive_is_repeated(
    old: Crivo, keyless: FaultyServer, echo: str
) -> None:
    keyless.faults = [
        problem(429, "too-many-requests"),
        problem(503, "queue-full", Retry_After="0"),
    ]

    old.run(echo, 1, labels={"of": echo})

    assert len(list(old.executions.list(labels={"of": echo}))) == 1


def test_a_database_that_was_away_may_have_stored_a_submission(
    old: Crivo, keyless: FaultyServer, echo: str
) -> None:
    keyless.faults = [problem(503, "database-unavailable", Retry_After="0")]

    with pytest.raises(crivo.Unavailable):
        old.executions.submit(echo, 1)


@pytest.mark.parametrize(
    "fault",
    [
        Lost(),
        problem(503, "database-unavailable"),
        problem(409, "idempotency-key-in-use", Retry_After="0"),
        Scripted(status=504, body=b"<html>"),
    ],
)
def test_a_service_that_takes_keys_gets_the_same_key_again(fault: Scripted | Lost) -> None:
    with faulty_server() as future, Crivo(future.url, retry=QUICK) as client:
        accepted = Scripted(status=202, headers={"Content-Type": "application/json"}, body=QUEUED)
        future.faults = [fault, accepted, accepted]

        client.executions.submit("any", 1)
        client.executions.submit("any", 1)

        first, again, other = submissions(future)
    assert first == again != other
    assert first is not None
    assert first.startswith('"')
    assert len(first) <= 255


def test_a_key_that_may_have_been_taken_is_never_left_out() -> None:
    refused = problem(400, "idempotency-key-unsupported")
    with faulty_server() as mixed, Crivo(mixed.url, retry=QUICK) as client:
        mixed.faults = [Lost(forwarded=True), refused, Scripted(status=202)]

        with pytest.raises(crivo.Unreachable) as unknown:
            client.executions.submit("any", 1)

        assert len(submissions(mixed)) == 2
    assert unknown.value.may_have_arrived


def test_a_submission_without_an_answer_can_be_repeated_later(
    faulty: FaultyServer, echo: str
) -> None:
    once = Retry(attempts=1)
    with Crivo(faulty.url, retry=once) as client:
        faulty.faults = [Lost(forwarded=True)]
        with pytest.raises(crivo.Unreachable) as unknown:
            client.executions.submit(echo, 1)
        key = unknown.value.idempotency_key
        assert key is not None
        client.executions.submit(echo, 1, idempotency_key=key)

        assert len(list(client.executions.list(script=echo))) == 1


def test_a_promotion_is_not_repeated_over_a_change_by_others(
    faulty: FaultyServer, client: Crivo, echo: str
) -> None:
    faulty.faults = [Lost(forwarded=True)]

    with pytest.raises(crivo.Unreachable):
        client.scripts.promote(echo, "prod", 1)


def test_a_repeated_submission_may_have_finished_by_now(
    client: Crivo, faulty: FaultyServer, echo: str, system: System
) -> None:
    finished = client.run(echo, 1).execution
    document = system.client.get(f"/executions/{finished.id}").content
    faulty.faults = [Scripted(headers={"Idempotency-Replayed": "true"}, body=document)]

    again = client.executions.submit(echo, 1)

    assert (again.id, again.status) == (finished.id, "succeeded")


def test_a_stream_is_submitted_once_after_the_service_was_asked(
    keyless: FaultyServer, echo: str
) -> None:
    with Crivo(keyless.url, retry=QUICK) as client:
        assert client.run(echo, iter([b"[1,", b"2]"])).content == b"[1,2]"
        probe, submission = submissions(keyless)
        assert probe is not None
        assert submission is None
        keyless.faults = [Lost(forwarded=True)]
        with pytest.raises(crivo.Unreachable):
            client.executions.submit(echo, iter([b"3"]))
    assert submissions(keyless) == [probe, None, None]


def test_a_file_is_sent_again_from_its_start(
    keyless: FaultyServer, echo: str, tmp_path: Path
) -> None:
    (tmp_path / "data.json").write_bytes(b"x[1,2]")
    with (
        # A refused key uses up no attempt.
        Crivo(keyless.url, retry=Retry(attempts=2, first_pause=0.001)) as client,
        (tmp_path / "data.json").open("rb") as file,
    ):
        keyless.faults = [problem(429, "too-many-requests")]
        file.seek(1)
        # The first request carries a key, which is refused.
        assert client.run(echo, file).content == b"[1,2]"
    assert len(submissions(keyless)) == 3


def test_a_lost_submission_is_never_carried_out_twice(
    client: Crivo, faulty: FaultyServer, echo: str
) -> None:
    faulty.faults = [Lost(forwarded=True), Lost(forwarded=True)]

    # With keys it is repeated; without, its loss is reported.
    with suppress(crivo.Unreachable):
        client.executions.submit(echo, 1, labels={"of": echo})

    assert len(list(client.executions.list(labels={"of": echo}))) == 1


async def test_the_asynchronous_client_keeps_the_same_rules(
    keyless: FaultyServer, echo: str
) -> None:
    async with AsyncCrivo(keyless.url, retry=QUICK) as client:
        keyless.faults = [Lost(), Lost(forwarded=True)]
        script = await asyncio.wait_for(client.scripts.show(echo), 60)
        assert script.name == echo
        await client.run(echo, 0)
        keyless.faults = [Lost(forwarded=True)]
        with pytest.raises(crivo.Unreachable):
            await client.executions.submit(echo, 1)
