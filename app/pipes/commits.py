"""Bound how many batches of pipes a worker commits at once, so that others have connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

_COMMITS: Final = 2


class CommitTurns:
    """Turns to commit: two at once in a worker, of which a tenant has one.

    A transaction may wait for a dataset that is locked, and holds a connection of the pool that
    heartbeats use, too.
    """

    def __init__(self) -> None:
        """Begin with all turns free."""
        self._all = asyncio.Semaphore(_COMMITS)
        self._of_tenants: dict[UUID, asyncio.Lock] = {}
        self._users: dict[UUID, int] = {}

    @asynccontextmanager
    async def turn(self, tenant: UUID) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of the block."""
        lock = self._of_tenants.setdefault(tenant, asyncio.Lock())
        self._users[tenant] = self._users.get(tenant, 0) + 1
        try:
            async with lock, self._all:
                yield
        finally:
            self._users[tenant] -= 1
            if not self._users[tenant]:
                del self._users[tenant], self._of_tenants[tenant]
