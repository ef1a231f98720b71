"""Take claimed tasks of exports, renew their leases, and give them back."""

from uuid import UUID

from msgspec import Struct

from app.db import Connection, optional_from_row
from app.errors import CrivoError
from app.exports.model import ExportStage
from app.sql_parameters import in_order


class LeaseLost(CrivoError):
    """The task is another worker's, or its export has ended: nothing of it is recorded."""


class Assignment(Struct, frozen=True, kw_only=True):
    """A claimed task, as it is sent to an engine: its token, and the worker that has claimed it."""

    export_id: UUID
    stage: ExportStage
    number: int
    token: int
    worker: UUID


class ClaimedTask(Struct, frozen=True, kw_only=True):
    """A task under a lease, with what all tasks of its export have in common.

    `attempts` counts this one. `input` is as of `task_inputs`, for the stage.
    """

    export_id: UUID
    tenant_id: UUID
    stage: ExportStage
    number: int
    lease_token: int
    attempts: int
    input: bytes
    raw_bytes: int
    plan: bytes
    columns: bytes | None
    dataset_id: UUID
    base_id: UUID | None
    destination: str | None

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"{self.export_id}/{self.stage}/{self.number}"


# A scheduler may run a task again whose worker it takes for dead: under one token the first attempt
# puts its worker's id in place of the claiming one's, and a second one gets nothing.
TAKE_TASK = """
UPDATE export_tasks AS t
SET worker_id = $6
FROM exports AS e
WHERE t.export_id = $1 AND t.stage = $2 AND t.number = $3 AND t.lease_token = $4
  AND t.worker_id = $5 AND e.tenant_id = t.tenant_id AND e.id = t.export_id
  AND e.finished_at IS NULL
RETURNING t.export_id, t.tenant_id, t.stage, t.number, t.lease_token, t.attempts, t.input,
          t.raw_bytes, e.plan, e.columns, e.dataset_id, e.base_id, e.destination
"""


async def take_task(
    conn: Connection, assignment: Assignment, engine_worker: UUID
) -> ClaimedTask | None:
    """Return a claimed task to the first that asks under its token; None if it is not valid."""
    row = await conn.fetchrow(
        TAKE_TASK,
        assignment.export_id,
        assignment.stage,
        assignment.number,
        assignment.token,
        assignment.worker,
        engine_worker,
    )
    return optional_from_row(ClaimedTask, row)


# A statement of its own: the end of an export locks it before its tasks.
START_EXPORT = """
UPDATE exports
SET status = 'running', started_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2 AND status = 'queued'
RETURNING true
"""


async def start_export(conn: Connection, task: ClaimedTask) -> bool:
    """Mark the export of a claimed task as running; return whether it was queued until now."""
    started = await conn.fetchval(START_EXPORT, task.tenant_id, task.export_id)
    return started is not None


RENEW_TASK = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::text AS stage,
           $4::integer AS number,
           $5::bigint AS lease_token,
           $6::float8 AS lease_seconds,
           $7::bigint AS raw_bytes_done,
           $8::boolean AS reads
)
UPDATE export_tasks AS t
SET lease_expires_at = coalesce(
        clock_timestamp() + make_interval(secs => p.lease_seconds), t.lease_expires_at
    ),
    raw_bytes_done = least(coalesce(p.raw_bytes_done, t.raw_bytes_done), t.raw_bytes),
    trouble = CASE WHEN p.reads THEN NULL ELSE t.trouble END,
    trouble_since = CASE WHEN p.reads THEN NULL ELSE t.trouble_since END
FROM parameters AS p, exports AS e, tenants AS n
WHERE t.tenant_id = p.tenant_id AND t.export_id = p.export_id AND t.stage = p.stage
  AND t.number = p.number AND t.lease_token = p.lease_token AND t.done_token IS NULL
  AND e.tenant_id = p.tenant_id AND e.id = p.export_id AND e.finished_at IS NULL
  AND n.id = p.tenant_id AND n.suspended_at IS NULL
RETURNING true
"""


async def renew(
    conn: Connection,
    task: ClaimedTask,
    *,
    lease_seconds: float | None,
    raw_bytes_done: int | None,
    reads: bool,
) -> bool:
    """Renew a lease; return whether it was still this worker's, and its export goes on.

    Those of a suspended tenant do not. Without `lease_seconds` the lease stays as long as it is:
    the task runs elsewhere, and the worker that has claimed it renews it. A task that `reads` has
    no trouble any more, also if it has nothing to count. Without `raw_bytes_done`, what was noted
    before stays.
    """
    values = in_order(
        RENEW_TASK,
        tenant_id=task.tenant_id,
        export_id=task.export_id,
        stage=task.stage,
        number=task.number,
        lease_token=task.lease_token,
        lease_seconds=lease_seconds,
        raw_bytes_done=raw_bytes_done,
        reads=reads,
    )
    return await conn.fetchval(RENEW_TASK, *values) is not None


RELEASE_TASK = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::text AS stage,
           $4::integer AS number,
           $5::bigint AS lease_token,
           $6::float8 AS after_seconds,
           $7::boolean AS counts,
           $8::text AS trouble
)
UPDATE export_tasks AS t
SET worker_id = NULL, lease_token = NULL, lease_expires_at = NULL, raw_bytes_done = 0,
    trouble = coalesce(p.trouble, t.trouble),
    trouble_since = CASE WHEN p.trouble IS NULL THEN t.trouble_since
                         ELSE coalesce(t.trouble_since, clock_timestamp()) END,
    due_at = clock_timestamp() + make_interval(secs => p.after_seconds),
    attempts = t.attempts - CASE WHEN p.counts THEN 0 ELSE 1 END
FROM parameters AS p
WHERE t.tenant_id = p.tenant_id AND t.export_id = p.export_id AND t.stage = p.stage
  AND t.number = p.number AND t.lease_token = p.lease_token
"""


async def release(
    conn: Connection,
    task: ClaimedTask,
    *,
    after_seconds: float,
    counts: bool,
    trouble: str | None = None,
) -> None:
    """Give a lease back; the task is due in `after_seconds`, and the attempt counts or not.

    `trouble` says why, to the export's readers; without one, what was said before stays.
    """
    values = in_order(
        RELEASE_TASK,
        tenant_id=task.tenant_id,
        export_id=task.export_id,
        stage=task.stage,
        number=task.number,
        lease_token=task.lease_token,
        after_seconds=after_seconds,
        counts=counts,
        trouble=None if trouble is None else trouble.replace("\x00", "\ufffd"),
    )
    await conn.execute(RELEASE_TASK, *values)


SELECT_RESTS = """
SELECT suspended_at IS NOT NULL
FROM tenants
WHERE id = $1
"""


async def rests(conn: Connection, task: ClaimedTask) -> bool:
    """Return whether the tenant of a task is suspended."""
    return await conn.fetchval(SELECT_RESTS, task.tenant_id) is True


# Since a task can reach its destination: what was before it is done, and another export has been
# published there. Of those the last one still has its files there.
SELECT_HAS_WAITED = """
SELECT greatest(
           coalesce(e.started_at, e.created_at),
           (SELECT max(t.finished_at)
            FROM export_tasks AS t
            WHERE t.tenant_id = e.tenant_id AND t.export_id = e.id),
           (SELECT max(o.finished_at)
            FROM exports AS o
            WHERE o.tenant_id = e.tenant_id AND o.destination = e.destination
              AND o.status = 'succeeded' AND o.files_deleted_at IS NULL)
       ) < now() - make_interval(hours => $3)
FROM exports AS e
WHERE e.tenant_id = $1 AND e.id = $2
"""


async def has_waited(conn: Connection, task: ClaimedTask, hours: int) -> bool:
    """Return whether a task has had so much time to use its destination."""
    key = (task.tenant_id, task.export_id)
    return await conn.fetchval(SELECT_HAS_WAITED, *key, hours) is True


SELECT_HAS_DATASET = """
SELECT EXISTS (
    SELECT
    FROM datasets
    WHERE tenant_id = $1 AND id = $2
)
"""


async def has_dataset(conn: Connection, task: ClaimedTask) -> bool:
    """Return whether the dataset of an export is still there."""
    found: bool = await conn.fetchval(SELECT_HAS_DATASET, task.tenant_id, task.dataset_id)
    return found
