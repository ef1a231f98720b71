"""See which locks a transaction waits for and holds, from another one of the test."""

import asyncio
from typing import Any, Final

from app.db import Connection, Pool

# In the database of the test alone: others of the server have their own tests.
_IS_WAITING: Final = """
SELECT EXISTS (
    SELECT FROM pg_locks AS l
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE NOT l.granted AND a.datname = current_database()
)
"""
# A row that a transaction inserts is no row for others before its end.
_INSERT_SHARDS: Final = """
INSERT INTO tenant_usage (tenant_id, shard, day)
SELECT t.id, s.shard, utc_today()
FROM tenants AS t
CROSS JOIN generate_series(0, 31) AS s (shard)
ON CONFLICT DO NOTHING
"""
_LOCK_SHARDS: Final = "SELECT FROM tenant_usage FOR UPDATE NOWAIT"


async def begin_to_count_bytes(pool: Pool) -> None:
    """Insert the counters of all tenants that `require_bytes_unlocked` looks at."""
    await pool.execute(_INSERT_SHARDS)


async def require_bytes_unlocked(conn: Connection) -> None:
    """Require that no other transaction has changed counters of bytes."""
    await conn.execute(_LOCK_SHARDS)


async def until_one_waits(pool: Pool, waiting: "asyncio.Task[Any] | None" = None) -> None:
    """Wait for a lock to be waited for; fail if the task that is to wait ends before."""
    async with asyncio.timeout(60):
        while not await pool.fetchval(_IS_WAITING):
            assert waiting is None or not waiting.done(), waiting
            await asyncio.sleep(0.01)  # between two polls of a condition
