"""Share a scarce resource between tenants by weight, with a bounded queue.

The tenant with the lowest usage for its weight is next, however many requests it sends: a tenant
with forty requests waiting holds up another's for about one turn. New and returning tenants start
at the lowest use among those that are there: idling earns no credit and erases no debt, until
nobody is there any more.
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


class ShareFull(Exception):
    """As many of this tenant's wait as may."""


class QueueFull(Exception):
    """As many of all tenants wait as may, and this one has no smaller share of them."""


class FairQueue:
    """The turns at one thing, of one process."""

    def __init__(
        self,
        *,
        slots: int = 1,
        max_waiting: int | None = None,
        max_waiting_of_tenant: int | None = None,
    ) -> None:
        """Let `slots` have their turn at once, and so many wait; None: any number."""
        self._free = slots
        self._max_waiting = max_waiting
        self._max_waiting_of_tenant = max_waiting_of_tenant
        self._waiters: dict[UUID, deque[_Waiter]] = {}
        self._having: dict[UUID, int] = {}
        # What each has had for its weight.
        self._used: dict[UUID, float] = {}

    @property
    def waiting(self) -> int:
        """Count those that wait."""
        return sum(len(each) for each in self._waiters.values())

    @asynccontextmanager
    async def turn(
        self, tenant: UUID, *, weight: int = DEFAULT_WEIGHT, cost: float | None = None
    ) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the length of the block.

        It costs the tenant `cost`, or else the seconds that it lasts. Raises ShareFull, QueueFull.
        """
        await self._enter(tenant)
        begun = monotonic()
        try:
            yield
        finally:
            spent = monotonic() - begun if cost is None else cost
            self._used[tenant] += spent / weight
            self._having[tenant] -= 1
            if not self._having[tenant]:
                del self._having[tenant]
            self._free += 1
            self._hand_out()

    async def _enter(self, tenant: UUID) -> None:
        self._welcome(tenant)
        if self._free and not self._waiters:
            self._take(tenant)
            return
        self._make_room(tenant)
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(tenant, deque()).append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # The turn came in the moment in which nobody wanted it any more.
                self._having[tenant] -= 1
                if not self._having[tenant]:
                    del self._having[tenant]
                self._free += 1
            else:
                self._forget(tenant, waiter)
            self._hand_out()
            raise

    def _welcome(self, tenant: UUID) -> None:
        if tenant in self._waiters or tenant in self._having:
            return
        if not self._waiters and not self._having:
            self._used.clear()
        present = {*self._waiters, *self._having}
        least = min((self._used[each] for each in present), default=0.0)
        self._used[tenant] = max(least, self._used.get(tenant, 0.0))

    def _make_room(self, tenant: UUID) -> None:
        """Refuse a tenant over its share; a full queue refuses whoever holds most."""
        own = len(self._waiters.get(tenant, ()))
        if self._max_waiting_of_tenant is not None and own >= self._max_waiting_of_tenant:
            raise ShareFull(f"{own} requests of this tenant wait for it already")
        if self._max_waiting is None or self.waiting < self._max_waiting:
            return
        largest = max(self._waiters, key=lambda each: len(self._waiters[each]))
        if len(self._waiters[largest]) <= own + 1:
            raise QueueFull(f"{self.waiting} requests wait for it already")
        newest = self._waiters[largest][-1]
        self._forget(largest, newest)
        if not newest.done():
            newest.set_exception(QueueFull("another tenant's request came, which has had less"))

    def _hand_out(self) -> None:
        while self._free and self._waiters:
            tenant = min(self._waiters, key=lambda each: self._used[each])
            waiter = self._waiters[tenant][0]
            self._forget(tenant, waiter)
            if not waiter.done():
                self._take(tenant)
                waiter.set_result(None)

    def _take(self, tenant: UUID) -> None:
        self._free -= 1
        self._having[tenant] = self._having.get(tenant, 0) + 1

    def _forget(self, tenant: UUID, waiter: _Waiter) -> None:
        waiters = self._waiters.get(tenant)
        if waiters is None or waiter not in waiters:
            return
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[tenant]
