"""An execution is one trace, from the request that submits it to its recorded end."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from app.settings import Settings
from app.tracing import ExecutionTrace, TracesNotInstalled, Tracing, require_packages
from app.tracing.otel import OpenTelemetryTracing
from tests.support.system import ROOT, System, until
from tests.support.trace_collector import open_collector

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT: Final = "00f067aa0ba902b7"
SAMPLED: Final = f"00-{TRACE}-{CLIENT}-01"
NOT_SAMPLED: Final = f"00-{TRACE}-{CLIENT}-00"
ACCEPTED: Final = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
STARTED: Final = ACCEPTED + timedelta(milliseconds=5)
ECHO: Final = "function process(data) { return data }"


def _ns(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1_000


def _trace_of(
    parent: str | None, *, started: bool = True, error_kind: str | None = None
) -> ExecutionTrace:
    return ExecutionTrace(
        parent=parent,
        accepted_at=ACCEPTED,
        started_at=STARTED if started else None,
        ran_until_ns=_ns(STARTED) + 2_000_000 if started else None,
        recorded_at_ns=_ns(STARTED) + 3_000_000,
        attributes={"crivo.execution": "1", "crivo.attempts": 1},
        error_kind=error_kind,
    )


class InMemoryTracing:
    """Tracing that keeps its spans in this process."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = OpenTelemetryTracing(
            SimpleSpanProcessor(self._exporter), service="crivo-test"
        )

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def memory() -> Iterator[InMemoryTracing]:
    memory = InMemoryTracing()
    yield memory
    memory.tracing.close()


def _trace(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def _id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def _parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


@pytest.mark.parametrize("client", [SAMPLED, None])
def test_acceptance_queue_run_and_finish_are_one_trace(
    memory: InMemoryTracing, client: str | None
) -> None:
    with memory.tracing.accepting(client, {"crivo.request": "r"}) as traceparent:
        pass
    memory.tracing.ended(_trace_of(traceparent))

    accept = memory.spans["execution.accept"]
    rest = [memory.spans[f"execution.{name}"] for name in ("queue", "run", "finish")]
    assert {_trace(each) for each in (accept, *rest)} == {TRACE if client else _trace(accept)}
    assert _parent(accept) == (CLIENT if client else None)
    assert {_parent(each) for each in rest} == {_id(accept)}
    assert traceparent is not None
    assert traceparent.startswith(f"00-{_trace(accept)}-{_id(accept)}-")
    moments = [_ns(ACCEPTED), _ns(STARTED), _ns(STARTED) + 2_000_000, _ns(STARTED) + 3_000_000]
    assert [(each.start_time, each.end_time) for each in rest] == list(pairwise(moments))


def test_a_trace_that_the_client_does_not_sample_is_not_sampled(memory: InMemoryTracing) -> None:
    with memory.tracing.accepting(NOT_SAMPLED, {}) as traceparent:
        pass
    memory.tracing.ended(_trace_of(traceparent))

    assert traceparent is not None
    assert traceparent.startswith(f"00-{TRACE}-")
    assert traceparent.endswith("-00")
    assert memory.spans == {}


def test_an_execution_accepted_without_tracing_gets_a_trace_of_its_own(
    memory: InMemoryTracing,
) -> None:
    memory.tracing.ended(_trace_of(None))

    queue, run, finish = (memory.spans[f"execution.{each}"] for each in ("queue", "run", "finish"))
    assert _trace(queue) == _trace(run) == _trace(finish)
    assert _parent(queue) is None
    assert _parent(run) == _parent(finish) == _id(queue)


def test_a_failure_shows_its_kind_and_one_that_never_ran_has_no_run(
    memory: InMemoryTracing,
) -> None:
    memory.tracing.ended(_trace_of(SAMPLED, error_kind="timeout"))
    assert memory.spans["execution.run"].status.status_code is StatusCode.ERROR
    assert memory.spans["execution.run"].status.description == "timeout"

    cancelled = InMemoryTracing()
    cancelled.tracing.ended(_trace_of(SAMPLED, started=False, error_kind="cancelled"))
    assert set(cancelled.spans) == {"execution.queue", "execution.finish"}
    cancelled.tracing.close()


def test_a_failed_acceptance_shows_nothing_of_the_request(memory: InMemoryTracing) -> None:
    def accept() -> None:
        with memory.tracing.accepting(SAMPLED, {}):
            raise ValueError("what a client has sent")

    with pytest.raises(ValueError, match="what a client has sent"):
        accept()

    assert memory.spans["execution.accept"].status.description == "ValueError"
    assert "client has sent" not in memory.spans["execution.accept"].to_json()


def test_without_tracing_the_clients_context_is_stored() -> None:
    with Tracing().accepting(SAMPLED, {}) as traceparent:
        assert traceparent == SAMPLED


def test_without_tracing_opentelemetry_is_not_imported() -> None:
    program = (
        "import sys, app.main, app.worker\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_tracing_without_its_packages_prevents_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    require_packages(Settings())
    with pytest.raises(TracesNotInstalled, match=r"requirements-otel\.lock"):
        require_packages(Settings(otel_exporter_otlp_endpoint="http://127.0.0.1:4318"))


def test_api_and_worker_send_the_spans_of_an_execution(stopped_system: System) -> None:
    with open_collector() as collector:
        stopped_system.environ |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        stopped_system.start()
        stopped_system.upload("traced", ECHO)
        answer = stopped_system.client.post(
            "/scripts/traced/executions", content=b'"secret"', headers={"traceparent": SAMPLED}
        )
        ended = stopped_system.finished(answer.headers["Location"])
        for _ in until("the spans arrive"):
            if len(collector.spans) >= 4:
                break

    spans = {span.name: span for span in collector.spans}
    assert {each.trace for each in collector.spans} == {TRACE}
    assert {name: each.service for name, each in spans.items()} == {
        "execution.accept": "crivo-api",
        "execution.queue": "crivo-worker",
        "execution.run": "crivo-worker",
        "execution.finish": "crivo-worker",
    }
    accept = spans.pop("execution.accept")
    assert accept.parent == CLIENT
    assert {each.parent for each in spans.values()} == {accept.span}
    assert spans["execution.run"].attributes == {
        "crivo.execution": ended["id"],
        "crivo.tenant": "default",
        "crivo.script": "traced@1",
        "crivo.outcome": "succeeded",
        "crivo.attempts": 1,
    }


def test_an_unavailable_collector_delays_no_execution(stopped_system: System) -> None:
    with open_collector() as gone:
        stopped_system.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = gone.url
    stopped_system.start()
    stopped_system.upload("untraced", ECHO)

    assert stopped_system.run("untraced", b"1")["result"] == 1
