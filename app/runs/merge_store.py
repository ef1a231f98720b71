"""Read the newest states of a fold, and plan the merges of them."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.runs.advance_store import ActiveRun


class FoldState(Struct, frozen=True, kw_only=True):
    """A part of the highest level of a fold, whose state, or result, has a size."""

    level: int
    number: int
    execution_id: UUID
    finishes: bool
    size_bytes: int | None


SELECT_STATES = """
SELECT p.level, p.number, p.execution_id, p.finishes,
       CASE WHEN y.erased_at IS NULL THEN y.size_bytes END AS size_bytes
FROM run_parts AS p
LEFT JOIN payloads AS y ON y.tenant_id = p.tenant_id AND y.execution_id = p.execution_id
                       AND y.kind = 'result'
WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.task IN ('fold', 'merge')
  AND p.level = (
      SELECT max(q.level)
      FROM run_parts AS q
      WHERE q.tenant_id = p.tenant_id AND q.run_id = p.run_id AND q.task IN ('fold', 'merge')
  )
ORDER BY p.number
"""


async def select_states(conn: Connection, run: ActiveRun) -> list[FoldState]:
    """List the parts of the highest level, in order."""
    rows = await conn.fetch(SELECT_STATES, run.tenant_id, run.id)
    return [from_row(FoldState, row) for row in rows]


INSERT_MERGES = """
INSERT INTO run_parts (run_id, task, level, number, tenant_id, finishes, first_state, last_state)
SELECT $2, 'merge', $3, m.number, $1, $4, m.first, m.last
FROM unnest($5::integer[], $6::integer[]) WITH ORDINALITY AS m (first, last, number)
"""


async def insert_merges(
    conn: Connection, run: ActiveRun, level: int, groups: Sequence[tuple[int, int]]
) -> None:
    """Plan a merge of each group of states, named by the numbers of its first and last one."""
    await conn.execute(
        INSERT_MERGES,
        run.tenant_id,
        run.id,
        level,
        len(groups) == 1,
        [first for first, _ in groups],
        [last for _, last in groups],
    )
