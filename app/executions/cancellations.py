"""Cancel executions, and notify the workers that run them through PostgreSQL.

A notification only makes it quick: a worker that misses one notices when it renews its leases.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final
from uuid import UUID

from app.db import Connection
from app.executions.model import Status
from app.notifier import Notifier, Resync

CHANNEL: Final = "crivo_cancellations"
NOTIFY: Final = "SELECT pg_notify('crivo_cancellations', $1)"

# An acknowledged cancel always wins: negating the token refuses the worker's report. The negative
# token still lets the worker record the resources that the run used, and nothing else.
CANCEL = """
WITH before AS (
    SELECT id, status
    FROM executions
    WHERE tenant_id = $1 AND id = $2
    FOR NO KEY UPDATE
)
UPDATE executions AS e
SET status = 'cancelled',
    finished_at = clock_timestamp(),
    lease_token = -e.lease_token,
    lease_expires_at = NULL
FROM before
WHERE e.tenant_id = $1 AND e.id = before.id AND e.status IN ('queued', 'running')
RETURNING before.status
"""


async def cancel(conn: Connection, tenant: UUID, execution_id: UUID) -> Status | None:
    """Cancel an execution and return its status before; None if it is unknown or final."""
    status = await conn.fetchval(CANCEL, tenant, execution_id)
    return None if status is None else Status(status)


async def notify_workers(conn: Connection, execution_id: UUID) -> None:
    """Make the worker that runs an execution stop it; call it after the commit."""
    await conn.execute(NOTIFY, str(execution_id))


def subscribe(
    notifier: Notifier, *, on_cancelled: Callable[[UUID], None], resync: Resync
) -> AbstractContextManager[None]:
    """Receive the ids of cancelled executions for the length of a block."""

    def receive(payload: str) -> None:
        with suppress(ValueError):
            on_cancelled(UUID(payload))

    return notifier.subscribed(CHANNEL, on_notification=receive, resync=resync)
