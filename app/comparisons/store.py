"""Store comparisons, and read them as their clients see them."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET, Struct

from app.comparisons.changes import decode_changes
from app.comparisons.model import (
    MAX_DIFFERENCES,
    ComparedRun,
    ComparedScript,
    Comparison,
    ComparisonState,
    Counts,
    Difference,
    PairOutcome,
    Progress,
)
from app.db import Connection, from_row
from app.execution_errors import ErrorKind
from app.executions.model import Status
from app.sql_parameters import in_order


class NewComparison(Struct, frozen=True, kw_only=True):
    """A comparison to be stored. Two items of the batch, in the order of lines, are a pair."""

    id: UUID
    script_id: UUID
    from_version: int
    to_version: int
    priority: int
    batch_id: UUID
    inputs: int
    erased: int


# Newest first, so position 1 is the newest. The lock outlives erasure: whoever erases an input
# waits, and then finds that a replay references its blob too. It is taken in the order in which
# retention takes it.
SELECT_SAMPLE = """
WITH sampled AS MATERIALIZED (
    SELECT e.tenant_id, e.id
    FROM executions AS e
    WHERE e.tenant_id = $1 AND e.script_id = $2 AND e.status = ANY ($3)
      AND e.run_id IS NULL
      AND NOT EXISTS (
          SELECT FROM replays AS r WHERE r.tenant_id = e.tenant_id AND r.execution_id = e.id
      )
    ORDER BY e.id DESC
    LIMIT $4
)
SELECT i.execution_id, i.erased_at IS NOT NULL AS is_erased,
       coalesce(octet_length(i.body), 0) AS copied_bytes
FROM sampled
JOIN payloads AS i
  ON i.tenant_id = sampled.tenant_id AND i.execution_id = sampled.id AND i.kind = 'input'
ORDER BY i.execution_id
FOR SHARE OF i
"""


async def select_sample(
    conn: Connection, tenant: UUID, script_id: UUID, *, statuses: Sequence[str], last: int
) -> tuple[list[UUID], int, int]:
    """Find the newest recorded executions and lock their inputs until the transaction ends.

    Returns those that have their input, newest first, the number of the others, and the bytes of
    inputs that are not in the blob store, which replays share.
    """
    rows = await conn.fetch(SELECT_SAMPLE, tenant, script_id, statuses, last)
    kept = [row["execution_id"] for row in reversed(rows) if not row["is_erased"]]
    return kept, len(rows) - len(kept), sum(row["copied_bytes"] for row in rows)


INSERT_COMPARISON = """
INSERT INTO comparisons
       (id, tenant_id, script_id, from_version, to_version, priority, batch_id, inputs, erased)
SELECT $1 AS id, $2 AS tenant_id, $3 AS script_id, $4 AS from_version, $5 AS to_version,
       $6 AS priority, $7 AS batch_id, $8 AS inputs, $9 AS erased
"""

INSERT_ITEMS = """
INSERT INTO comparison_items
       (comparison_id, position, tenant_id, execution_id, from_execution_id, to_execution_id)
SELECT $2, (b.batch_line / 2), b.tenant_id, r.replay_of, a.id, b.id
FROM executions AS b
JOIN executions AS a
  ON a.tenant_id = b.tenant_id AND a.batch_id = b.batch_id AND a.batch_line = b.batch_line - 1
JOIN replays AS r ON r.tenant_id = b.tenant_id AND r.execution_id = b.id
WHERE b.tenant_id = $1 AND b.batch_id = $3 AND b.batch_line % 2 = 0
"""


async def insert_comparison(conn: Connection, tenant: UUID, new: NewComparison) -> None:
    """Store a comparison of a batch that is accepted in the same transaction."""
    values = in_order(
        INSERT_COMPARISON,
        id=new.id,
        tenant_id=tenant,
        script_id=new.script_id,
        from_version=new.from_version,
        to_version=new.to_version,
        priority=new.priority,
        batch_id=new.batch_id,
        inputs=new.inputs,
        erased=new.erased,
    )
    await conn.execute(INSERT_COMPARISON, *values)
    await conn.execute(INSERT_ITEMS, tenant, new.id, new.batch_id)


SELECT_COMPARISON = """
SELECT c.*, s.name AS script_name,
       CASE WHEN c.state = 'finished' THEN 2 * c.inputs
            ELSE b.succeeded + b.failed + b.cancelled END AS ended
FROM comparisons AS c
LEFT JOIN batches AS b ON b.tenant_id = c.tenant_id AND b.id = c.batch_id
JOIN scripts AS s ON s.tenant_id = c.tenant_id AND s.id = c.script_id
WHERE c.tenant_id = $1 AND c.id = $2
"""

SELECT_DIFFERENCES = """
SELECT i.execution_id, i.outcome, i.changes, i.from_execution_id, i.to_execution_id,
       a.status AS from_status, a.error_kind AS from_error_kind,
       b.status AS to_status, b.error_kind AS to_error_kind
FROM comparison_items AS i
LEFT JOIN executions AS a ON a.tenant_id = i.tenant_id AND a.id = i.from_execution_id
LEFT JOIN executions AS b ON b.tenant_id = i.tenant_id AND b.id = i.to_execution_id
WHERE i.tenant_id = $1 AND i.comparison_id = $2 AND i.outcome <> 'same'
ORDER BY i.position
LIMIT $3
"""


async def select_comparison(
    conn: Connection, tenant: UUID, comparison_id: UUID
) -> Comparison | None:
    """Find a comparison; a finished one has its first differences."""
    row = await conn.fetchrow(SELECT_COMPARISON, tenant, comparison_id)
    if row is None:
        return None
    running = Comparison(
        id=row["id"],
        script=ComparedScript(id=row["script_id"], name=row["script_name"]),
        from_=row["from_version"],
        to=row["to_version"],
        state=ComparisonState(row["state"]),
        priority=row["priority"],
        batch=row["batch_id"],
        inputs=row["inputs"],
        erased=row["erased"],
        progress=Progress(ended=row["ended"], executions=2 * row["inputs"]),
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
    if running.state is ComparisonState.RUNNING:
        return running
    counts = from_row(Counts, row)
    found = await conn.fetch(SELECT_DIFFERENCES, tenant, comparison_id, MAX_DIFFERENCES)
    return msgspec.structs.replace(
        running,
        clean=counts.clean,
        same=counts.same,
        differing=counts.differing,
        newly_failed=counts.newly_failed,
        newly_fixed=counts.newly_fixed,
        undecided=counts.undecided,
        cpu_ratio=counts.cpu_ratio,
        differences=[_difference(each) for each in found],
    )


def _difference(row: asyncpg.Record) -> Difference:
    changes = row["changes"]
    return Difference(
        execution=row["execution_id"],
        outcome=PairOutcome(row["outcome"]),
        from_=_run(row, "from"),
        to=_run(row, "to"),
        changes=UNSET if changes is None else decode_changes(changes),
    )


def _run(row: asyncpg.Record, side: str) -> ComparedRun:
    status, kind = row[f"{side}_status"], row[f"{side}_error_kind"]
    return ComparedRun(
        execution=row[f"{side}_execution_id"],
        status=None if status is None else Status(status),
        error_kind=UNSET if kind is None else ErrorKind(kind),
    )


# Across tenants: the ids are those that readers wait for, each found under its own tenant.
SELECT_STATES = """
SELECT id, state = 'finished' AS final
FROM comparisons
WHERE id = ANY ($1)
"""


class ComparisonProgress(Struct, frozen=True, kw_only=True):
    """Whether a comparison has ended."""

    id: UUID
    final: bool


async def select_states(conn: Connection, ids: Sequence[UUID]) -> list[ComparisonProgress]:
    """Read the states of several comparisons."""
    return [from_row(ComparisonProgress, row) for row in await conn.fetch(SELECT_STATES, ids)]
