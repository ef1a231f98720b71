"""Let each tenant do some things a few times at once at one API process; what is more waits.

Unlike `InFlightLimiter` nothing is refused: a tenant whose clients are slow delays its own others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class TenantTurns:
    """The turns at one kind of work."""

    def __init__(self, *, max_per_tenant: int) -> None:
        """Take the number of turns that a tenant has at once."""
        self._max_per_tenant = max_per_tenant
        self._turns: dict[UUID, asyncio.Semaphore] = {}
        # Those that have a turn or wait for one.
        self._users: Counter[UUID] = Counter()

    @asynccontextmanager
    async def turn(self, tenant: UUID) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of the block."""
        turns = self._turns.setdefault(tenant, asyncio.Semaphore(self._max_per_tenant))
        self._users[tenant] += 1
        try:
            async with turns:
                yield
        finally:
            self._users[tenant] -= 1
            if not self._users[tenant]:
                del self._users[tenant], self._turns[tenant]
