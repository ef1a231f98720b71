"""Traces: an execution's acceptance, its time in the queue, its run and its end, in one.

A trace's context travels with the execution, in its row. Without OpenTelemetry that is what the
client said of its own trace; with it, the span that accepted the execution.
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
    """Traces are asked for, and the packages that make them are not there."""


class Life(Struct, frozen=True, kw_only=True):
    """What a trace shows of an execution that has ended; moments in ns since 1970.

    `facts` are the attributes of all its spans, `failure` the kind of its error.
    """

    parent: str | None
    accepted_at: datetime
    started_at: datetime | None
    ran_until_ns: int | None
    recorded_at_ns: int
    facts: dict[str, str | int]
    failure: str | None


class Tracing:
    """Traces that nobody collects: what a client says of its own is passed on as it is."""

    @contextmanager
    def accepting(self, parent: str | None, facts: dict[str, str]) -> Iterator[str | None]:
        """Trace the acceptance of an execution; give the context that travels with it.

        Contexts are values of the header `traceparent`.
        """
        del facts
        yield parent

    def ended(self, life: Life) -> None:
        """Trace what came after the acceptance."""

    def close(self) -> None:
        """Send what is left; may block for a moment."""


def require_packages(settings: Settings) -> None:
    """Raise TracesNotInstalled where traces are asked for and cannot be had."""
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
    """Trace for the length of the block, where a setting says where to."""
    if not settings.otel_exporter_otlp_endpoint:
        yield Tracing()
        return
    # Here and not above: it takes a while, and is there only where somebody wants it.
    from app.tracing.otel import traced_to  # noqa: PLC0415

    tracing = traced_to(settings.otel_exporter_otlp_endpoint, service=service)
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.close)
