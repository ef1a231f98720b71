"""Let readers wait for executions: one who listens wakes them, none asks the database by himself.

A reader first takes a seat, then reads; from then on a notice about its execution wakes it, and
it reads once more. What notices have missed is found for all seats at once, in one query.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final
from uuid import UUID

from app.db import Connection
from app.executions import store
from app.executions.model import (
    Execution,
    ExecutionState,
    Status,
)
from app.executions.problems import (
    NoRoomToWait,
    TooManyWaiting,
)
from app.notifications import Notice, subscribe
from app.notifier import Notifier
from app.outages import DatabaseUnavailable
from app.settings import Settings

LONGEST_SECONDS: Final = 60
# So often a stream with nothing to tell shows that it is alive, and that its reader may stay.
HEARTBEAT_SECONDS: Final = 15.0
# Above what any number of attempts gives.
_LAST_EVENT: Final = 1_000


class Waiter:
    """A reader's place. Nothing is known of its execution until the reader has read."""

    def __init__(self, room: "WaiterRegistry", tenant: UUID, *, to_the_end: bool) -> None:
        """Belong to a room; `to_the_end`: only the end of the execution wakes."""
        self._room = room
        self._woken = asyncio.Event()
        self.tenant = tenant
        self.to_the_end = to_the_end
        self.execution: UUID | None = None
        self.known: ExecutionState | None = None
        self.left = False

    @property
    def taken(self) -> bool:
        """Say whether it is in the room."""
        return self.execution is not None

    @property
    def over(self) -> bool:
        """Say whether there is nothing to wait for: the reader has left, or the API stops."""
        return self.left or self._room.closed

    def take(self, execution: UUID) -> None:
        """Be woken from now on. Raises TooManyWaiting, NoRoomToWait."""
        self._room.admit(self, execution)

    def take_if_there_is_room(self, execution: UUID) -> None:
        """Be woken from now on, or not `taken`."""
        with suppress(TooManyWaiting, NoRoomToWait):
            self.take(execution)

    def wake(self) -> None:
        """Have the reader read again."""
        self._woken.set()

    def leave(self) -> None:
        """Have the reader go: nobody is there to be told."""
        self.left = True
        self._woken.set()

    async def changes(self, *, by: float) -> bool:
        """Wait until the execution may have changed; False when the loop's time is `by` first."""
        try:
            async with asyncio.timeout_at(by):
                await self._woken.wait()
        except TimeoutError:
            return False
        # Before the reader reads: what comes meanwhile wakes it again.
        self._woken.clear()
        return True


class WaiterRegistry:
    """The seats of one API process."""

    def __init__(self, *, most: int, most_of_tenant: int) -> None:
        """Take how many may wait at once, in all and of one tenant."""
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._seats: dict[UUID, set[Waiter]] = {}
        self._of_tenant: Counter[UUID] = Counter()
        self.closed = False

    def __len__(self) -> int:
        """Count who waits."""
        return self._of_tenant.total()

    @contextmanager
    def waiter(self, tenant: UUID, *, to_the_end: bool) -> Iterator[Waiter]:
        """Give a seat, to be taken in the block; free again after it."""
        waiter = Waiter(self, tenant, to_the_end=to_the_end)
        try:
            yield waiter
        finally:
            self._dismiss(waiter)

    def admit(self, waiter: Waiter, execution: UUID) -> None:
        """Put a seat where notices reach it. Raises TooManyWaiting, NoRoomToWait."""
        if self._of_tenant[waiter.tenant] >= self._most_of_tenant:
            raise TooManyWaiting(f"{self._most_of_tenant} requests of this tenant wait already")
        if len(self) >= self._most:
            raise NoRoomToWait(f"{self._most} requests wait already")
        waiter.execution = execution
        self._seats.setdefault(execution, set()).add(waiter)
        self._of_tenant[waiter.tenant] += 1
        if self.closed:
            waiter.wake()

    def heard(self, notice: Notice) -> None:
        """Wake whom a notice concerns."""
        for each in notice.ended:
            for waiter in self._seats.get(each, ()):
                waiter.wake()
        for each in notice.changed:
            for waiter in self._seats.get(each, ()):
                if not waiter.to_the_end:
                    waiter.wake()

    async def look(self, conn: Connection) -> None:
        """Wake whose execution has changed unheard: one query for all."""
        if not self._seats:
            return
        for stage in await store.select_states(conn, list(self._seats)):
            for waiter in self._seats.get(stage.id, ()):
                if stage.status.final if waiter.to_the_end else stage != waiter.known:
                    waiter.wake()

    def close(self) -> None:
        """Let nobody wait any more: each is told what is known."""
        self.closed = True
        for seats in self._seats.values():
            for waiter in seats:
                waiter.wake()

    def _dismiss(self, waiter: Waiter) -> None:
        if waiter.execution is None:
            return
        seats = self._seats[waiter.execution]
        seats.discard(waiter)
        if not seats:
            del self._seats[waiter.execution]
        self._of_tenant[waiter.tenant] -= 1
        if not self._of_tenant[waiter.tenant]:
            del self._of_tenant[waiter.tenant]


@asynccontextmanager
async def open_waiter_registry(
    settings: Settings, notifier: Notifier
) -> AsyncIterator[WaiterRegistry]:
    """Listen for the length of the block; PostgreSQL may be away at times."""
    room = WaiterRegistry(most=settings.max_waiting, most_of_tenant=settings.max_waiting_of_tenant)
    try:
        with subscribe(notifier, on_notice=room.heard, resync=room.look):
            yield room
    finally:
        room.close()


async def await_end(
    waiter: Waiter, read: Callable[[], Awaitable[Execution]], *, seconds: float
) -> Execution:
    """Wait in a seat that is taken, at most so long; give the execution as it stands then.

    Raises what `read` raises; but while PostgreSQL is away only when the time is over.
    """
    by = asyncio.get_running_loop().time() + seconds
    while await waiter.changes(by=by) and not waiter.over:
        with suppress(DatabaseUnavailable):
            found = await read()
            if found.status.final:
                return found
    return await read()


async def follow(
    waiter: Waiter, found: Execution, read: Callable[[], Awaitable[Execution]], *, seen: str
) -> AsyncIterator[Execution | None]:
    """Give the execution at each change of its state, from `found` on; end after the final one.

    What a reader has `seen` is not given again. None says that nothing has happened for a
    while. A state that does not last is passed over: what is given is what was last read.
    """
    loop = asyncio.get_running_loop()
    while True:
        if event_id(found) != seen:
            seen = event_id(found)
            yield found
        if found.status.final:
            return
        waiter.known = state_of(found)
        while not await waiter.changes(by=loop.time() + HEARTBEAT_SECONDS):
            yield None
        if waiter.over:
            return
        # While PostgreSQL is away nothing is known to have changed; once it is back, all look.
        with suppress(DatabaseUnavailable):
            found = await read()


def state_of(execution: Execution) -> ExecutionState:
    """Give what tells one state of an execution from the next."""
    return ExecutionState(id=execution.id, status=execution.status, attempts=execution.attempts)


def event_id(execution: Execution) -> str:
    """Number an execution's states, the same in every process, in the order they come in.

    Only what a worker hands back, which counts for no attempt, is where it was before.
    """
    match execution.status:
        case Status.QUEUED:
            number = 2 * execution.attempts
        case Status.RUNNING:
            number = 2 * execution.attempts - 1
        case _:
            number = _LAST_EVENT
    return str(number)
