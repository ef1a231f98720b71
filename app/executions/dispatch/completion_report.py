"""Report completed executions: a log line, metrics and a trace."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import time_ns
from uuid import UUID

import structlog
from msgspec import Struct

from app.db import Connection, from_row
from app.metrics import count_end
from app.tracing import ExecutionTrace, Tracing

log = structlog.get_logger(__name__)


class CompletedExecution(Struct, frozen=True, kw_only=True):
    """The facts of a final execution that operators see: nothing that a user's code or data said.

    `tenant` and `script` are names. Without `started_at` it was cancelled while queued.
    """

    id: UUID
    tenant: str
    script: str
    version: int
    outcome: str
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    run_ms: float | None
    cpu_ms: float | None
    peak_memory_bytes: int | None
    input_bytes: int | None
    output_bytes: int | None
    worker_id: UUID | None
    traceparent: str | None = None
    request_id: str | None = None

    @property
    def lead_ms(self) -> float:
        """Return the time from acceptance to completion."""
        return (self.finished_at - self.created_at) / timedelta(milliseconds=1)

    @property
    def queued_ms(self) -> float | None:
        """Return the time from acceptance to the start of the last attempt."""
        if self.started_at is None:
            return None
        return (self.started_at - self.created_at) / timedelta(milliseconds=1)


SELECT_COMPLETED = """
SELECT e.id, t.name AS tenant, s.name AS script, e.version,
       coalesce(e.error_kind, e.status) AS outcome, e.attempts,
       e.created_at, e.started_at, e.finished_at, e.run_ms, e.cpu_ms, e.peak_memory_bytes,
       i.size_bytes AS input_bytes, r.size_bytes AS output_bytes, e.worker_id, e.traceparent,
       e.request_id
FROM executions AS e
JOIN tenants AS t ON t.id = e.tenant_id
JOIN scripts AS s ON s.tenant_id = e.tenant_id AND s.id = e.script_id
LEFT JOIN payloads AS i ON i.execution_id = e.id AND i.kind = 'input'
LEFT JOIN payloads AS r ON r.execution_id = e.id AND r.kind = 'result'
WHERE e.id = ANY ($1) AND e.finished_at IS NOT NULL
"""


async def select_completed(conn: Connection, ids: Sequence[UUID]) -> list[CompletedExecution]:
    """Read completed executions that no worker reports: rescued or cancelled ones."""
    return [from_row(CompletedExecution, row) for row in await conn.fetch(SELECT_COMPLETED, ids)]


def report_completion(
    tracing: Tracing, completed: CompletedExecution, *, ran_until_ns: int | None = None
) -> None:
    """Report a completion after its commit.

    `ran_until_ns` is the time at which the worker had the outcome, since 1970.
    """
    queued_ms = completed.queued_ms
    count_end(
        tenant=completed.tenant,
        outcome=completed.outcome,
        lead_seconds=completed.lead_ms / 1_000,
        queue_seconds=None if queued_ms is None else queued_ms / 1_000,
        run_seconds=None if completed.run_ms is None else completed.run_ms / 1_000,
    )
    log.info(
        "execution.finished",
        id=str(completed.id),
        tenant=completed.tenant,
        script=f"{completed.script}@{completed.version}",
        outcome=completed.outcome,
        attempts=completed.attempts,
        queued_ms=queued_ms,
        run_ms=completed.run_ms,
        lead_ms=completed.lead_ms,
        cpu_ms=completed.cpu_ms,
        peak_memory_bytes=completed.peak_memory_bytes,
        input_bytes=completed.input_bytes,
        output_bytes=completed.output_bytes,
        worker=None if completed.worker_id is None else str(completed.worker_id),
        # The submission's; the audit log has that of a cancel request.
        request_id=completed.request_id,
        trace_id=None if completed.traceparent is None else completed.traceparent.split("-")[1],
    )
    tracing.ended(
        ExecutionTrace(
            parent=completed.traceparent,
            accepted_at=completed.created_at,
            started_at=completed.started_at,
            ran_until_ns=ran_until_ns,
            recorded_at_ns=time_ns(),
            attributes={
                "crivo.execution": str(completed.id),
                "crivo.tenant": completed.tenant,
                "crivo.script": f"{completed.script}@{completed.version}",
                "crivo.outcome": completed.outcome,
                "crivo.attempts": completed.attempts,
            },
            error_kind=None if completed.outcome == "succeeded" else completed.outcome,
        )
    )
