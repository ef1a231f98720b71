"""Limit the queue of all tenants together: without a limit it could fill the disk."""

import asyncio
from typing import Final
from uuid import UUID

from app.db import Connection, Pool
from app.executions.problems import QueueFull
from app.idempotency.model import RequestKey
from app.idempotency.store import is_known

_COUNT_SECONDS: Final = 1.0

COUNT_QUEUED: Final = """
SELECT coalesce(sum(queued), 0)::bigint
FROM tenant_usage
"""


class QueueLimit:
    """Counts the queue once a second at most, and adds its own process's submissions meanwhile.

    The queue exceeds the limit by no more than the other processes accept within a second.
    """

    def __init__(self, *, limit: int) -> None:
        """Refuse submissions while `limit` executions are queued; 0 is no limit."""
        self._limit = limit
        self._queued = 0
        self._count_from = 0.0

    async def require_room(self, database: "Pool | Connection", *, more: int = 1) -> None:
        """Count one more submission, or the items of a batch. Raises QueueFull.

        Within a transaction give its connection: one that waits for another can wait forever.
        """
        if self._limit == 0:
            return
        now = asyncio.get_running_loop().time()
        if now >= self._count_from:
            # Set before the query: one request counts, the others use the number known by then.
            self._count_from = now + _COUNT_SECONDS
            self._queued = await database.fetchval(COUNT_QUEUED)
        if self._queued + more > self._limit:
            raise QueueFull(f"{self._queued} executions are queued; the limit is {self._limit}")
        self._queued += more

    async def require_room_or_known(self, pool: Pool, tenant: UUID, key: RequestKey | None) -> None:
        """Count one more submission; without room, let a repetition pass. Raises QueueFull.

        It is looked up only while the queue is full, and counted, as what is refused later is,
        until the next count.
        """
        try:
            await self.require_room(pool)
        except QueueFull:
            if key is None:
                raise
            async with pool.acquire() as conn:
                if not await is_known(conn, tenant, key):
                    raise
