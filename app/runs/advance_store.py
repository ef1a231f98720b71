"""Lock a run, count what has ended of it, queue its parts, and end it.

Statements about a run that is locked name its tenant; those that look for work serve all tenants.
Locks are taken in one order: the run, then executions by their ids, then the output's dataset.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.datasets.model import Mode
from app.db import Connection, from_row, optional_from_row
from app.execution_errors import ErrorKind
from app.runs.model import RunStatus
from app.sandbox.parts import Task
from app.sql_parameters import in_order


class ActiveRun(Struct, frozen=True, kw_only=True):
    """A run that has not ended, whose row is locked."""

    id: UUID
    tenant_id: UUID
    dataset_id: UUID
    folds: bool
    merges: bool
    max_errors: int
    rows_failed: int
    seed: int
    output_dataset_id: UUID | None
    output_mode: Mode | None
    publishes: bool
    has_input: bool
    has_output: bool


_ACTIVE_RUN = """
SELECT r.id, r.tenant_id, r.dataset_id, r.folds, r.merges, r.max_errors, r.rows_failed, r.seed,
       r.output_dataset_id, r.output_mode, r.publishes,
       EXISTS (
           SELECT
           FROM datasets AS d
           WHERE d.tenant_id = r.tenant_id AND d.id = r.dataset_id
       ) AS has_input,
       r.output_dataset_id IS NULL OR EXISTS (
           SELECT
           FROM datasets AS d
           WHERE d.tenant_id = r.tenant_id AND d.id = r.output_dataset_id
       ) AS has_output
FROM runs AS r
WHERE r.finished_at IS NULL
"""

LOCK_RUN = _ACTIVE_RUN + "AND r.id = $1 FOR NO KEY UPDATE OF r"

# Another process is at it.
TRY_LOCK_RUN = LOCK_RUN + " SKIP LOCKED"


async def lock_run(conn: Connection, run_id: UUID, *, wait: bool) -> ActiveRun | None:
    """Lock a run until the transaction ends; None: it has ended or, without `wait`, is locked."""
    row = await conn.fetchrow(LOCK_RUN if wait else TRY_LOCK_RUN, run_id)
    return optional_from_row(ActiveRun, row)


# Those with something to do: a part has ended and is not counted, none is queued or running, or a
# dataset has been deleted.
SELECT_DUE_RUNS = """
SELECT r.id
FROM runs AS r
WHERE r.finished_at IS NULL AND r.id <> ALL ($2)
  AND (
      EXISTS (
          SELECT
          FROM run_parts AS p
          LEFT JOIN executions AS e ON e.id = p.execution_id
          WHERE p.run_id = r.id AND p.execution_id IS NOT NULL AND p.lease_token IS NULL
            AND (e.id IS NULL OR e.finished_at IS NOT NULL)
      )
      OR NOT EXISTS (
          SELECT
          FROM run_parts AS p
          WHERE p.run_id = r.id AND p.execution_id IS NOT NULL AND p.lease_token IS NULL
      )
      OR NOT EXISTS (SELECT FROM datasets AS d WHERE d.id = r.dataset_id)
      OR (r.output_dataset_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM datasets AS d WHERE d.id = r.output_dataset_id))
  )
ORDER BY r.id
LIMIT $1
"""


async def select_due_runs(conn: Connection, limit: int, *, without: Sequence[UUID]) -> list[UUID]:
    """List runs of all tenants that can go on, oldest first, `without` some."""
    return [row["id"] for row in await conn.fetch(SELECT_DUE_RUNS, limit, without)]


class EndedPart(Struct, frozen=True, kw_only=True):
    """A part whose execution has ended, or is gone; `counted`: what its attempt did is known."""

    execution_id: UUID
    status: str | None
    error: bytes | None
    error_kind: str | None
    counted: bool

    @property
    def is_foreign(self) -> bool:
        """Whether a worker of an older release took it for an execution of `process`."""
        ended = self.status in (RunStatus.SUCCEEDED, RunStatus.FAILED)
        return ended and not self.counted and self.error_kind != ErrorKind.WORKER_LOST


SELECT_ENDED_PARTS = """
SELECT p.execution_id, e.status, e.error, e.error_kind, a.execution_id IS NOT NULL AS counted
FROM run_parts AS p
LEFT JOIN executions AS e ON e.tenant_id = p.tenant_id AND e.id = p.execution_id
LEFT JOIN run_attempts AS a ON a.tenant_id = p.tenant_id AND a.execution_id = e.id
                           AND a.lease_token = e.lease_token
WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.execution_id IS NOT NULL AND p.lease_token IS NULL
  AND (e.id IS NULL OR e.finished_at IS NOT NULL)
ORDER BY p.level, p.number, p.task
"""


async def select_ended_parts(conn: Connection, run: ActiveRun) -> list[EndedPart]:
    """List the parts that have ended and are not counted, in order."""
    rows = await conn.fetch(SELECT_ENDED_PARTS, run.tenant_id, run.id)
    return [from_row(EndedPart, row) for row in rows]


COUNT_PARTS = """
WITH counted AS (
    UPDATE run_parts AS p
    SET lease_token = e.lease_token
    FROM executions AS e
    WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.execution_id = ANY ($3)
      AND e.tenant_id = p.tenant_id AND e.id = p.execution_id
    RETURNING p.execution_id, p.lease_token, p.level, p.task, p.raw_bytes, e.status
),
-- If a run has both, the map and the fold read the same.
done AS (
    SELECT count(*) FILTER (WHERE c.level = 0 AND c.status = 'succeeded') AS parts,
           coalesce(sum(c.raw_bytes) FILTER (WHERE c.status = 'succeeded'), 0) AS raw_bytes,
           coalesce(sum(a.rows_in), 0) AS rows_in, coalesce(sum(a.rows_out), 0) AS rows_out,
           coalesce(sum(a.rows_failed), 0) AS rows_failed
    FROM counted AS c
    LEFT JOIN run_attempts AS a ON a.tenant_id = $1 AND a.execution_id = c.execution_id
                               AND a.lease_token = c.lease_token
    WHERE c.task = $4
)
UPDATE runs AS r
SET parts_done = r.parts_done + done.parts,
    raw_bytes_done = r.raw_bytes_done + done.raw_bytes,
    rows_in = r.rows_in + done.rows_in,
    rows_out = r.rows_out + done.rows_out,
    rows_failed = r.rows_failed + done.rows_failed,
    last_done_at = clock_timestamp()
FROM done
WHERE r.tenant_id = $1 AND r.id = $2
RETURNING r.rows_failed
"""


async def count_parts(conn: Connection, run: ActiveRun, executions: Sequence[UUID]) -> int:
    """Count parts that have ended; return how many records have failed in all."""
    counted = Task.FOLD if run.output_dataset_id is None else Task.MAP
    failed: int = await conn.fetchval(COUNT_PARTS, run.tenant_id, run.id, executions, counted)
    return failed


FORGET_EXECUTIONS = """
WITH forgotten AS (
    UPDATE run_parts
    SET execution_id = NULL, forgotten = forgotten + 1
    WHERE tenant_id = $1 AND run_id = $2 AND execution_id = ANY ($3)
    RETURNING forgotten
)
SELECT max(forgotten)
FROM forgotten
"""


async def forget_executions(conn: Connection, run: ActiveRun, executions: Sequence[UUID]) -> int:
    """Let parts be queued again, whose executions were run by a worker that knows no runs.

    Returns how often that has happened to one of them.
    """
    times: int = await conn.fetchval(FORGET_EXECUTIONS, run.tenant_id, run.id, executions)
    return times


class Outstanding(Struct, frozen=True, kw_only=True):
    """How many parts are queued or running, whether others wait, and what a tenant may queue."""

    queued: int
    parts_of_tenant: int
    waits: bool
    max_queued: int | None


COUNT_OUTSTANDING = """
SELECT (SELECT count(*) FROM run_parts
        WHERE tenant_id = $1 AND run_id = $2 AND execution_id IS NOT NULL
          AND lease_token IS NULL) AS queued,
       (SELECT count(*) FROM queue
        WHERE tenant_id = $1 AND is_part) AS parts_of_tenant,
       EXISTS (SELECT FROM run_parts
               WHERE tenant_id = $1 AND run_id = $2 AND execution_id IS NULL) AS waits,
       coalesce(t.max_queued, nullif($3::integer, 0)) AS max_queued
FROM tenants AS t
WHERE t.id = $1
"""


async def count_outstanding(
    conn: Connection, run: ActiveRun, default_max_queued: int
) -> Outstanding:
    """Count the parts of a run that are queued or run."""
    row = await conn.fetchrow(COUNT_OUTSTANDING, run.tenant_id, run.id, default_max_queued)
    assert row is not None  # noqa: S101 - a tenant is never deleted
    return from_row(Outstanding, row)


class WaitingPart(Struct, frozen=True, kw_only=True):
    """A part that is not queued yet."""

    task: Task
    level: int
    number: int


SELECT_WAITING_PARTS = """
SELECT task, level, number
FROM run_parts
WHERE tenant_id = $1 AND run_id = $2 AND execution_id IS NULL
ORDER BY level, number, task
LIMIT $3
"""

SELECT_WAITING_MAPS = """
SELECT task, level, number
FROM run_parts
WHERE tenant_id = $1 AND run_id = $2 AND execution_id IS NULL AND task = 'map'
ORDER BY level, number, task
LIMIT $3
"""

# Of a fold without a merge: the first that is not queued, if the one before it has ended.
SELECT_NEXT_FOLD = """
SELECT p.task, p.level, p.number
FROM run_parts AS p
WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.execution_id IS NULL AND p.task = 'fold'
  AND NOT EXISTS (
      SELECT
      FROM run_parts AS o
      WHERE o.tenant_id = p.tenant_id AND o.run_id = p.run_id AND o.task = 'fold'
        AND o.execution_id IS NOT NULL AND o.lease_token IS NULL
  )
ORDER BY p.level, p.number, p.task
LIMIT 1
"""


async def select_waiting_parts(conn: Connection, run: ActiveRun, limit: int) -> list[WaitingPart]:
    """List the parts that can be queued next, in order."""
    if run.merges or not run.folds:
        rows = await conn.fetch(SELECT_WAITING_PARTS, run.tenant_id, run.id, limit)
    else:
        rows = await conn.fetch(SELECT_NEXT_FOLD, run.tenant_id, run.id)
        rows += await conn.fetch(SELECT_WAITING_MAPS, run.tenant_id, run.id, limit)
    return [from_row(WaitingPart, row) for row in rows[:limit]]


class QueuedPart(Struct, frozen=True, kw_only=True):
    """A part with the execution that runs it."""

    part: WaitingPart
    execution_id: UUID
    seed: int
    document: bytes


QUEUE_PARTS: Final = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS run_id,
           $3::uuid[] AS ids,
           $4::bigint[] AS seeds,
           $5::bytea[] AS documents,
           $6::text[] AS tasks,
           $7::integer[] AS levels,
           $8::integer[] AS numbers
),
parts AS MATERIALIZED (
    SELECT a.tenant_id, a.run_id, p.*
    FROM parameters AS a,
         unnest(a.ids, a.seeds, a.documents, a.tasks, a.levels, a.numbers)
         AS p (id, seed, document, task, level, number)
),
queued AS (
    INSERT INTO executions
           (id, tenant_id, run_id, script_id, version, wall_ms, max_cpu_ms, memory_bytes,
            max_output_bytes, labels, seed, priority, traceparent, request_id, created_at, clock_ms)
    SELECT p.id, r.tenant_id, r.id, r.script_id, r.version, r.wall_ms, r.max_cpu_ms,
           r.memory_bytes, r.max_output_bytes, r.labels, p.seed, r.priority, r.traceparent,
           r.request_id, clock_timestamp(), r.clock_ms
    FROM parts AS p
    JOIN runs AS r ON r.tenant_id = p.tenant_id AND r.id = p.run_id
),
inputs AS (
    INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key)
    SELECT p.id, 'input', p.tenant_id, sha256(p.document), length(p.document), p.document, NULL
    FROM parts AS p
)
UPDATE run_parts AS t
SET execution_id = p.id
FROM parts AS p
WHERE t.tenant_id = p.tenant_id AND t.run_id = p.run_id AND t.task = p.task
  AND t.level = p.level AND t.number = p.number
"""


async def queue_parts(conn: Connection, run: ActiveRun, parts: Sequence[QueuedPart]) -> None:
    """Queue an execution for each of some parts."""
    values = in_order(
        QUEUE_PARTS,
        tenant_id=run.tenant_id,
        run_id=run.id,
        ids=[each.execution_id for each in parts],
        seeds=[each.seed for each in parts],
        documents=[each.document for each in parts],
        tasks=[each.part.task for each in parts],
        levels=[each.part.level for each in parts],
        numbers=[each.part.number for each in parts],
    )
    await conn.execute(QUEUE_PARTS, *values)
