"""SQL of retention: which payloads and receipts are due, and which blobs a row still names.

Statements that are not pinned to a tenant serve all of them: what they name is due by its age.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.executions.model import PayloadKind, Status, StoredPayload

# The input has a row as long as its execution: erased, it tells of all of them.
SELECT_KEPT = """
SELECT e.status, i.erased_at, p.sha256, p.size_bytes, p.body, p.blob_key
FROM executions AS e
JOIN payloads AS i ON i.tenant_id = e.tenant_id AND i.execution_id = e.id AND i.kind = 'input'
LEFT JOIN payloads AS p ON p.tenant_id = e.tenant_id AND p.execution_id = e.id AND p.kind = $3
WHERE e.tenant_id = $1 AND e.id = $2
"""


class Kept(Struct, frozen=True, kw_only=True):
    """Where an execution stands, whether its payloads were erased, and one of them."""

    status: Status
    erased_at: datetime | None
    payload: StoredPayload | None


async def select_kept(
    conn: Connection, tenant: UUID, execution_id: UUID, kind: PayloadKind
) -> Kept | None:
    """Find a payload; None where there is no such execution."""
    row = await conn.fetchrow(SELECT_KEPT, tenant, execution_id, kind)
    if row is None:
        return None
    there = row["sha256"] is not None and row["erased_at"] is None
    return Kept(
        status=Status(row["status"]),
        erased_at=row["erased_at"],
        payload=from_row(StoredPayload, row) if there else None,
    )


# FOR UPDATE: between SELECT and UPDATE nobody else erases; in one order, so that two who erase
# never wait for each other in a circle.
ERASE_PAYLOADS = """
WITH kept AS (
    SELECT tenant_id, execution_id, kind, blob_key
    FROM payloads
    WHERE tenant_id = $1 AND execution_id = $2 AND erased_at IS NULL
    ORDER BY execution_id, kind
    FOR UPDATE
)
UPDATE payloads AS p
SET body = NULL, blob_key = NULL, erased_at = clock_timestamp()
FROM kept
WHERE p.tenant_id = kept.tenant_id AND p.execution_id = kept.execution_id AND p.kind = kept.kind
RETURNING p.kind, kept.blob_key
"""


class Erased(Struct, frozen=True, kw_only=True):
    """What was erased, and where its bytes may still be."""

    kind: str
    blob_key: str | None


async def erase_payloads(conn: Connection, tenant: UUID, execution_id: UUID) -> list[Erased]:
    """Erase what is kept of an execution's payloads; empty where nothing is."""
    return [from_row(Erased, row) for row in await conn.fetch(ERASE_PAYLOADS, tenant, execution_id)]


class MaintenanceTask(StrEnum):
    """What is done from time to time, by one worker at a time."""

    PAYLOADS = "payloads"
    BLOBS = "blobs"


# Looks first: an insert would wait for who holds the row that is there.
INSERT_DUTY = """
INSERT INTO retention_duties (duty, due_at)
SELECT $1, clock_timestamp() + make_interval(secs => $2)
WHERE NOT EXISTS (SELECT FROM retention_duties WHERE duty = $1)
ON CONFLICT DO NOTHING
"""

# One step, one short transaction, by one worker: who finds the duty's row locked has nothing to
# do. A step goes on where the last one ended, so what has been erased is never looked at again.
# The place is a constant to the planner (a subquery of its own), so an index gives the order.
EXPIRE_PAYLOADS = """
WITH duty AS MATERIALIZED (
    SELECT duty, finished_at, id
    FROM retention_duties
    WHERE duty = 'payloads'
    FOR UPDATE SKIP LOCKED
),
due AS MATERIALIZED (
    SELECT e.id, e.finished_at
    FROM executions AS e
    WHERE (e.finished_at, e.id)
          > ((SELECT duty.finished_at FROM duty), (SELECT duty.id FROM duty))
      AND e.finished_at < clock_timestamp() - make_interval(days => $1)
    ORDER BY e.finished_at, e.id
    LIMIT $2
),
kept AS MATERIALIZED (
    SELECT p.execution_id, p.kind, p.blob_key
    FROM due
    JOIN payloads AS p ON p.execution_id = due.id
    WHERE p.erased_at IS NULL
    ORDER BY p.execution_id, p.kind
    FOR UPDATE OF p
),
erased AS (
    UPDATE payloads AS p
    SET body = NULL, blob_key = NULL, erased_at = clock_timestamp()
    FROM kept
    WHERE p.execution_id = kept.execution_id AND p.kind = kept.kind
    RETURNING kept.blob_key
),
moved AS (
    UPDATE retention_duties AS d
    SET finished_at = last.finished_at, id = last.id
    FROM (SELECT finished_at, id FROM due ORDER BY finished_at DESC, id DESC LIMIT 1) AS last
    WHERE d.duty = 'payloads'
)
SELECT (SELECT count(*) FROM due) AS executions,
       (SELECT count(*) FROM erased) AS rows,
       ARRAY(SELECT blob_key FROM erased WHERE blob_key IS NOT NULL) AS blob_keys
"""

DELETE_EXECUTIONS = """
WITH due AS MATERIALIZED (
    SELECT id
    FROM executions
    WHERE finished_at < clock_timestamp() - make_interval(days => $1)
    ORDER BY finished_at, id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM payloads AS p
    USING due
    WHERE p.execution_id = due.id
    RETURNING p.blob_key
),
gone AS (
    DELETE FROM executions AS e
    USING due
    WHERE e.id = due.id
    RETURNING e.id
)
SELECT (SELECT count(*) FROM gone) AS executions,
       (SELECT count(*) FROM removed) AS rows,
       ARRAY(SELECT blob_key FROM removed WHERE blob_key IS NOT NULL) AS blob_keys
"""


class Step(Struct, frozen=True, kw_only=True):
    """What one step came to; fewer executions than it may take: nothing more is due."""

    executions: int
    rows: int
    blob_keys: list[str]


async def expire_payloads(conn: Connection, *, days: int, most: int) -> Step:
    """Erase payloads of up to `most` executions that finished so many days ago."""
    await conn.execute(INSERT_DUTY, MaintenanceTask.PAYLOADS, 0)
    return from_row(Step, *await conn.fetch(EXPIRE_PAYLOADS, days, most))


async def delete_executions(conn: Connection, *, days: int, most: int) -> Step:
    """Delete up to `most` executions that finished so many days ago, receipts and all."""
    return from_row(Step, *await conn.fetch(DELETE_EXECUTIONS, days, most))


TAKE_DUTY = """
UPDATE retention_duties
SET due_at = clock_timestamp() + make_interval(secs => $2)
WHERE duty = $1 AND due_at <= clock_timestamp()
RETURNING duty
"""


async def take_duty(conn: Connection, duty: MaintenanceTask, *, again_after_seconds: float) -> bool:
    """Take a duty that is due, for this process alone; False where it is not.

    On a fresh installation it becomes due for the first time when that time has passed.
    """
    await conn.execute(INSERT_DUTY, duty, again_after_seconds)
    return await conn.fetchval(TAKE_DUTY, duty, again_after_seconds) is not None


SELECT_NAMED_KEYS = """
SELECT blob_key
FROM payloads
WHERE blob_key = ANY ($1)
"""


async def select_named_keys(conn: Connection, keys: Sequence[str]) -> set[str]:
    """Say which of these blobs a row names."""
    return {row["blob_key"] for row in await conn.fetch(SELECT_NAMED_KEYS, keys)}


INSERT_INSTALLATION = """
INSERT INTO installation
DEFAULT VALUES
ON CONFLICT DO NOTHING
"""

SELECT_INSTALLATION = """
SELECT id
FROM installation
"""


async def installation_id(conn: Connection) -> UUID:
    """Give the id of this installation: that of its database."""
    await conn.execute(INSERT_INSTALLATION)
    found: UUID = await conn.fetchval(SELECT_INSTALLATION)
    return found


SELECT_NOW = """
SELECT clock_timestamp()
"""


async def select_now(conn: Connection) -> datetime:
    """Give PostgreSQL's clock."""
    now: datetime = await conn.fetchval(SELECT_NOW)
    return now
