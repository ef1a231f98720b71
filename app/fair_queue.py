"""Share a scarce resource between tenants by weight, with a bounded queue.

The next turn goes to the tenant with the lowest usage for its weight, however many requests each
tenant sends: forty waiting requests of one tenant delay another's by about one turn. New and
returning tenants start at the lowest usage among active tenants: idling earns no credit and erases
no debt. Usage is forgotten when no tenant is active.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final
from uuid import UUID

DEFAULT_WEIGHT: Final = 100

_Waiter = asyncio.Future[None]


class TenantQueueFull(Exception):
    """The tenant has the highest number of waiting requests."""


class FairQueueFull(Exception):
    """The queue has the highest number of waiting requests, and no tenant has a larger share."""


class FairQueue:
    """The turns at one resource of one process."""

    def __init__(
        self,
        *,
        slots: int = 1,
        max_waiting: int | None = None,
        max_waiting_of_tenant: int | None = None,
    ) -> None:
        """Take the number of concurrent turns and the bounds of the queue; None is no bound."""
        self._free_slots = slots
        self._max_waiting = max_waiting
        self._max_waiting_of_tenant = max_waiting_of_tenant
        self._waiters: dict[UUID, deque[_Waiter]] = {}
        self._active_turns: dict[UUID, int] = {}
        # Cost of the turns of each tenant, divided by its weight.
        self._usage: dict[UUID, float] = {}

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return sum(len(waiters) for waiters in self._waiters.values())

    @asynccontextmanager
    async def turn(
        self, tenant: UUID, *, weight: int = DEFAULT_WEIGHT, cost: float | None = None
    ) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of the block.

        It costs the tenant `cost`, by default the seconds that it lasts. Raises TenantQueueFull,
        FairQueueFull.
        """
        await self._acquire(tenant)
        started_at = monotonic()
        try:
            yield
        finally:
            spent = monotonic() - started_at if cost is None else cost
            self._usage[tenant] += spent / weight
            self._end_turn(tenant)
            self._grant_turns()

    async def _acquire(self, tenant: UUID) -> None:
        self._activate(tenant)
        if self._free_slots and not self._waiters:
            self._begin_turn(tenant)
            return
        self._make_room(tenant)
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(tenant, deque()).append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # The turn was granted just before the request was cancelled.
                self._end_turn(tenant)
            else:
                self._remove(tenant, waiter)
            self._grant_turns()
            raise

    def _activate(self, tenant: UUID) -> None:
        """Raise a new or returning tenant's usage to the lowest among active tenants."""
        if tenant in self._waiters or tenant in self._active_turns:
            return
        if not self._waiters and not self._active_turns:
            self._usage.clear()
        active = {*self._waiters, *self._active_turns}
        lowest = min((self._usage[each] for each in active), default=0.0)
        self._usage[tenant] = max(lowest, self._usage.get(tenant, 0.0))

    def _make_room(self, tenant: UUID) -> None:
        """Refuse a tenant over its bound; in a full queue, evict from the largest share."""
        own = len(self._waiters.get(tenant, ()))
        if self._max_waiting_of_tenant is not None and own >= self._max_waiting_of_tenant:
            raise TenantQueueFull(f"{own} requests of this tenant are waiting already")
        if self._max_waiting is None or self.waiting < self._max_waiting:
            return
        largest = max(self._waiters, key=lambda each: len(self._waiters[each]))
        if len(self._waiters[largest]) <= own + 1:
            raise FairQueueFull(f"{self.waiting} requests are waiting already")
        newest = self._waiters[largest][-1]
        self._remove(largest, newest)
        if not newest.done():
            newest.set_exception(FairQueueFull("a tenant with fewer requests took the place"))

    def _grant_turns(self) -> None:
        while self._free_slots and self._waiters:
            tenant = min(self._waiters, key=lambda each: self._usage[each])
            waiter = self._waiters[tenant][0]
            self._remove(tenant, waiter)
            if not waiter.done():
                self._begin_turn(tenant)
                waiter.set_result(None)

    def _begin_turn(self, tenant: UUID) -> None:
        self._free_slots -= 1
        self._active_turns[tenant] = self._active_turns.get(tenant, 0) + 1

    def _end_turn(self, tenant: UUID) -> None:
        self._free_slots += 1
        self._active_turns[tenant] -= 1
        if not self._active_turns[tenant]:
            del self._active_turns[tenant]

    def _remove(self, tenant: UUID, waiter: _Waiter) -> None:
        waiters = self._waiters.get(tenant)
        if waiters is None or waiter not in waiters:
            return
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[tenant]
