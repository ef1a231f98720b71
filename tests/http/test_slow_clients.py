"""Slow, numerous or invalid clients do not keep others from being served."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from app.limits import MAX_PARTS_AT_ONCE
from tests.support.raw_connections import answer_on, connected
from tests.support.servers import Databases, Servers, redis_database
from tests.support.system import System, open_system, until

HEAD: Final = b"POST /scripts/slow/executions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY: Final = HEAD + b"Content-Length: 1000\r\n\r\n["


@pytest.fixture(scope="module")
def impatient(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """An API that allows clients one second, for the tests of this module."""
    folder = tmp_path_factory.mktemp("impatient")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as system,
    ):
        yield _start(system)
        assert "request.failed" not in system.logs_of_process("app.main")


def _start(system: System) -> System:
    system.environ |= {"CRIVO_CLIENT_SECONDS": "1", "CRIVO_MAX_CONNECTIONS": "300"}
    # The API closes a connection that is idle for a second, maybe as a request is sent on it.
    system.client.headers["Connection"] = "close"
    system.start_api()
    system.await_api()
    system.upload("slow", "function process(data) { return data }")
    return system


@pytest.mark.parametrize(
    ("sent", "what"), [(HEAD, "head"), (b"G", "head"), (BODY, "body")], ids=["head", "byte", "body"]
)
def test_an_incomplete_request_is_408(impatient: System, sent: bytes, what: str) -> None:
    with connected(impatient.port) as connection:
        connection.sendall(sent)
        answer = answer_on(connection)

    assert answer is not None
    assert answer.status == 408
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    problem = json.loads(answer.body)
    assert problem["type"] == "urn:crivo:problem:slow-client"
    assert what in problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("start", [HEAD + b"X-Slow: ", BODY], ids=["head", "body"])
def test_single_bytes_are_not_progress(impatient: System, start: bytes) -> None:
    with connected(impatient.port) as connection:
        connection.sendall(start)
        try:
            for _ in until("the server closes"):
                connection.sendall(b" ")
        except OSError:
            pass

    # The API did not handle it as a disconnected client.
    assert impatient.client.get("/health/live").status_code == 200


def test_a_client_that_waits_to_be_asked_for_its_body_is_not_slow(impatient: System) -> None:
    assert impatient.client.put("/datasets/slow", json={}).is_success
    upload = impatient.client.post("/datasets/slow/uploads", json={}).headers["Location"]
    head = "PUT {}/files/{}/parts/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
    with ExitStack() as stack:
        busy = [stack.enter_context(connected(impatient.port)) for _ in range(MAX_PARTS_AT_ONCE)]
        for number, each in enumerate(busy):
            each.sendall(head.format(upload, number).encode() + b"\r\n")
        _send_for(busy, seconds=0.6)
        waiting = stack.enter_context(connected(impatient.port))
        # All turns of the tenant are taken: its body is not read.
        waiting.sendall(head.format(upload, "x").encode() + b"Expect: 100-continue\r\n\r\n")
        _send_for(busy, seconds=3)

        assert select.select([waiting, *busy], [], [], 0)[0] == []
        busy[0].close()
        assert waiting.recv(12) == b"HTTP/1.1 100"


def test_an_unread_body_has_a_time_limit(impatient: System) -> None:
    with connected(impatient.port) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        connection.sendall(b"Content-Length: 1000000000000\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        try:
            for _ in until("the server closes"):
                connection.sendall(b" " * 65_536)
        except OSError:
            pass


def test_an_incomplete_second_request_is_408(impatient: System) -> None:
    with connected(impatient.port) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HEAD)
        answer = answer_on(connection)

    assert answer is not None
    assert answer.status == 200
    assert b"HTTP/1.1 408" in answer.body


def test_a_silent_connection_is_closed_without_a_response(impatient: System) -> None:
    with connected(impatient.port) as connection:
        assert answer_on(connection) is None


def test_a_client_that_does_not_read_its_response_is_disconnected(impatient: System) -> None:
    impatient.upload("large", "function process(data) { return data.repeat(16e6) }")
    impatient.start_worker()
    result = impatient.run("large", b'"x"')["result_url"]
    before = _cut_off(impatient)

    with connected(impatient.port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(f"GET {result} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        for _ in until("it is cut off"):
            if _cut_off(impatient) > before:
                break


def test_many_slow_clients_do_not_delay_another(impatient: System) -> None:
    starts = (HEAD, BODY, b"GET", b"")
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(impatient.port)) for _ in range(200)]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % len(starts)])

        answers = [impatient.client.get("/scripts/slow").status_code for _ in range(20)]
        location = impatient.submit("slow", b"[1]")

        assert answers == [200] * 20
        assert impatient.client.get(location).status_code == 200
        closed = [answer_on(connection) for connection in slow]
    assert {None if answer is None else answer.status for answer in closed} == {None, 408}


def test_a_connection_over_the_limit_is_503(impatient: System) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connected(impatient.port)).sendall(b"GET")
        answer = answer_on(stack.enter_context(connected(impatient.port)))
    # Closed connections have been noticed: other tests find room again.
    impatient.await_api()

    assert answer is not None
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert json.loads(answer.body)["type"] == "urn:crivo:problem:too-many-connections"


@pytest.mark.parametrize(
    "wrong",
    [
        b"POST /scripts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ten\r\n\r\n",
        b"POST /scripts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /scripts HTTP/1.1\r\n\r\n",
        b"not HTTP at all\r\n\r\n",
        b"GET /scripts HTTP/1.1\r\nHost: 127.0.0.1\r\nX : y\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_invalid_http_gets_a_problem_document(system: System, wrong: bytes) -> None:
    with connected(system.port) as connection:
        connection.sendall(wrong)
        answer = answer_on(connection)

    assert answer is not None
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /scripts?cursor=" + "x" * 9_000, "", 414),
        ("GET /scripts", "".join(f"X-{n}: y\r\n" for n in range(101)), 431),
        ("GET /scripts", f"X-Large: {'x' * 33_000}\r\n", 431),
        ("GET /scripts", f"X-Large: {'x' * 70_000}\r\n", 431),
        ("GET /health/live", "".join(f"X-{n}: y\r\n" for n in range(90)), 200),
        ("GET /openapi.json?x=" + "x" * 8_000, f"X-Large: {'x' * 32_000}\r\n", 200),
    ],
)
def test_the_head_is_limited(system: System, request_line: str, headers: str, status: int) -> None:
    lines = f"{request_line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}\r\n"
    with connected(system.port) as connection:
        connection.sendall(lines.encode())
        answer = answer_on(connection)

    assert answer is not None
    assert answer.status == status


def _cut_off(system: System) -> int:
    return system.logs_of_process("app.main").count('"what": "taking"')


def _send_for(connections: list[socket.socket], *, seconds: float) -> None:
    """Send records, as quickly as a client must."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for each in connections:
            each.sendall(b'{"pk":"a"}\n' * 800)
        # Some 44 KB a second: faster than the least rate of the API, and far from filling a part.
        time.sleep(0.2)
