"""Bound what is queued in all: a queue without end would fill the disk, and nobody could wait."""

import asyncio
from typing import Final

from app.db import Pool
from app.executions.problems import (
    QueueFull,
)

_COUNT_SECONDS: Final = 1.0

COUNT_QUEUED: Final = """
SELECT coalesce(sum(queued), 0)::bigint
FROM tenant_usage
"""


class QueueLimit:
    """What is queued, as one API process counts it, once a second at most.

    Between two counts it adds what it lets in itself: beyond the bound is at most what other
    processes accept within a second.
    """

    def __init__(self, *, most: int) -> None:
        """Take the bound; 0 is none."""
        self._most = most
        self._queued = 0
        self._count_from = 0.0

    async def require_room(self, pool: Pool) -> None:
        """Let one more in. Raises QueueFull."""
        if self._most == 0:
            return
        now = asyncio.get_running_loop().time()
        if now >= self._count_from:
            # Set first: one counts, the others go by what is known.
            self._count_from = now + _COUNT_SECONDS
            self._queued = await pool.fetchval(COUNT_QUEUED)
        if self._queued >= self._most:
            raise QueueFull(f"{self._queued} executions are queued; no more than {self._most} are")
        self._queued += 1
