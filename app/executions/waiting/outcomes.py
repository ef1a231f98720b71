"""Read the outcomes that come with notifications.

The procedure that records an outcome writes the row that a reader would read after its commit
(migrations/sql/finish_execution_v6.sql); the response is therefore the same, byte for byte.
"""

from datetime import datetime
from typing import Any, Final, TypedDict
from uuid import UUID

import msgspec
from msgspec import Raw

from app.executions.store import execution_of
from app.progress.waiters import Outcome


class _OutcomeRow(TypedDict):
    """The row of SELECT_EXECUTION, with the tenant, as JSON with bytes in base64.

    Items of a batch are not sent; of a part of a run the row does not name the run.
    """

    tenant_id: UUID
    id: UUID
    status: str
    labels: dict[str, str]
    priority: int
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    error: bytes | None
    warnings: bytes | None
    seed: int
    clock_ms: int
    v8_version: str | None
    isolation: str | None
    run_ms: float | None
    cpu_ms: float | None
    peak_memory_bytes: int | None
    wall_ms: int
    max_cpu_ms: int
    memory_bytes: int
    max_output_bytes: int
    script_id: UUID
    script_name: str
    version: int
    script_sha256: str
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    input_sha256: str
    input_bytes: int
    input_type: str | None
    data_erased_at: datetime | None
    callback_url: str | None
    output_sha256: str | None
    output_bytes: int | None
    output_type: str | None
    params_sha256: str | None
    params_bytes: int | None
    replay_of: UUID | None
    original_status: str | None
    original_error: bytes | None
    original_sha256: str | None
    params: bytes | None
    result: bytes | None


def decode_outcome(row: Raw) -> Outcome | None:
    """Read the row that came with a notification; None: from a release that writes another."""
    try:
        decoded = _OUTCOME_ROW.decode(row)
    except msgspec.DecodeError:
        return None
    execution = execution_of({**decoded, "batch_id": None, "run_id": None})
    return Outcome(tenant=decoded["tenant_id"], id=execution.id, resource=execution)


_OUTCOME_ROW: Final = msgspec.json.Decoder(_OutcomeRow)
