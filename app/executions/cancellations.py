"""Cancel executions, and notify the workers that run them through PostgreSQL.

A notification only makes it quick: a worker that misses one notices when it renews its leases.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog

from app.db import Connection, open_connection
from app.executions.model import Status
from app.outages import DatabaseUnavailable
from app.settings import Settings

log = structlog.get_logger(__name__)

CHANNEL: Final = "crivo_cancellations"
NOTIFY: Final = "SELECT pg_notify('crivo_cancellations', $1)"
LOOK: Final = "SELECT true"
_RETRY_SECONDS: Final = 0.2
# So often it is found out whether the connection still leads anywhere.
_LOOK_SECONDS: Final = 5.0


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


async def listen_forever(
    settings: Settings, *, heard: Callable[[UUID], None], look: Callable[[], Awaitable[None]]
) -> None:
    """Hand each cancelled execution to `heard`; `look` finds what was cancelled unheard.

    It is called each time that listening begins. PostgreSQL may be away at times.
    """

    def hear(_conn: object, _pid: int, _channel: str, payload: object) -> None:
        with suppress(ValueError):
            heard(UUID(str(payload)))

    deaf = False
    while True:
        try:
            async with open_connection(settings) as conn:
                lost = asyncio.Event()
                conn.add_termination_listener(lambda _, lost=lost: lost.set())
                await conn.add_listener(CHANNEL, hear)
                await look()
                deaf = False
                while not lost.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_SECONDS):
                            await lost.wait()
                    await conn.execute(LOOK)
        except DatabaseUnavailable:
            # Logged where it is raised.
            deaf = True
        except Exception as error:  # noqa: BLE001 - whatever it is, leases tell the same later
            if not deaf:
                log.warning("cancellations.not_heard", reason=str(error))
            deaf = True
        await asyncio.sleep(_RETRY_SECONDS)
