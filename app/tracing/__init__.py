"""Trace each execution in one trace: acceptance, time in the queue, run and recording.

The execution's row carries the trace context. With OpenTelemetry it is the span of the
acceptance; without, it is the client's own.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from importlib import import_module
from typing import Final

from msgspec import Struct

from app.errors import CrivoError
from app.settings import Settings

_OPENTELEMETRY: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class TracesNotInstalled(CrivoError):
    """Tracing is configured, but its packages are not installed."""


class ExecutionTrace(Struct, frozen=True, kw_only=True):
    """What the spans of an execution that has ended are made from; `…_ns` count from 1970.

    `attributes` belong to every span. `error_kind` is None for a success.
    """

    parent: str | None
    accepted_at: datetime
    started_at: datetime | None
    ran_until_ns: int | None
    recorded_at_ns: int
    attributes: dict[str, str | int]
    error_kind: str | None


class Tracing:
    """No tracing: passes a client's trace context on unchanged."""

    @contextmanager
    def accepting(self, parent: str | None, attributes: dict[str, str]) -> Iterator[str | None]:
        """Trace the acceptance of an execution; yield the trace context for its row.

        Trace contexts are values of the header `traceparent`.
        """
        del attributes
        yield parent

    def ended(self, execution: ExecutionTrace) -> None:
        """Trace an execution from its acceptance to its end."""

    def close(self) -> None:
        """Send the remaining spans; may block for some seconds."""


def require_packages(settings: Settings) -> None:
    """Raise TracesNotInstalled where tracing is configured without its packages."""
    if not settings.otel_exporter_otlp_endpoint:
        return
    try:
        import_module(_OPENTELEMETRY)
    except ModuleNotFoundError as error:
        raise TracesNotInstalled(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and there is no {error.name}: "
            "install requirements-otel.lock, too"
        ) from None


@asynccontextmanager
async def open_tracing(settings: Settings, *, service: str) -> AsyncIterator[Tracing]:
    """Trace for the length of the block, where an endpoint is configured."""
    if not settings.otel_exporter_otlp_endpoint:
        yield Tracing()
        return
    # Imported here: the packages are optional, and slow to import.
    from app.tracing.otel import trace_to  # noqa: PLC0415

    tracing = trace_to(settings.otel_exporter_otlp_endpoint, service=service)
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.close)
