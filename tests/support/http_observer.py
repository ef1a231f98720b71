"""Observe what an application sees of the bytes on a connection to an HTTP server."""

import asyncio
import re
import socket
from collections.abc import Iterable
from typing import Any, Final

import uvicorn
from msgspec import Struct, field
from uvicorn.server import ServerState

from app.http.asgi import Message, Receive, Scope, Send

# Iterations of the event loop in which a server reads what was sent, and responds.
_TURNS_AFTER_A_PIECE: Final = 3
_TURNS_AT_THE_END: Final = 60
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
# Neither a refusal nor consent to a tunnel or another protocol.
_STATUS: Final = 303
_HEADERS: Final = [(b"content-length", b"0")]


class Seen(Struct):
    """A request as the application sees it."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False


class Observation(Struct):
    """The requests on a connection, the statuses of the responses, and how it stands."""

    requests: list[Seen] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    closed: bool = False
    # Whether the connection waits for its next request, for a limited time.
    idle: bool = False

    @property
    def refused(self) -> bool:
        """Whether the server responded without the application."""
        return any(status >= 400 for status in self.statuses)


async def observe(
    protocol: type[Any], pieces: Iterable[bytes], *, reads: bool = True
) -> Observation:
    """Send pieces on a connection to a server, each after the last is read.

    The application need not read bodies.
    """
    observed = Observation()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        target = scope["raw_path"] + (
            b"?" + scope["query_string"] if scope["query_string"] else b""
        )
        seen = Seen(scope["method"], target, scope["headers"])
        observed.requests.append(seen)
        message: Message = {"more_body": reads}
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            seen.body += message["body"]
        seen.complete = reads
        await send({"type": "http.response.start", "status": _STATUS, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    config.load()
    server = ServerState()
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    transport, server_side = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: protocol(config=config, server_state=server, app_state={}), theirs
    )
    try:
        await _send(ours, pieces)
        received, observed.closed = _read(ours)
        observed.idle = server_side.timeout_keep_alive_task is not None
        observed.statuses = [int(status) for status in _STATUS_LINE.findall(received)]
    finally:
        ours.close()
        transport.abort()
        await asyncio.gather(*server.tasks)
    return observed


async def _send(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            connection.sendall(piece)
            await _turn(_TURNS_AFTER_A_PIECE)
    except (BrokenPipeError, ConnectionResetError):
        pass
    await _turn(_TURNS_AT_THE_END)


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def _read(connection: socket.socket) -> tuple[bytes, bool]:
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except BlockingIOError:
        return received, False
    except ConnectionResetError:
        pass
    return received, True
