"""Traces by OpenTelemetry: spans of executions, sent by OTLP over HTTP."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from app.tracing import Life, Tracing

_W3C: Final = TraceContextTextMapPropagator()
# A collector that is away must not keep a process from ending.
_EXPORT_SECONDS: Final = 3


def traced_to(endpoint: str, *, service: str) -> "Traced":
    """Send spans to an OTLP endpoint, in batches, from a thread of their own."""
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS
    )
    return Traced(BatchSpanProcessor(exporter), service=service)


class Traced(Tracing):
    """Traces that somebody collects.

    Who samples is asked by the usual variables of OpenTelemetry (`OTEL_TRACES_SAMPLER`); what a
    client does not sample is not sampled here.
    """

    def __init__(self, processor: SpanProcessor, *, service: str) -> None:
        """Hand spans to a processor, in the name of a service."""
        name = os.environ.get("OTEL_SERVICE_NAME") or service
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": name}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("crivo")

    @override
    @contextmanager
    def accepting(self, parent: str | None, facts: dict[str, str]) -> Iterator[str | None]:
        span = self._tracer.start_span(
            "execution.accept",
            context=_context(parent),
            kind=SpanKind.SERVER,
            attributes=dict(facts),
        )
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span, Context()))
        try:
            yield carrier.get("traceparent")
        except BaseException as error:
            # Its class only: a message may hold what a client has sent.
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()

    @override
    def ended(self, life: Life) -> None:
        accepted_ns = _ns(life.accepted_at)
        ran_until_ns = life.ran_until_ns or life.recorded_at_ns
        started_ns = ran_until_ns if life.started_at is None else _ns(life.started_at)
        context = self._span(
            "execution.queue", (accepted_ns, started_ns), life, _context(life.parent)
        )
        if life.started_at is not None:
            run = (started_ns, ran_until_ns)
            self._span("execution.run", run, life, context, kind=SpanKind.CONSUMER)
        self._span("execution.finish", (ran_until_ns, life.recorded_at_ns), life, context)

    @override
    def close(self) -> None:
        self._provider.shutdown()

    def _span(
        self,
        name: str,
        moments_ns: tuple[int, int],
        life: Life,
        context: Context,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Context:
        """Tell a span when it is over; give the context of what comes beside it."""
        began_ns, ended_ns = moments_ns
        span = self._tracer.start_span(
            name, context=context, kind=kind, attributes=dict(life.facts), start_time=began_ns
        )
        if life.failure is not None and kind is SpanKind.CONSUMER:
            span.set_status(Status(StatusCode.ERROR, life.failure))
        # PostgreSQL's clock and this machine's may disagree.
        span.end(max(began_ns, ended_ns))
        return context or set_span_in_context(span, Context())


def _context(traceparent: str | None) -> Context:
    if traceparent is None:
        return Context()
    return _W3C.extract({"traceparent": traceparent}, Context())


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
