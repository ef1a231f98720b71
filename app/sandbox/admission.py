"""Let executions in as slots and the host's memory allow, in order, with bounded overtaking."""

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.sandbox.cgroups import memory_limits

# What is left to the system, the databases beside us, and V8's overshoot above a limit.
_SHARE: Final = 0.75


class Hold:
    """What one run holds of an Admission: a slot and its bytes."""

    def __init__(self, size_bytes: int) -> None:
        """Take the bytes that the run may use before it is killed."""
        self.size_bytes = size_bytes
        # It was let in before one that has waited longer, for more memory.
        self.overtook = False


class Admission:
    """Slots, and a budget of bytes that runs hold while they run.

    What is asked for is what a run may take before it is killed, not what it takes: then runs
    cannot push the host out of memory together. Payloads come on top, from the other quarter.

    While the first in line waits for memory, what fits beside the runs may overtake it, as long
    as all that has overtaken it would fit beside it, too. So it waits for those runs only that
    were there before it, and nobody waits for memory that he does not need.
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
        """The largest run that would be let in now, slots apart; None: any."""
        if self._budget_bytes is None:
            return None
        beside_runs = self._budget_bytes - self._held_bytes
        if not self._waiting:
            return beside_runs
        first = self._waiting[0][0]
        beside_first = self._budget_bytes - first.size_bytes - self._overtaken_bytes
        return min(beside_runs, beside_first)

    async def acquire(self, size_bytes: int) -> Hold:
        """Wait for a slot and room. What is larger than the budget is let in when it is alone."""
        hold = Hold(size_bytes)
        if self._may_enter(hold):
            self._enter(hold, overtakes=bool(self._waiting))
            return hold
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((hold, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(hold)
            else:
                self._leave_line(hold, turn)
            raise
        return hold

    def release(self, hold: Hold) -> None:
        """Give back what `acquire` gave."""
        self._held.discard(hold)
        self._held_bytes -= hold.size_bytes
        self._free_slots += 1
        if hold.overtook:
            self._overtaken_bytes -= hold.size_bytes
        self._admit()

    def _admit(self) -> None:
        """Let in who may enter by now, in the order of the line."""
        passed: deque[tuple[Hold, asyncio.Future[None]]] = deque()
        while self._waiting and self._free_slots:
            hold, turn = self._waiting.popleft()
            if turn.done():
                continue  # cancelled, and about to leave the line
            if not passed and self._fits(hold):
                self._enter(hold, overtakes=False)
                self._begin_anew()
                turn.set_result(None)
            elif passed and self._may_overtake(hold, passed[0][0]):
                self._enter(hold, overtakes=True)
                turn.set_result(None)
            else:
                passed.append((hold, turn))
        self._waiting.extendleft(reversed(passed))

    def _leave_line(self, hold: Hold, turn: "asyncio.Future[None]") -> None:
        was_first = bool(self._waiting) and self._waiting[0][0] is hold
        with suppress(ValueError):  # `_admit` has passed over it
            self._waiting.remove((hold, turn))
        if was_first:
            self._begin_anew()
        self._admit()

    def _begin_anew(self) -> None:
        """Somebody else is first in line: for him, all that run were there before him."""
        self._overtaken_bytes = 0
        for hold in self._held:
            hold.overtook = False

    def _enter(self, hold: Hold, *, overtakes: bool) -> None:
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
    """Give the share of this host's or container's memory that runs may hold, in bytes.

    None where the system does not say.
    """
    limits = [*memory_limits(), *_total()]
    return int(min(limits) * _SHARE) if limits else None


def _total() -> list[int]:
    with suppress(OSError, ValueError, IndexError):
        first = Path("/proc/meminfo").read_text(encoding="ascii").partition("\n")[0]
        return [int(first.split()[1]) * 1_024]
    return []
