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
import sys
from http import HTTPStatus
from typing import Any, ClassVar, Final

import h11
import msgspec
import structlog
import uuid_utils.compat as uuid
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.errors import MalformedRequest, Problem
from app.http.framing import StrictConnection
from app.http.problems import MEDIA_TYPE, document
from app.http.transport import LingeringTransport

log = structlog.get_logger(__name__)

PROGRESS_BYTES: Final = 4 * 1024
# Some 4 ms. Each chunk of a chunked body is an event, and 64 KiB may hold 10,000 of them.
_EVENTS_IN_A_TURN: Final = 256
_MAX_HEAD_BYTES: Final = 64 * 1024


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


class HeadUnreadable(Problem):
    """The request's head exceeds its limit before it is complete."""

    status = 431
    code = "headers-too-large"
    title = "The headers are too many or too large"


class _TurnTaking(StrictConnection):
    """h11's connection, which pretends to need data after a bounded number of events."""

    events_left: int = _EVENTS_IN_A_TURN

    @override
    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.events_left == 0:
            return h11.NEED_DATA
        self.events_left -= 1
        return super().next_event()


class SlowClientProtocol(H11Protocol):
    """uvicorn's protocol with limits on slow clients, and problem documents for its errors."""

    client_seconds: ClassVar[float]
    max_connections: ClassVar[int]

    _watch: asyncio.TimerHandle | None = None
    # What the connection waits for, since when, and the bytes received since.
    _waiting: tuple[str, int] | None = None
    _since: float = 0.0
    _bytes: int = 0
    _requests: int = 0

    conn: _TurnTaking
    transport: LingeringTransport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or refuse it over the limit."""
        limit = self.config.h11_max_incomplete_event_size or _MAX_HEAD_BYTES
        self.conn = _TurnTaking(h11.SERVER, limit)
        super().connection_made(LingeringTransport(transport, owes=self._client_owes))
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

    def handle_events(self) -> None:
        """Parse received data in bounded steps, yielding to the event loop between them."""
        self.conn.events_left = _EVENTS_IN_A_TURN
        super().handle_events()
        if self.conn.events_left == 0 and not self.transport.is_closing():
            self.transport.hold_reading()
            self.loop.call_soon(self._handle_the_rest)

    def _handle_the_rest(self) -> None:
        self.transport.release_reading()
        if not self.transport.is_closing():
            self.handle_events()

    def on_response_complete(self) -> None:
        """Count requests, so that the head of the next one gets its own time."""
        self._requests += 1
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Send a problem document for bytes that are not valid HTTP."""
        reason = sys.exception()
        hint = getattr(reason, "error_status_hint", HTTPStatus.BAD_REQUEST)
        if hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self._refuse(HeadUnreadable("the head is larger than the limit"))
        else:
            self._refuse(MalformedRequest(f"the request is not valid HTTP: {reason or msg}"))

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
        match self.conn.their_state:
            case h11.IDLE:
                # Between two requests the client owes nothing until the next one begins.
                begun = self._requests == 0 or bool(self.conn.trailing_data[0])
                return ("head", self._requests) if begun else None
            case h11.SEND_BODY:
                if self.cycle.response_complete:
                    # Discarded, for a client that sends everything before it reads.
                    return ("rest", self._requests)
                # Data that has arrived and is not read yet is not for the client to send.
                reading = not self.flow.read_paused and not self.cycle.body
                return ("body", self._requests) if reading else None
            case _:
                return None

    def _is_sending(self) -> bool:
        return bool(self.flow.write_paused)

    def _end(self, what: str) -> None:
        log.info("client.too_slow", what=what, address=self.client and self.client[0])
        if what == "taking":
            # The rest of the response would stay in a buffer that the client does not read.
            self.transport.abort()
            return
        self._refuse(SlowClient(f"the {what} of the request did not arrive in time"))

    def _refuse(self, problem: Problem) -> None:
        """Respond without the application, unless a response has begun, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and self._has_request():
            self._answer(problem)
        if self.cycle is not None:
            # A handler that waits for the rest of the body learns that it will not arrive.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._give_up_later()

    def _client_owes(self) -> bool:
        """Return whether a request has begun and is not complete."""
        if self.conn.their_state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    def _has_request(self) -> bool:
        """Return whether a request has begun: clients also open connections for later use."""
        return self.conn.their_state is not h11.IDLE or bool(self.conn.trailing_data[0])

    def _give_up_later(self) -> None:
        # A closing connection stays until the client has read the end of its response.
        self._watch = self.loop.call_later(self.client_seconds, self.transport.abort)

    def _answer(self, problem: Problem) -> None:
        request_id = str(uuid.uuid7())
        body = msgspec.json.encode({**document(problem), "request_id": request_id})
        headers = [
            ("content-type", MEDIA_TYPE),
            ("content-length", str(len(body))),
            ("connection", "close"),
            ("x-content-type-options", "nosniff"),
            ("x-request-id", request_id),
            *problem.headers.items(),
        ]
        reason = HTTPStatus(problem.status).phrase.encode()
        events: list[Any] = [
            h11.Response(status_code=problem.status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")


def slow_client_protocol(
    *, client_seconds: float, max_connections: int
) -> type[SlowClientProtocol]:
    """Return a protocol class with these limits; uvicorn instantiates it per connection."""

    class LimitedProtocol(SlowClientProtocol):
        pass

    LimitedProtocol.client_seconds = client_seconds
    LimitedProtocol.max_connections = max_connections
    return LimitedProtocol
