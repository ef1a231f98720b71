"""Send a request in two halves."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.raw_connections import Answer, answer_on, connected


class HalfSentRequest:
    """A connection on which a head and half of a body have been sent."""

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        self.connection = connection
        self._rest = rest

    def end(self) -> Answer:
        """Send the rest, and return the response."""
        self.connection.sendall(self._rest)
        answer = answer_on(self.connection)
        assert answer is not None
        return answer


@contextmanager
def begun(
    port: int, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> Iterator[HalfSentRequest]:
    """Send the first half of a request."""
    lines = {
        "Host": "127.0.0.1",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    half = len(body) // 2
    with connected(port) as connection:
        connection.sendall(head.encode() + b"\r\n" + body[:half])
        yield HalfSentRequest(connection, body[half:])
