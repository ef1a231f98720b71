"""Bound the connections of an API process, and close those of clients that make no progress.

uvicorn waits without limit for a request's head, for its body, and for a client to read its
response. Here a connection is closed after `client_seconds` in which

- a head that has begun is not completed, or a new connection sends none;
- less than 4 KiB of a body arrive while the application waits for it;
- less than 4 KiB of a response are read while the application waits to send more;
- the rest of a body that the application did not read is still arriving.

If the response has not begun, the client gets 408. Idle connections between two requests are
left to uvicorn's `timeout_keep_alive`.
"""

import asyncio
from typing import ClassVar, Final

import msgspec
import structlog
import uuid_utils.compat as uuid
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import Problem
from app.http.http1 import Http1Protocol, Part
from app.http.problems import MEDIA_TYPE, document

log = structlog.get_logger(__name__)

PROGRESS_BYTES: Final = 4 * 1024


class SlowClient(Problem):
    """The client took too long to send its request."""

    status = 408
    code = "slow-client"
    title = "The request did not arrive in time"


class TooManyConnections(Problem):
    """This API process has reached its limit of connections."""

    status = 503
    code = "too-many-connections"
    title = "Too many connections are open"


class SlowClientProtocol(Http1Protocol):
    """A connection with limits on slow clients, and problem documents for its errors."""

    client_seconds: ClassVar[float]
    max_connections: ClassVar[int]

    _watch: asyncio.TimerHandle | None = None
    # What the connection waits for, since when, and the bytes received since.
    _waiting: tuple[str, int] | None = None
    _since: float = 0.0
    _bytes: int = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or refuse it over the limit."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            log.warning("api.too_many_connections", limit=self.max_connections)
            detail = f"{self.max_connections} connections are open; try again soon"
            self._answer(TooManyConnections(detail, headers={"Retry-After": "1"}))
            self.transport.close_at_once()
            self._give_up_later()
            return
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching the connection."""
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def data_received(self, data: bytes) -> None:
        """Count received bytes, and discard them once the connection is closing."""
        self._bytes += len(data)
        if self.transport.is_closing():
            self.transport.drop(len(data))
        else:
            super().data_received(data)

    @override
    def refuse(self, problem: Problem) -> None:
        """Respond without the application, unless a response has begun, and close."""
        if self.part is Part.HEAD or not self.cycle.response_started:
            self._answer(problem)
        if self.part is not Part.HEAD:
            # A handler that waits for the rest of the body learns that it will not arrive.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._give_up_later()

    def _look(self) -> None:
        """Check the client's progress, four times in `client_seconds`."""
        if self.transport.is_closing():
            self._give_up_later()
            return
        now = self.loop.time()
        waiting = self._awaited_part()
        progress = waiting is not None and waiting[0] == "body" and self._bytes >= PROGRESS_BYTES
        if waiting != self._waiting or progress:
            self._waiting, self._since, self._bytes = waiting, now, 0
        elif waiting is not None and now - self._since >= self.client_seconds:
            self._end(waiting[0])
            return
        self._watch = self.loop.call_later(self.client_seconds / 4, self._look)

    def _awaited_part(self) -> tuple[str, int] | None:
        """Return which part of which request the client has to send or read; None for none."""
        if self._is_sending():
            left = self.transport.get_write_buffer_size()
            return ("taking", left // PROGRESS_BYTES)
        match self.part:
            case Part.HEAD:
                # Between two requests the client owes nothing until the next one begins.
                begun = self.requests == 0 or bool(self.received)
                return ("head", self.requests) if begun else None
            case Part.BODY:
                if self.cycle.response_complete:
                    # Discarded, for a client that sends everything before it reads.
                    return ("rest", self.requests)
                # Data that has arrived and is not read yet is not for the client to send, nor is
                # what it may send only once the application reads (`Expect: 100-continue`).
                reading = not (
                    self.flow.read_paused or self.cycle.body or self.cycle.waiting_for_100_continue
                )
                return ("body", self.requests) if reading else None
            case Part.NONE:
                return None

    def _is_sending(self) -> bool:
        return bool(self.flow.write_paused)

    def _end(self, what: str) -> None:
        log.info("client.too_slow", what=what, address=self.client and self.client[0])
        if what == "taking":
            # The rest of the response would stay in a buffer that the client does not read.
            self.transport.abort()
        elif what == "head" and not self.received:
            # Clients also open connections for later use.
            self.transport.close()
        else:
            self.refuse(SlowClient(f"the {what} of the request did not arrive in time"))

    def _give_up_later(self) -> None:
        # A closing connection stays until the client has read the end of its response.
        self._watch = self.loop.call_later(self.client_seconds, self.transport.abort)

    def _answer(self, problem: Problem) -> None:
        request_id = str(uuid.uuid7())
        body = msgspec.json.encode({**document(problem), "request_id": request_id})
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "connection": "close",
            "x-content-type-options": "nosniff",
            "x-request-id": request_id,
            **problem.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[problem.status] + lines.encode() + b"\r\n" + body)


def slow_client_protocol(
    *, client_seconds: float, max_connections: int
) -> type[SlowClientProtocol]:
    """Return a protocol class with these limits; uvicorn instantiates it per connection."""

    class LimitedProtocol(SlowClientProtocol):
        pass

    LimitedProtocol.client_seconds = client_seconds
    LimitedProtocol.max_connections = max_connections
    return LimitedProtocol
