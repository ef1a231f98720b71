"""Errors reach clients that are still sending, even if the connection then closes."""

import json
from contextlib import suppress
from typing import Final

import pytest

from tests.support.raw_connections import answer_on, connected
from tests.support.system import System

# More than the socket buffers of both sides hold.
SIZE_BYTES: Final = 24 * 2**20
FORM: Final = "multipart/form-data; boundary=x"


@pytest.mark.parametrize("ending", ["Connection: close", "Expect: 100-continue"])
@pytest.mark.parametrize(
    ("path", "media_type", "status"),
    [
        ("/scripts", FORM, 413),
        ("/scripts", "application/json", 413),
        ("/scripts", "application/xml", 415),
        ("/executions", "application/json", 413),
        ("/nowhere", "application/json", 404),
        ("/scripts/none/executions", "application/json", 404),
    ],
)
def test_a_client_that_sends_everything_before_it_reads_gets_the_error(
    system: System, path: str, media_type: str, status: int, ending: str
) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {SIZE_BYTES}\r\n{ending}\r\n\r\n"
    )
    with connected(system.port) as connection:
        connection.sendall(head.encode())
        connection.sendall(b" " * SIZE_BYTES)
        connection.shutdown(1)
        answer = answer_on(connection)

    assert answer is not None
    if (
        answer.status == 100
    ):  # the final response follows: this route checks the beginning of the body
        assert answer.body.startswith(b"HTTP/1.1 %d " % status)
        return
    assert answer.status == status
    assert json.loads(answer.body)["status"] == status


def test_discarded_bytes_are_bounded(system: System) -> None:
    head = (
        b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Length: 1000000000000\r\n\r\n"
    )
    sent = 0
    with connected(system.port) as connection, suppress(OSError):
        connection.sendall(head)
        while sent < 2**30:
            connection.sendall(b" " * 2**20)
            sent += 2**20

    assert sent < 2**30


def test_a_client_that_sends_a_body_behind_an_unreadable_head_gets_the_error(
    system: System,
) -> None:
    head = b"POST /scripts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n"
    with connected(system.port) as connection:
        connection.sendall(head)
        connection.sendall(b" " * SIZE_BYTES)
        connection.shutdown(1)
        answer = answer_on(connection)

    assert answer is not None
    assert answer.status == 400
