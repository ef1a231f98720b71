"""A faulty proxy: it answers what a test says, loses responses, and forwards the rest.

It stands in for the networks, proxies and future services that cannot run here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from threading import Event, Thread
from typing import Final

import httpx
from msgspec import Struct, field

_CHUNK_BYTES: Final = 256 * 1024
_HOP_BY_HOP: Final = {"connection", "transfer-encoding", "content-length", "host"}
# Upstream is plain HTTP. Without it, httpx reads all certificates for every request.
_NO_CERTIFICATES: Final = SSLContext(PROTOCOL_TLS_CLIENT)


class Seen(Struct, frozen=True):
    """A request as it arrived; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Scripted(Struct, frozen=True, kw_only=True):
    """A response that is not the service's own; its body is repeated `times`."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    times: int = 1

    @property
    def size(self) -> int:
        return len(self.body) * self.times

    def chunks(self) -> Iterator[bytes]:
        """The body, in parts of a bounded size."""
        at_once = max(1, min(self.times, _CHUNK_BYTES // max(1, len(self.body))))
        for start in range(0, self.times, at_once):
            yield self.body * min(at_once, self.times - start)


class Lost(Struct, frozen=True, kw_only=True):
    """The connection breaks: before the request is forwarded, or within the response."""

    forwarded: bool = False
    after_bytes: int | None = None


class Stuck(Struct, kw_only=True):
    """A request whose path contains a text is not answered: until `released`, then never.

    The first `after` of such requests are forwarded. If `forwarded`, this one is carried out.
    `held_path` is the path of the request.
    """

    path: str
    after: int = 0
    forwarded: bool = False
    reached: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)
    held_path: str = ""

    def takes(self, request: Seen) -> bool:
        if self.path not in request.path or self.reached.is_set():
            return False
        self.after -= 1
        return self.after < 0


_KEY_REFUSED: Final = Scripted(
    status=400,
    headers={"Content-Type": "application/problem+json"},
    body=b'{"type":"urn:crivo:problem:idempotency-key-unsupported","title":"Not supported",'
    b'"status":400,"detail":"omit the header","request_id":"r"}',
)


class FaultyServer:
    """Answers with `faults` in turn, then forwards to `upstream`."""

    def __init__(
        self,
        upstream: str | None,
        *,
        tls: SSLContext | None,
        discard_bodies: bool,
        refuse_keys: bool,
    ) -> None:
        # None: this request is forwarded.
        self.faults: list[Scripted | Lost | None] = []
        self.stuck: Stuck | None = None
        self.seen: list[Seen] = []
        self.discards_bodies = discard_bodies
        self._refuses_keys = refuse_keys
        self._upstream = upstream
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self.stuck is not None:
            self.stuck.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault_of(self, request: Seen) -> Scripted | Lost | Stuck | None:
        """Return what happens to a request instead of being forwarded; None: nothing."""
        if self._refuses_keys and "idempotency-key" in request.headers:
            return _KEY_REFUSED
        if self.stuck is not None and self.stuck.takes(request):
            return self.stuck
        return self.faults.pop(0) if self.faults else None

    def hold(self, request: Seen, stuck: Stuck) -> None:
        """Keep a request until it is released."""
        if stuck.forwarded:
            self.forward(request)
        stuck.held_path = request.path
        stuck.reached.set()
        stuck.released.wait()

    def forward(self, request: Seen) -> Scripted:
        if self._upstream is None:
            return Scripted(status=404)
        headers = {k: v for k, v in request.headers.items() if k not in _HOP_BY_HOP}
        answer = httpx.request(
            request.method,
            self._upstream + request.path,
            headers=headers,
            content=request.body,
            timeout=60,
            trust_env=False,
            verify=_NO_CERTIFICATES,
        )
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
        return Scripted(status=answer.status_code, headers=kept, body=answer.content)


@contextmanager
def faulty_server(
    upstream: str | None = None,
    *,
    tls: SSLContext | None = None,
    discard_bodies: bool = False,
    refuse_keys: bool = False,
) -> Iterator[FaultyServer]:
    """Run a faulty server in front of a service, or of nothing.

    `refuse_keys`: it treats idempotency keys as version 0.1.0 does.
    """
    server = FaultyServer(upstream, tls=tls, discard_bodies=discard_bodies, refuse_keys=refuse_keys)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _handler_of(server: FaultyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Seen(
                self.command, self.path, headers, _body_of(self, keep=not server.discards_bodies)
            )
            server.seen.append(request)
            fault = server.fault_of(request)
            if isinstance(fault, Lost) and not fault.forwarded:
                self.close_connection = True
                return
            if isinstance(fault, Stuck):
                self.close_connection = True
                server.hold(request, fault)
                return
            response = fault if isinstance(fault, Scripted) else server.forward(request)
            self.send_response_only(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            if response.status != 204:
                self.send_header("Content-Length", str(response.size))
            if isinstance(fault, Lost):
                self.close_connection = True
                if fault.after_bytes is None:
                    return
                self.end_headers()
                self.wfile.write(response.body[: fault.after_bytes])
                return
            self.end_headers()
            for chunk in response.chunks():
                self.wfile.write(chunk)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's

    return Handler


def _body_of(handler: BaseHTTPRequestHandler, *, keep: bool) -> bytes:
    body = b""
    for chunk in _chunks_of(handler):
        body += chunk if keep else b""
    return body


def _chunks_of(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    if handler.headers.get("Transfer-Encoding", "") != "chunked":
        left = int(handler.headers.get("Content-Length", 0))
        while left > 0:
            chunk = handler.rfile.read(min(left, _CHUNK_BYTES))
            left -= len(chunk) or left
            yield chunk
        return
    while size := int(handler.rfile.readline(), 16):
        yield handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
