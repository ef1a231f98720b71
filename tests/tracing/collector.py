"""A collector of traces as a test needs one: takes OTLP over HTTP, on loopback, and keeps it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Told(Struct, frozen=True):
    """A span as it came: of which service, in which trace, under which span."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    facts: dict[str, str | int]


class Collector:
    """Where it listens, and what it was told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Told] = []

    def take(self, body: bytes) -> None:
        for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = (
                each.value.string_value
                for each in batch.resource.attributes
                if each.key == "service.name"
            )
            self.spans += [
                Told(
                    service,
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    {a.key: a.value.string_value or a.value.int_value for a in span.attributes},
                )
                for scope in batch.scope_spans
                for span in scope.spans
            ]


@contextmanager
def open_collector() -> Iterator[Collector]:
    """Listen for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
