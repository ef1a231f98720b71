"""Store when maintenance tasks are due, and which installation a blob store belongs to."""

from datetime import datetime
from uuid import UUID

from app.db import Connection
from app.payloads.model import MaintenanceTask

# Reads first: an insert would wait for a transaction that has the row locked.
INSERT_TASK = """
INSERT INTO retention_duties (duty, due_at)
SELECT $1, clock_timestamp() + make_interval(secs => $2)
WHERE NOT EXISTS (SELECT FROM retention_duties WHERE duty = $1)
ON CONFLICT DO NOTHING
"""


async def ensure_task(
    conn: Connection, task: MaintenanceTask, *, first_due_seconds: float = 0
) -> None:
    """Insert a task's row unless it exists."""
    await conn.execute(INSERT_TASK, task, first_due_seconds)


CLAIM_TASK = """
UPDATE retention_duties
SET due_at = clock_timestamp() + make_interval(secs => $2)
WHERE duty = $1 AND due_at <= clock_timestamp()
RETURNING duty
"""


async def claim_task(conn: Connection, task: MaintenanceTask, *, interval_seconds: float) -> bool:
    """Claim a due task for this process; False if it is not due.

    It is due again after `interval_seconds`, and in a new installation for the first time.
    """
    await ensure_task(conn, task, first_due_seconds=interval_seconds)
    return await conn.fetchval(CLAIM_TASK, task, interval_seconds) is not None


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
    """Return the id of this installation, which is that of its database."""
    await conn.execute(INSERT_INSTALLATION)
    installation: UUID = await conn.fetchval(SELECT_INSTALLATION)
    return installation


SELECT_NOW = """
SELECT clock_timestamp()
"""


async def select_now(conn: Connection) -> datetime:
    """Return the time of PostgreSQL's clock."""
    now: datetime = await conn.fetchval(SELECT_NOW)
    return now
