"""Ambiguous framing is refused with 400, and nothing after it is read as a request."""

import json
from collections.abc import Iterator

import pytest

from tests.support.framing_corpus import CHUNKED, HIDDEN, REFUSED, START
from tests.support.raw_connections import Answer, answer_on, connected
from tests.support.system import System

LAST = HIDDEN
# Another request may follow it.
NEXT = HIDDEN.replace(b"Connection: close\r\n", b"")


def _exchange(system: System, sent: bytes) -> Answer:
    """Send, and read until the server closes: a second response would be in the body."""
    with connected(system.port) as connection:
        connection.sendall(sent)
        answer = answer_on(connection)
    assert answer is not None
    return answer


@pytest.mark.parametrize("rule", REFUSED)
def test_ambiguous_framing_is_refused_and_the_connection_closes(system: System, rule: str) -> None:
    for name, sent in REFUSED[rule].items():
        answer = _exchange(system, sent + HIDDEN)

        assert answer.status == 400, (name, answer)
        assert answer.headers["connection"] == "close"
        problem = json.loads(answer.body)
        assert problem["type"] == "urn:crivo:problem:malformed-request"
        # In plain words, without the names of Python's types.
        assert "bytearray" not in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"01;ext=1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        # Trailers are read and ignored.
        b"2\r\n{}\r\n0\r\nHost: x\r\nX-Request-Id: y\r\n\r\n",
    ],
)
def test_a_chunked_body_ends_at_its_last_chunk(system: System, body: bytes) -> None:
    answer = _exchange(system, CHUNKED + body + LAST)

    # {} is not a valid upload: it was read to its end, and a request follows it.
    assert answer.status == 422
    assert answer.headers["x-request-id"] != "y"
    assert answer.body.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://127.0.0.1/health/live", "127.0.0.1"),
        ("HTTP://localhost:80/docs?x=1", "127.0.0.1"),
        ("https://[::1]/health/live", "127.0.0.1"),
        # The target's authority counts, not Host (RFC 9112, 3.2.2).
        ("http://127.0.0.1/health/live", "elsewhere.example"),
    ],
)
def test_a_target_may_be_in_absolute_form(system: System, target: str, host: str) -> None:
    lines = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"

    assert _exchange(system, lines.encode()).status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://elsewhere.example/scripts", 421),
        ("http://127.0.0.1.elsewhere.example/scripts", 421),
        ("http://127.0.0.1:x/scripts", 400),
        ("http://127.0.0.1", 200),
        ("http://127.0.0.1?x", 422),
    ],
)
def test_the_authority_of_a_target_is_checked_like_a_host(
    system: System, target: str, status: int
) -> None:
    lines = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

    assert _exchange(system, lines.encode()).status == status


def test_an_origin_is_compared_with_the_authority_of_the_target(system: System) -> None:
    head = "GET http://localhost:{port}/scripts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    same = head.format(port=system.port) + f"Origin: http://localhost:{system.port}\r\n\r\n"
    other = head.format(port=system.port) + "Origin: http://x\r\n\r\n"

    assert _exchange(system, same.encode()).status == 200
    assert _exchange(system, other.encode()).status == 403


def test_options_may_address_the_server_as_a_whole(system: System) -> None:
    answer = _exchange(
        system, b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )

    assert answer.status == 204
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["BREW", "DESCRIBE", "get", "PRI", "CONNECT"])
def test_a_method_that_llhttp_does_not_know_is_405(system: System, method: str) -> None:
    head = f"{method} /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

    answer = _exchange(system, head.encode())

    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert json.loads(answer.body)["type"] == "about:blank"


def test_the_upgrade_of_a_request_is_ignored(system: System) -> None:
    before = len(system.logs_of_process("app.main"))
    body = b"Connection: Upgrade\r\nUpgrade: %b\r\nContent-Length: 2\r\n\r\n{}"

    for protocol in (b"websocket", b"h2c"):
        answer = _exchange(system, START + body % protocol + LAST)

        assert answer.status == 422
        assert answer.body.count(b"HTTP/1.1 200 ") == 1
    # uvicorn would advise to install a library for WebSockets.
    logs = system.logs_of_process("app.main")[before:]
    assert "WebSocket" not in logs
    assert "upgrade" not in logs.lower()


def _with_line_of(size: int) -> Iterator[bytes]:
    """Yield requests with a line that is not complete after so many bytes."""
    filling = b"x" * size
    yield START + b"X: " + filling
    yield CHUNKED + b"1;" + filling
    yield CHUNKED + b"0\r\nX: " + filling
    yield CHUNKED + b"0\r\n" + b"X: y\r\n" * (size // 6 + 1)


def test_lines_of_a_request_are_limited(system: System) -> None:
    for sent in _with_line_of(41 * 1024):
        answer = _exchange(system, sent)

        assert answer.status == 431, sent[:200]
        assert json.loads(answer.body)["type"] == "urn:crivo:problem:headers-too-large"
    assert _exchange(system, b"GET /" + b"x" * 50_000).status == 414


def test_nothing_after_the_last_request_is_served(system: System) -> None:
    for last in (LAST, NEXT.replace(b"1.1", b"1.0")):
        answer = _exchange(system, last + NEXT)

        assert answer.status == 200
        assert b"HTTP/1.1" not in answer.body


def test_requests_are_answered_in_order(system: System) -> None:
    paths = [b"/health/live", b"/nowhere", b"/scripts", b"/nowhere"]
    lines = b"".join(NEXT.replace(b"/health/live", path) for path in paths)

    answer = _exchange(system, lines + LAST)

    parts = (b"HTTP/1.1 %d " % answer.status + answer.body).split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in parts] == [b"200", b"404", b"200", b"404", b"200"]


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_a_body_that_no_route_reads_is_skipped(system: System, size: int) -> None:
    head = NEXT.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % size)

    answer = _exchange(system, head + b" " * size + LAST)

    assert answer.status == 200
    assert answer.body.count(b"HTTP/1.1 200 ") == 1


def test_the_end_of_the_connection_ends_a_stream_to_http_1_0(system: System) -> None:
    system.upload("framed", "function process(data) { return data }")
    finished = system.submit("framed", b"[1]")
    system.finished(finished)
    stream = NEXT.replace(b"/health/live", f"{finished}/events".encode())

    answer = _exchange(system, stream.replace(b"1.1", b"1.0"))
    chunked = _exchange(system, stream + LAST)

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert "transfer-encoding" not in answer.headers
    assert answer.body.startswith(b"retry: ")
    assert chunked.headers["transfer-encoding"] == "chunked"
    assert b"\r\n0\r\n\r\nHTTP/1.1 200 " in chunked.body


def test_a_client_that_expects_it_is_told_to_continue(system: System) -> None:
    head = START + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    with connected(system.port) as connection:
        connection.sendall(head)
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        answer = answer_on(connection)

    assert answer is not None
    assert answer.status == 422
