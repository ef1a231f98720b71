"""Open connections for raw bytes."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

_PATIENCE_SECONDS = 60.0


class Answer(Struct, frozen=True):
    """A response: status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Open a connection to a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as connection:
        yield connection


def answer_on(connection: socket.socket) -> Answer | None:
    """Read until the server closes; None if it sends nothing."""
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except ConnectionResetError:
        pass
    if not received:
        return None
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    return Answer(int(status_line.split()[1]), headers, body)
