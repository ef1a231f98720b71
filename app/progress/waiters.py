"""Register requests that wait for a resource: one listener wakes them, so none polls.

A request first registers its waiter, then reads the resource; from then on a notice about it wakes
the waiter, and the request reads again, unless the notice holds the outcome. Changes that no notice
reported are found for all waiters at once, in one query for each kind of resource.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from msgspec import Raw, Struct

from app.db import Connection
from app.notifications import Notice, subscribe
from app.notifier import Notifier
from app.progress.problems import NoRoomToWait, TooManyWaiting
from app.settings import Settings

MAX_WAIT_SECONDS: Final = 60
# How often a stream without events shows that it is alive, and its caller is checked again.
KEEP_ALIVE_SECONDS: Final = 15.0


class WatchedState(Protocol):
    """What distinguishes one state of a resource from the next."""

    @property
    def id(self) -> UUID:
        """Whose state it is."""

    @property
    def final(self) -> bool:
        """Whether the state can never change again."""


class Outcome(Struct, frozen=True, kw_only=True):
    """A resource in its final state, as its tenant's clients see it."""

    tenant: UUID
    id: UUID
    resource: Any


# Reads the states of those ids that it knows.
SelectStates: TypeAlias = Callable[[Connection, Sequence[UUID]], Awaitable[Sequence[WatchedState]]]
# Reads the outcome that came with a notice; None: it is not readable here.
DecodeOutcome: TypeAlias = Callable[[Raw], Outcome | None]


class Waiter:
    """A request that may wait for one resource."""

    def __init__(self, registry: "WaiterRegistry", tenant: UUID, *, final_only: bool) -> None:
        """Belong to a registry; with `final_only`, only the final state wakes it."""
        self._registry = registry
        self._woken = asyncio.Event()
        self.tenant = tenant
        self.final_only = final_only
        self.resource: UUID | None = None
        # The state that the request has read last; None before it has read.
        self.known: WatchedState | None = None
        # The final state, where the notice that woke the request came with it.
        self.outcome: Outcome | None = None
        self._left = False

    @property
    def registered(self) -> bool:
        """Report whether notices reach it."""
        return self.resource is not None

    @property
    def stopped(self) -> bool:
        """Report whether to wait no longer: the client has left, or the API is stopping."""
        return self._left or self._registry.closed

    def register(self, resource: UUID) -> None:
        """Let notices about a resource wake it. Raises TooManyWaiting, NoRoomToWait."""
        self._registry.add(self, resource)

    def register_if_possible(self, resource: UUID) -> None:
        """Let notices about a resource wake it, unless too many requests are waiting."""
        with suppress(TooManyWaiting, NoRoomToWait):
            self.register(resource)

    def wake(self) -> None:
        """Make the request read again."""
        self._woken.set()

    def leave(self) -> None:
        """Stop waiting: the client has closed its connection."""
        self._left = True
        self._woken.set()

    async def wait(self, *, until: float) -> bool:
        """Wait for a wake-up; return False if `until`, by the loop's clock, comes first."""
        try:
            async with asyncio.timeout_at(until):
                await self._woken.wait()
        except TimeoutError:
            return False
        # Before the request reads: a later change wakes it again.
        self._woken.clear()
        return True


class WaiterRegistry:
    """The waiters of one API process."""

    def __init__(self, decode_outcome: DecodeOutcome, *, limit: int, tenant_limit: int) -> None:
        """Bound the waiters, in all and of one tenant."""
        self._decode_outcome = decode_outcome
        self._limit = limit
        self._tenant_limit = tenant_limit
        self._waiters: dict[UUID, set[Waiter]] = {}
        self._tenant_counts: Counter[UUID] = Counter()
        self._select_states: list[SelectStates] = []
        self.closed = False

    def __len__(self) -> int:
        """Count the registered waiters."""
        return self._tenant_counts.total()

    def watch(self, select_states: SelectStates) -> None:
        """Let requests wait for what `select_states` reads."""
        self._select_states.append(select_states)

    @contextmanager
    def waiter(self, tenant: UUID, *, final_only: bool) -> Iterator[Waiter]:
        """Open a waiter, to be registered within the block; it is removed after the block."""
        waiter = Waiter(self, tenant, final_only=final_only)
        try:
            yield waiter
        finally:
            self._remove(waiter)

    def add(self, waiter: Waiter, resource: UUID) -> None:
        """Register a waiter. Raises TooManyWaiting, NoRoomToWait."""
        if self._tenant_counts[waiter.tenant] >= self._tenant_limit:
            raise TooManyWaiting(
                f"{self._tenant_limit} requests of this tenant are already waiting"
            )
        if len(self) >= self._limit:
            raise NoRoomToWait(f"{self._limit} requests are already waiting")
        waiter.resource = resource
        self._waiters.setdefault(resource, set()).add(waiter)
        self._tenant_counts[waiter.tenant] += 1
        if self.closed:
            waiter.wake()

    def on_notice(self, notice: Notice) -> None:
        """Wake the waiters that a notice concerns."""
        for resource in notice.ended:
            waiters = self._waiters.get(resource, ())
            if waiters and bytes(notice.outcome):
                _deliver(self._decode_outcome(notice.outcome), waiters)
            for waiter in waiters:
                waiter.wake()
        for resource in notice.changed:
            for waiter in self._waiters.get(resource, ()):
                if not waiter.final_only:
                    waiter.wake()

    async def catch_up(self, conn: Connection) -> None:
        """Wake the waiters of what has changed without a notice, by one query for each kind."""
        if not self._waiters:
            return
        for select_states in self._select_states:
            for state in await select_states(conn, list(self._waiters)):
                for waiter in self._waiters.get(state.id, ()):
                    if state.final if waiter.final_only else state != waiter.known:
                        waiter.wake()

    def close(self) -> None:
        """End all waiting: each request responds with the state that it knows."""
        self.closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.wake()

    def _remove(self, waiter: Waiter) -> None:
        if waiter.resource is None:
            return
        waiters = self._waiters[waiter.resource]
        waiters.discard(waiter)
        if not waiters:
            del self._waiters[waiter.resource]
        self._tenant_counts[waiter.tenant] -= 1
        if not self._tenant_counts[waiter.tenant]:
            del self._tenant_counts[waiter.tenant]


def _deliver(outcome: Outcome | None, waiters: Iterable[Waiter]) -> None:
    """Hand an outcome to the waiters of its resource and tenant, as a read would find it."""
    if outcome is None:
        return
    for waiter in waiters:
        if (waiter.tenant, waiter.resource) == (outcome.tenant, outcome.id):
            waiter.outcome = outcome


@asynccontextmanager
async def open_waiter_registry(
    settings: Settings, notifier: Notifier, decode_outcome: DecodeOutcome
) -> AsyncIterator[WaiterRegistry]:
    """Open a registry that receives notices for the length of the block."""
    registry = WaiterRegistry(
        decode_outcome, limit=settings.max_waiting, tenant_limit=settings.max_waiting_of_tenant
    )
    try:
        with subscribe(notifier, on_notice=registry.on_notice, resync=registry.catch_up):
            yield registry
    finally:
        registry.close()
