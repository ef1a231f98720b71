"""Delete expired idempotency keys."""

from typing import Final

import structlog

from app.background import retry_forever
from app.db import Pool
from app.idempotency.store import delete_expired

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 600.0
# So many are deleted in one short transaction.
_KEYS_AT_ONCE: Final = 1_000


async def run_expiry(pool: Pool) -> None:
    """Delete what has expired every ten minutes, until cancelled."""

    async def delete_all() -> None:
        while await _delete_some(pool) == _KEYS_AT_ONCE:
            pass

    await retry_forever("idempotency.expiry_failed", delete_all, pause_seconds=_INTERVAL_SECONDS)


async def _delete_some(pool: Pool) -> int:
    async with pool.acquire() as conn:
        return await delete_expired(conn, _KEYS_AT_ONCE)
