"""Read what a replay of a run repeats."""

from uuid import UUID

from msgspec import Struct

from app.datasets.model import Mode
from app.db import Connection, optional_from_row
from app.runs.model import Emit, RunStatus
from app.sandbox.parts import Format, OnError


class ReplayedRunRow(Struct, frozen=True, kw_only=True):
    """What a run ran with; without `has_output` the dataset of its output is deleted."""

    status: RunStatus
    script_id: UUID
    version: int
    dataset_id: UUID
    dataset: str
    snapshot: int
    format: Format
    each: str | None
    emit: Emit
    on_error: OnError
    max_errors: int
    folds: bool
    merges: bool
    output_dataset_id: UUID | None
    output_dataset: str | None
    output_mode: Mode | None
    has_output: bool
    params: bytes | None
    labels: dict[str, str]
    priority: int
    seed: int
    clock_ms: int
    wall_ms: int
    max_cpu_ms: int
    memory_bytes: int
    max_output_bytes: int


SELECT_REPLAYED = """
SELECT r.status, r.script_id, r.version, r.dataset_id, r.dataset, r.snapshot, r.format, r.each,
       r.emit, r.on_error, r.max_errors, r.folds, r.merges, r.output_dataset_id, r.output_dataset,
       r.output_mode, d.id IS NOT NULL AS has_output, r.params, r.labels, r.priority, r.seed,
       r.clock_ms, r.wall_ms, r.max_cpu_ms, r.memory_bytes, r.max_output_bytes
FROM runs AS r
LEFT JOIN datasets AS d ON d.tenant_id = r.tenant_id AND d.id = r.output_dataset_id
WHERE r.tenant_id = $1 AND r.id = $2
"""


async def select_replayed(conn: Connection, tenant: UUID, run_id: UUID) -> ReplayedRunRow | None:
    """Find what a run ran with; None without such a run."""
    row = await conn.fetchrow(SELECT_REPLAYED, tenant, run_id)
    return optional_from_row(ReplayedRunRow, row)
