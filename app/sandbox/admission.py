"""Admit runs as slots and the host's memory allow, in order, with bounded overtaking."""

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.sandbox.cgroups import memory_limits

# The rest is for the system, databases on the same host, and V8's overshoot above a limit.
_SHARE: Final = 0.75


class Room(Struct, frozen=True, kw_only=True):
    """The memory limits that a pool can admit; each run adds `overhead_bytes` to its limit.

    `now_bytes`: the sum that it would admit now; `largest_bytes`: the highest of a run alone.
    `may_wait`: no run waits yet, so one that does not fit now would be the next.
    """

    now_bytes: int
    largest_bytes: int
    overhead_bytes: int
    may_wait: bool


class Hold:
    """A slot and the bytes that one run holds."""

    def __init__(self, size_bytes: int) -> None:
        """Take the memory at which the run is killed."""
        self.size_bytes = size_bytes
        # It was admitted before the first waiting run, which needs more memory.
        self.overtook = False


class Admission:
    """Slots, and a budget of bytes that runs hold while they run.

    A run holds the memory at which it is killed, not what it uses, so that all runs together
    cannot exhaust the host. Payloads take memory from the remaining quarter.

    While the first waiting run waits for memory, a run that fits beside the current ones may
    overtake it, as long as all that have overtaken it would fit beside it, too. The first waiting
    run therefore waits only for runs that were admitted before it became the first, and no run
    waits for memory that it does not need.
    """

    def __init__(self, budget_bytes: int | None, *, slots: int) -> None:
        """Admit up to `slots` runs at a time, of up to `budget_bytes`; None: of any size."""
        self._budget_bytes = budget_bytes
        self._free_slots = slots
        self._held: set[Hold] = set()
        self._held_bytes = 0
        self._overtaken_bytes = 0
        self._waiting: deque[tuple[Hold, asyncio.Future[None]]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return self._free_slots == 0

    @property
    def room_bytes(self) -> int | None:
        """The largest run that would be admitted now, given a slot; None: any."""
        if self._budget_bytes is None:
            return None
        beside_runs = self._budget_bytes - self._held_bytes
        if not self._waiting:
            return beside_runs
        first = self._waiting[0][0]
        beside_first = self._budget_bytes - first.size_bytes - self._overtaken_bytes
        return min(beside_runs, beside_first)

    async def acquire(self, size_bytes: int) -> Hold:
        """Wait for a slot and memory. A run above the budget is admitted when it is alone."""
        hold = Hold(size_bytes)
        if self._may_enter(hold):
            self._take(hold, overtakes=bool(self._waiting))
            return hold
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((hold, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(hold)
            else:
                self._leave_queue(hold, turn)
            raise
        return hold

    def release(self, hold: Hold) -> None:
        """Return a hold that `acquire` gave."""
        self._held.discard(hold)
        self._held_bytes -= hold.size_bytes
        self._free_slots += 1
        if hold.overtook:
            self._overtaken_bytes -= hold.size_bytes
        self._admit()

    def _admit(self) -> None:
        """Admit the waiting runs that fit now, in their order."""
        passed: deque[tuple[Hold, asyncio.Future[None]]] = deque()
        while self._waiting and self._free_slots:
            hold, turn = self._waiting.popleft()
            if turn.done():
                continue  # cancelled, and about to leave the queue
            if not passed and self._fits(hold):
                self._take(hold, overtakes=False)
                self._forget_overtaking()
                turn.set_result(None)
            elif passed and self._may_overtake(hold, passed[0][0]):
                self._take(hold, overtakes=True)
                turn.set_result(None)
            else:
                passed.append((hold, turn))
        self._waiting.extendleft(reversed(passed))

    def _leave_queue(self, hold: Hold, turn: "asyncio.Future[None]") -> None:
        was_first = bool(self._waiting) and self._waiting[0][0] is hold
        with suppress(ValueError):  # `_admit` has dropped it
            self._waiting.remove((hold, turn))
        if was_first:
            self._forget_overtaking()
        self._admit()

    def _forget_overtaking(self) -> None:
        """Another run is first now: no current run has overtaken it."""
        self._overtaken_bytes = 0
        for hold in self._held:
            hold.overtook = False

    def _take(self, hold: Hold, *, overtakes: bool) -> None:
        self._held.add(hold)
        self._held_bytes += hold.size_bytes
        self._free_slots -= 1
        hold.overtook = overtakes
        if overtakes:
            self._overtaken_bytes += hold.size_bytes

    def _may_enter(self, hold: Hold) -> bool:
        if not self._free_slots:
            return False
        if self._waiting:
            return self._may_overtake(hold, self._waiting[0][0])
        return self._fits(hold)

    def _may_overtake(self, hold: Hold, first: Hold) -> bool:
        with_it = first.size_bytes + self._overtaken_bytes + hold.size_bytes
        return self._fits(hold) and (self._budget_bytes is None or with_it <= self._budget_bytes)

    def _fits(self, hold: Hold) -> bool:
        return (
            self._budget_bytes is None
            or self._held_bytes == 0
            or self._held_bytes + hold.size_bytes <= self._budget_bytes
        )


def budget_of_host() -> int | None:
    """Return the bytes of this host's or container's memory that runs may hold; None: unknown."""
    limits = [*memory_limits(), *_total()]
    return int(min(limits) * _SHARE) if limits else None


def _total() -> list[int]:
    with suppress(OSError, ValueError, IndexError):
        first = Path("/proc/meminfo").read_text(encoding="ascii").partition("\n")[0]
        return [int(first.split()[1]) * 1_024]
    return []
