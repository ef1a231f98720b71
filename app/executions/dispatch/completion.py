"""Tell of executions that have ended: a line in the log, their times in the metrics, a trace."""

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


class Ended(Struct, frozen=True, kw_only=True):
    """An execution that is final: who, what, when and what it took, and nothing that users said.

    `tenant` and `script` are names. Without `started_at` it was cancelled in the queue.
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
        """Give the time from its acceptance to its end."""
        return (self.finished_at - self.created_at) / timedelta(milliseconds=1)

    @property
    def queued_ms(self) -> float | None:
        """Give the time from its acceptance to the beginning of its last attempt."""
        if self.started_at is None:
            return None
        return (self.started_at - self.created_at) / timedelta(milliseconds=1)


SELECT_ENDED = """
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


async def select_ended(conn: Connection, ids: Sequence[UUID]) -> list[Ended]:
    """Read what there is to tell of executions that no worker has reported."""
    return [from_row(Ended, row) for row in await conn.fetch(SELECT_ENDED, ids)]


def report_completion(tracing: Tracing, ended: Ended, *, ran_until_ns: int | None = None) -> None:
    """Tell of an end, once it is committed; `ran_until_ns`: when the worker had its outcome."""
    queued_ms = ended.queued_ms
    count_end(
        tenant=ended.tenant,
        outcome=ended.outcome,
        lead_seconds=ended.lead_ms / 1_000,
        queue_seconds=None if queued_ms is None else queued_ms / 1_000,
        run_seconds=None if ended.run_ms is None else ended.run_ms / 1_000,
    )
    log.info(
        "execution.finished",
        id=str(ended.id),
        tenant=ended.tenant,
        script=f"{ended.script}@{ended.version}",
        outcome=ended.outcome,
        attempts=ended.attempts,
        queued_ms=queued_ms,
        run_ms=ended.run_ms,
        lead_ms=ended.lead_ms,
        cpu_ms=ended.cpu_ms,
        peak_memory_bytes=ended.peak_memory_bytes,
        input_bytes=ended.input_bytes,
        output_bytes=ended.output_bytes,
        worker=None if ended.worker_id is None else str(ended.worker_id),
        # That of the submission; a cancel's own is in the audit log.
        request_id=ended.request_id,
        trace_id=None if ended.traceparent is None else ended.traceparent.split("-")[1],
    )
    tracing.ended(
        ExecutionTrace(
            parent=ended.traceparent,
            accepted_at=ended.created_at,
            started_at=ended.started_at,
            ran_until_ns=ran_until_ns,
            recorded_at_ns=time_ns(),
            attributes={
                "crivo.execution": str(ended.id),
                "crivo.tenant": ended.tenant,
                "crivo.script": f"{ended.script}@{ended.version}",
                "crivo.outcome": ended.outcome,
                "crivo.attempts": ended.attempts,
            },
            error_kind=None if ended.outcome == "succeeded" else ended.outcome,
        )
    )
