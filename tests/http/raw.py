"""Connections on which a test sends and receives bytes as it likes."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

_PATIENCE_SECONDS = 60.0


class Answer(Struct, frozen=True):
    """An answer as it came: its status, its headers in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Open a connection to this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as connection:
        yield connection


def answer_on(connection: socket.socket) -> Answer | None:
    """Read until the server closes; None when it closes without a word."""
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
