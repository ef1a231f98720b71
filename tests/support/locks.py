"""Wait until a statement waits for a lock of another one."""

import asyncio
from typing import Final

from app.db import Queryable

# Of this database: other tests share the server.
SELECT_WAITING: Final = """
SELECT EXISTS (
    SELECT FROM pg_locks
    JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()
)
"""


async def until_one_waits(conn: Queryable) -> None:
    async with asyncio.timeout(60):
        while not await conn.fetchval(SELECT_WAITING):  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0.01)
