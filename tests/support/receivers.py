"""HTTP servers that receive requests, and answer in many ways."""

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

# Longer than a deliverer waits.
_SLOW_SECONDS: Final = 60.0
_CHUNK: Final = b"x" * 65_536
_EARLY_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000


class Received(Struct, frozen=True):
    """A request as it arrived; names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A server whose answer the path decides.

    `/ok`, `/status/503?retry_after=7`, `/flaky` (500 at first), `/redirect?to=…`, `/slow` (no
    answer), `/twice` (204, then 410), `/huge` (a large body), `/endless` (one without end),
    `/heads` (a million heads), `/cut` (closes at once), `/held` (waits for `release`), `/picky`
    (422 for a body that has "bad"), `/once` (503 after the first).
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port: int = server.server_address[1]
        self.received: list[Received] = []
        self.connections = 0
        self.most_at_once: Counter[str] = Counter()
        self.released = threading.Event()
        self._at_once: Counter[str] = Counter()
        self._lock = threading.Lock()

    def paths(self) -> list[str]:
        return [each.path for each in self.received]

    def release(self) -> None:
        self.released.set()

    def begin(self, received: Received) -> None:
        with self._lock:
            self.received.append(received)
            for key in ("", received.path):
                self._at_once[key] += 1
                self.most_at_once[key] = max(self.most_at_once[key], self._at_once[key])

    def end(self, path: str) -> None:
        with self._lock:
            self._at_once.subtract(("", path))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def setup(self) -> None:
        self.receiver.connections += 1
        super().setup()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path
        self.receiver.begin(Received(path, headers, self.rfile.read(length)))
        try:
            self._answer(urlsplit(path).path, parse_qs(urlsplit(path).query))
        except OSError:
            self.close_connection = True
        finally:
            self.receiver.end(path)

    def _answer(self, path: str, query: dict[str, list[str]]) -> None:
        match path.split("/")[1:]:
            case ["status", status]:
                after = query.get("retry_after")
                self._send(int(status), **({"Retry-After": after[0]} if after else {}))
            case ["picky"]:
                self._send(422 if b"bad" in self.receiver.received[-1].body else 204)
            case ["flaky" | "once" as kind]:
                first, later = (500, 204) if kind == "flaky" else (204, 503)
                self._send(first if self.receiver.paths().count(self.path) == 1 else later)
            case ["redirect"]:
                self._send(302, Location=query["to"][0])
            case ["slow" | "cut" as kind]:
                if kind == "slow":
                    self.receiver.released.wait(_SLOW_SECONDS)
                self.close_connection = True
            case ["held"]:
                self.receiver.released.wait(_SLOW_SECONDS)
                self._send(204)
            case ["twice"]:
                self._send(204)
                self._send(410)
            case ["heads" | "huge" | "endless" as kind]:
                self._send_much(kind)
            case _:
                self._send(204)

    def _send(self, status: int, body: bytes = b"", /, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_much(self, kind: str) -> None:
        if kind != "heads":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
        for _ in range(1_000):
            self.wfile.write({"heads": _EARLY_HINTS, "huge": _CHUNK, "endless": b"."}[kind])
            if kind == "endless" and self.receiver.released.wait(0.05):
                break
        self.close_connection = True

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base class's
        return


@contextmanager
def open_receiver(
    *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Run a receiver on a free port, with TLS if a context is given."""
    handler = type("_Handler", (_Handler,), {})
    server = ThreadingHTTPServer((host, 0), handler)
    server.daemon_threads = True
    if tls is not None:
        # The handshake belongs to the connection's thread.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    receiver = handler.receiver = Receiver(server)  # type: ignore[attr-defined] # of the subclass
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release()
        server.shutdown()
        thread.join()
        server.server_close()


class Tunnel:
    """A proxy that connects every CONNECT to one port; `asked` are the names it was given."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []


@contextmanager
def open_tunnel(to_port: int) -> Iterator[Tunnel]:
    """Run a proxy on loopback that leads to a port there, whatever it is asked for."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        tunnel = Tunnel(server.getsockname()[1])

        def serve() -> None:
            with (
                server.accept()[0] as client,
                socket.create_connection(("127.0.0.1", to_port)) as up,
            ):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += client.recv(1)
                tunnel.asked.append(head.split()[1].decode())
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_copy, args=(up, client))
                back.start()
                _copy(client, up)
                back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        yield tunnel
        thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
