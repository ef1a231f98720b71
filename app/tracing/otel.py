"""Send spans of executions by OpenTelemetry, as OTLP over HTTP."""

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

from app.tracing import ExecutionTrace, Tracing

_W3C: Final = TraceContextTextMapPropagator()
# An unavailable collector must not keep a process from ending.
_EXPORT_SECONDS: Final = 3


def trace_to(endpoint: str, *, service: str) -> "OpenTelemetryTracing":
    """Send spans to an OTLP endpoint, in batches, from a thread of their own."""
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS
    )
    return OpenTelemetryTracing(BatchSpanProcessor(exporter), service=service)


class OpenTelemetryTracing(Tracing):
    """Tracing by OpenTelemetry.

    `OTEL_TRACES_SAMPLER` configures the sampler; by default a trace that the client does not
    sample is not sampled.
    """

    def __init__(self, processor: SpanProcessor, *, service: str) -> None:
        """Hand spans to a processor, with `service` as their source."""
        name = os.environ.get("OTEL_SERVICE_NAME") or service
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": name}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("crivo")

    @override
    @contextmanager
    def accepting(self, parent: str | None, attributes: dict[str, str]) -> Iterator[str | None]:
        span = self._tracer.start_span(
            "execution.accept",
            context=_context(parent),
            kind=SpanKind.SERVER,
            attributes=dict(attributes),
        )
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span, Context()))
        try:
            yield carrier.get("traceparent")
        except BaseException as error:
            # The class only: a message may contain what a client has sent.
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()

    @override
    def ended(self, execution: ExecutionTrace) -> None:
        accepted_ns = _ns(execution.accepted_at)
        ran_until_ns = execution.ran_until_ns or execution.recorded_at_ns
        started_ns = ran_until_ns if execution.started_at is None else _ns(execution.started_at)
        context = self._span(
            "execution.queue", (accepted_ns, started_ns), execution, _context(execution.parent)
        )
        if execution.started_at is not None:
            run = (started_ns, ran_until_ns)
            self._span("execution.run", run, execution, context, kind=SpanKind.CONSUMER)
        self._span("execution.finish", (ran_until_ns, execution.recorded_at_ns), execution, context)

    @override
    def close(self) -> None:
        self._provider.shutdown()

    def _span(
        self,
        name: str,
        interval_ns: tuple[int, int],
        execution: ExecutionTrace,
        context: Context,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Context:
        """Record a span that is over; return the context of the spans after it."""
        began_ns, ended_ns = interval_ns
        span = self._tracer.start_span(
            name,
            context=context,
            kind=kind,
            attributes=dict(execution.attributes),
            start_time=began_ns,
        )
        if execution.error_kind is not None and kind is SpanKind.CONSUMER:
            span.set_status(Status(StatusCode.ERROR, execution.error_kind))
        # PostgreSQL's clock and this machine's may disagree.
        span.end(max(began_ns, ended_ns))
        return context or set_span_in_context(span, Context())


def _context(traceparent: str | None) -> Context:
    if traceparent is None:
        return Context()
    return _W3C.extract({"traceparent": traceparent}, Context())


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
