"""Documents and lines are validated over HTTP, in turns, and nothing is stored."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.support.system import System

_NDJSON: Final = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def address(system: System) -> str:
    """The URL of a schema of the test's own."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    name = f"valid-{uuid4()}"
    system.client.put(f"/schemas/{name}", json={"schema": schema}).raise_for_status()
    return f"/schemas/{name}"


def _lines(answer: httpx.Response) -> list[Any]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_document_is_valid_or_has_all_its_errors(system: System, address: str) -> None:
    url = f"{address}@1/validate"
    valid = system.client.post(url, json={"n": 1})
    invalid = system.client.post(url, json={"n": "text", "m": 1}, params={"excerpts": "true"})

    assert valid.content == b'{"valid":true}'
    errors = invalid.json()["errors"]
    assert invalid.json()["valid"] is False
    assert {(each["pointer"], each["keyword"]) for each in errors} >= {("/n", "type")}
    assert {each["pointer"] for each in errors} == {"/n", "/m"}
    assert next(each for each in errors if each["pointer"] == "/n")["value"] == '"text"'


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", {"Content-Type": "application/json"}, 422),
        (b"", {"Content-Type": "application/json"}, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_what_is_no_document_is_refused(
    system: System, address: str, body: bytes, headers: dict[str, str], expected: int
) -> None:
    answer = system.client.post(f"{address}/validate", content=body, headers=headers)

    assert answer.status_code == expected


def test_lines_are_reported_by_number_with_a_summary(system: System, address: str) -> None:
    body = b'{"n":1}\n\n{"n":"\\ud800"}\nnonsense\n{"n":2}'

    invalid = system.client.post(f"{address}/validate", content=body, headers=_NDJSON)
    every = system.client.post(
        f"{address}/validate", content=body, headers=_NDJSON, params={"all": "true"}
    )

    *refused, summary = _lines(invalid)
    assert [each["line"] for each in refused] == [3, 4]
    assert refused[0]["errors"][0]["pointer"] == "/n"
    assert summary == {"summary": {"lines": 4, "valid": 2, "invalid": 2}}
    assert [(each["line"], each["valid"]) for each in _lines(every)[:-1]] == [
        (1, True),
        (3, False),
        (4, False),
        (5, True),
    ]
    assert system.client.post(f"{address}/validate", content=b"", headers=_NDJSON).json() == {
        "summary": {"lines": 0, "valid": 0, "invalid": 0}
    }


def test_long_bodies_are_answered_while_they_arrive(system: System, address: str) -> None:
    count, arrived = 120_000, threading.Event()

    def body() -> Iterator[bytes]:
        for start in range(0, count, 1_000):
            yield b"".join(b'{"n":%d}\n' % n for n in range(start, start + 1_000))
        # The rest is sent only when the answer to what came before is there.
        assert arrived.wait(60)
        yield b'{"n":null}\n'

    lines: list[bytes] = []
    url = f"{system.url}{address}/validate?all=true"
    for chunk in _duplex(url, body()):
        arrived.set()
        lines.append(chunk)
    found = b"".join(lines).splitlines()

    assert len(found) == count + 2
    last = json.loads(found[-2])
    assert (last["line"], last["valid"]) == (count + 1, False)
    assert json.loads(found[-1])["summary"] == {
        "lines": count + 1,
        "valid": count,
        "invalid": 1,
    }


def test_others_have_turns_while_many_lines_are_validated(system: System, address: str) -> None:
    begun, release = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b'{"n":1}\n' * 200_000
        begun.set()
        assert release.wait(60)
        yield b'{"n":1}\n'

    answers: list[bytes] = []

    def send() -> None:
        answers.extend(_duplex(f"{system.url}{address}/validate", body()))

    thread = threading.Thread(target=send)
    thread.start()
    assert begun.wait(60)
    # The stream holds no turn while its client sends nothing.
    other = system.client.post(f"{address}/validate", json={"n": 1})
    release.set()
    thread.join(60)

    assert other.json() == {"valid": True}
    assert json.loads(b"".join(answers).splitlines()[-1])["summary"]["valid"] == 200_001


def test_a_limit_is_a_problem_of_the_document(system: System) -> None:
    name = f"slow-{uuid4()}"
    schema = {"type": "array", "items": {"pattern": "^(a+)+$"}}
    system.client.put(f"/schemas/{name}", json={"schema": schema}).raise_for_status()

    slow = ["a" * 60 + "!"]
    document = system.client.post(f"/schemas/{name}/validate", json=slow)
    lines = system.client.post(
        f"/schemas/{name}/validate",
        content=b"[]\n" + json.dumps(slow).encode(),
        headers=_NDJSON,
    )
    after = system.client.post(f"/schemas/{name}/validate", json=["aaa"])

    for answer in (document, lines):
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:crivo:problem:validation-failed"
        assert answer.json()["errors"][0]["kind"] == "timeout"
    assert after.json() == {"valid": True}


def _duplex(url: str, body: Iterator[bytes]) -> Iterator[bytes]:
    """Send a body in a thread while its answer is read; httpx sends everything first."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.putrequest("POST", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Type", _NDJSON["Content-Type"])
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()

    def send() -> None:
        for chunk in body:
            connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        connection.send(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    answer = connection.getresponse()
    while chunk := answer.read1(65_536):
        yield chunk
    sender.join(60)
    connection.close()


def test_lines_end_at_line_feeds_only(system: System) -> None:
    name = f"lines-{uuid4()}"
    system.client.put(f"/schemas/{name}", json={"schema": {"items": {"type": "integer"}}})
    lines = [b"[\r1,\r2]"] * 2_500 + [b'["x"]']

    answer = system.client.post(
        f"/schemas/{name}/validate",
        content=b"\n".join(lines),
        headers={"Content-Type": "application/x-ndjson"},
    )

    *refused, summary = map(json.loads, answer.content.split(b"\n")[:-1])
    assert [each["line"] for each in refused] == [2_501]
    assert summary["summary"]["lines"] == 2_501
