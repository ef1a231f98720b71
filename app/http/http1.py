"""Serve HTTP/1.1 on a connection, one request after the other.

uvicorn's protocol for httptools hands every received byte to llhttp, which accepts more than is
safe, knows a list of methods only, and parses requests that are sent behind one that is being
served. Here llhttp gets one request at a time, after `app.http.framing` has checked it: its header
lines behind a request line that stays the same, and then its body. What follows a request waits
unparsed until the response is complete.
"""

import asyncio
from enum import Enum, auto
from typing import Any, Final
from urllib.parse import unquote

import httptools
import structlog
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.errors import Problem
from app.http.asgi import App, Message, Receive, Scope, Send
from app.http.framing import (
    ChunkedBody,
    RequestHead,
    SizedBody,
    framing_of,
    in_origin_form,
    malformed,
    read_head,
    take_head,
)
from app.http.transport import LingeringTransport

log = structlog.get_logger(__name__)

# Some 1 ms. Each line and each piece of a chunked body is a step.
_STEPS_IN_A_TURN: Final = 256


class Part(Enum):
    """The part of a request that the connection reads."""

    HEAD = auto()
    BODY = auto()
    # The request is complete, its response is not.
    NONE = auto()


class Http1Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with strict framing and without pipelining."""

    transport: LingeringTransport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn gives each connection."""
        super().__init__(config, server_state, app_state, _loop)
        self.part = Part.HEAD
        self.received = bytearray()
        self.requests = 0
        self._scanned = 0
        self._body: SizedBody | ChunkedBody = SizedBody(0)
        self._parsed = False
        self._refused = False

    # asyncio declares the base class of transports; uvicorn narrows it as here.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection."""
        super().connection_made(LingeringTransport(transport, owes=self._client_owes))

    def data_received(self, data: bytes) -> None:
        """Keep what arrives, and read the request that is due."""
        self._unset_keepalive_if_required()
        self.received += data
        self.read_requests()

    def read_requests(self) -> None:
        """Read requests in bounded steps, yielding to the event loop between them."""
        try:
            for _ in range(_STEPS_IN_A_TURN):
                if self.transport.is_closing() or not self._read_part():
                    return
        except Problem as problem:
            log.info("client.invalid_request", reason=problem.detail)
            self._refused = True
            self.refuse(problem)
            return
        self.transport.hold_reading()
        self.loop.call_soon(self._read_the_rest)

    def refuse(self, problem: Problem) -> None:
        """Respond without the application, and close."""
        raise NotImplementedError

    def _client_owes(self) -> bool:
        """Return whether more of a request may still arrive."""
        match self.part:
            case Part.HEAD:
                # What follows a refused request is part of it, as far as anyone knows.
                return self._refused or bool(self.received)
            case Part.BODY:
                return True
            case Part.NONE:
                return False

    def _read_the_rest(self) -> None:
        self.transport.release_reading()
        if not self.transport.is_closing():
            self.read_requests()

    def _read_part(self) -> bool:
        """Read a head or a step of a body; return whether there may be more to read."""
        match self.part:
            case Part.HEAD:
                return self._read_head()
            case Part.BODY:
                return self._read_body()
            case Part.NONE:
                if self.received:
                    # Behind the last request of a connection, it stays unread (RFC 9112, 9.6).
                    self.flow.pause_reading()
                return False

    def _read_head(self) -> bool:
        received = take_head(self.received, scanned=self._scanned)
        self._scanned = len(self.received) if received is None else 0
        if received is None:
            return False
        head = read_head(received)
        self._parse_head(head.version, head.fields)
        framing = framing_of(self.headers, head.version)
        target = in_origin_form(head, self.headers)
        self._body = ChunkedBody() if framing.length is None else SizedBody(framing.length)
        self.expect_100_continue = framing.awaits_continue
        self._begin(head, target, keep_alive=framing.keeps_alive)
        return True

    def _parse_head(self, version: str, fields: bytes) -> None:
        """Let llhttp split the header lines into `headers`."""
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"POST / HTTP/%b\r\n%b\r\n" % (version.encode(), fields))
        if self.parser.should_upgrade():
            # No other protocol is offered. httptools would skip the body, so it does not see the
            # header: without it, the request is parsed as any other.
            lines = fields.splitlines(keepends=True)
            others = [line for line in lines if not line.lower().startswith(b"upgrade:")]
            self._parse_head(version, b"".join(others))

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise malformed(str(error)) from None

    def _begin(self, head: RequestHead, target: bytes, *, keep_alive: bool) -> None:
        self._unset_keepalive_if_required()
        raw_path, _, query = target.partition(b"?")
        super().on_headers_complete()
        self.cycle.keep_alive = keep_alive
        # Its task has not run yet.
        self.scope["method"] = head.method
        self.scope["path"] = self.root_path + unquote(raw_path.decode("ascii"))
        self.scope["raw_path"] = self.root_path.encode("ascii") + raw_path
        self.scope["query_string"] = query
        self.part = Part.BODY

    def _read_body(self) -> bool:
        piece = self._body.take(self.received)
        if piece:
            self._feed(piece)
        if not self._body.complete:
            return bool(piece)
        if not self._parsed:
            # llhttp places the end elsewhere: one of the two is wrong.
            raise malformed("where it ends is not certain")
        super().on_message_complete()
        self.part = Part.NONE
        if self.cycle.response_complete:
            self._await_request()
        return True

    def _await_request(self) -> None:
        """Begin with what has arrived of the next request, or let the connection idle."""
        self.part = Part.HEAD
        if self.received:
            self._unset_keepalive_if_required()
        elif self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    # Callbacks of the parser: requests begin, and end, when they have been checked.

    @override
    def on_message_begin(self) -> None:
        # Also if llhttp takes a part of the body for another request.
        self._parsed = False
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers must not become headers.
        if self.part is Part.HEAD:
            self.headers.append((name.lower(), value.rstrip(b" \t")))

    @override
    def on_headers_complete(self) -> None:
        pass

    @override
    def on_message_complete(self) -> None:
        self._parsed = True

    # Callbacks of the response.

    @override
    def on_response_complete(self) -> None:
        """Count requests, and read the next."""
        self.requests += 1
        super().on_response_complete()
        if self.part is Part.NONE and not self.transport.is_closing():
            self._await_request()
            self.read_requests()

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = _without_chunks(app, cycle)
        super()._start_asgi_task(cycle, app)


def _without_chunks(app: App, cycle: RequestResponseCycle) -> App:
    """Wrap the application: a response to HTTP/1.0 is not chunked.

    Without a Content-Length, the end of the connection ends it (RFC 9112, 6.3).
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        sized = True

        async def unchunked(message: Message) -> None:
            nonlocal sized
            if message["type"] == "http.response.start":
                sized = any(name.lower() == b"content-length" for name, _ in message["headers"])
                if not sized:
                    cycle.chunked_encoding = False
            elif not sized:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, unchunked)

    return answer
