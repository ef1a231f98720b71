"""Track the claims that a worker holds, runs or records, and for how long each has held a slot."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final
from uuid import UUID

import structlog

from app.executions.model import Claim, SlotUsage

log = structlog.get_logger(__name__)

# While so many outcomes are being recorded nothing is claimed: unrecorded work is lost work if the
# worker dies.
_MAX_RECORDING: Final = 16
# Those of batches' items linger, to be recorded together.
_MAX_RECORDING_OF_BATCHES: Final = 80


class ResourceUsage:
    """CPU time and peak memory over all cells of one claim; 0 until a cell has reported."""

    def __init__(self) -> None:
        """Start at zero."""
        self.cpu_ms = 0.0
        self.peak_memory_bytes = 0

    def add(self, *, cpu_ms: float, peak_memory_bytes: int) -> None:
        """Add the usage of one cell."""
        self.cpu_ms += cpu_ms
        self.peak_memory_bytes = max(self.peak_memory_bytes, peak_memory_bytes)


class RunningClaim:
    """A claim that has a slot or is held until one is free, and the task that executes it."""

    def __init__(
        self,
        claim: Claim,
        *,
        started: float,
        on_recording: Callable[[], None],
        elsewhere: bool = False,
    ) -> None:
        """Hold a slot since `started`, by the event loop's clock, until it is recorded.

        A claim that was made ahead holds none until `begin`. With `elsewhere` the slot is that of
        an engine.
        """
        self.claim = claim
        self.elsewhere = elsewhere
        self.usage = ResourceUsage()
        self.task: asyncio.Task[None] | None = None
        # Set before the outcome is recorded: from then on the fencing token decides.
        self.recording = False
        self._cancelled = False
        # Whether its task has taken its first step.
        self._entered = False
        self._started = None if claim.held else started
        self._ended: float | None = None
        self._begun = asyncio.Event()
        # By `time.monotonic`, for a claim that was held.
        self.begun: float | None = None
        self._on_recording = on_recording

    @property
    def held_seconds(self) -> float:
        """Return for how long it has held its slot; 0 if it has not begun."""
        if self._started is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        return (now if self._ended is None else self._ended) - self._started

    @property
    def is_held(self) -> bool:
        """Report whether it has not begun."""
        return self._started is None

    @property
    def awaits_slot(self) -> bool:
        """Report whether it is held, and not being released."""
        return self._started is None and not self._cancelled

    @property
    def begun_ms_ago(self) -> float | None:
        """Return how long ago it has begun; None while it is held."""
        if self._started is None:
            return None
        return 0.0 if self.begun is None else (monotonic() - self.begun) * 1_000

    def begin(self) -> None:
        """Give a held claim a slot."""
        self._started = asyncio.get_running_loop().time()
        self.begun = monotonic()
        self._begun.set()

    async def wait_for_slot(self) -> None:
        """Return once the claim has a slot. Raises CancelledError if it was cancelled before."""
        self._entered = True
        if self._cancelled:
            raise asyncio.CancelledError
        if self._started is None:
            await self._begun.wait()

    def begin_recording(self) -> None:
        """Leave the slot to another claim: the run is over, its outcome is being recorded."""
        self.recording = True
        self._ended = asyncio.get_running_loop().time()
        self._on_recording()

    def cancel(self) -> None:
        """Cancel its task, unless the outcome is being recorded."""
        if self.task is not None and not self.recording:
            self._cancelled = True
            # A task that is cancelled before its first step would end without a release, and the
            # heartbeat would renew the lease of a claim that nothing executes.
            if self._entered:
                self.task.cancel()


class RunningClaims:
    """A worker's claims by fencing token, and slot usage that is not yet reported."""

    def __init__(self, *, on_slot_free: Callable[[float], None]) -> None:
        """Start empty; `on_slot_free` is called with a run's seconds as it is being recorded."""
        self._on_slot_free = on_slot_free
        # Not by id: an execution may be claimed again before its lost claim has been cancelled.
        self._by_token: dict[int, RunningClaim] = {}
        # Each of them is in one of these: counting is frequent.
        self._held: dict[int, RunningClaim] = {}
        self._in_slots: dict[int, RunningClaim] = {}
        self._elsewhere: dict[int, RunningClaim] = {}
        self._recording: dict[int, RunningClaim] = {}
        self._slot_usage: list[SlotUsage] = []

    def __len__(self) -> int:
        """Count the claims that hold a slot of this worker."""
        return len(self._in_slots)

    @property
    def elsewhere(self) -> int:
        """Count the claims that hold a slot of the engine."""
        return len(self._elsewhere)

    @property
    def parts(self) -> int:
        """Count the claims that hold a slot and are parts of runs."""
        return sum(each.claim.run_id is not None for each in self._in_slots.values())

    @property
    def held(self) -> list[RunningClaim]:
        """Return the claims that wait for a slot, in the order of their claims."""
        return [each for each in self._held.values() if each.awaits_slot]

    def begin_next(self) -> bool:
        """Give the next held claim a slot; False if none is held.

        The next is the first of the tenant that has the fewest running here: a tenant that has
        none does not wait for another's claims that were made before.
        """
        running = Counter(each.claim.tenant_id for each in self._in_slots.values())
        following = min(self.held, key=lambda each: running[each.claim.tenant_id], default=None)
        if following is None:
            return False
        token = following.claim.lease_token
        self._in_slots[token] = self._held.pop(token)
        following.begin()
        return True

    @property
    def may_record_more(self) -> bool:
        """Report whether few enough outcomes are being recorded for more to be claimed."""
        of_batches = sum(each.claim.batch_id is not None for each in self._recording.values())
        others = len(self._recording) - of_batches
        return others < _MAX_RECORDING and of_batches < _MAX_RECORDING_OF_BATCHES

    def __iter__(self) -> Iterator[RunningClaim]:
        """Iterate over a copy: claims come and go meanwhile."""
        return iter(list(self._by_token.values()))

    def __contains__(self, running: RunningClaim) -> bool:
        """Report whether a claim is not yet recorded, released or given up."""
        return running.claim.lease_token in self._by_token

    def add(self, claim: Claim, *, started: float, elsewhere: bool = False) -> RunningClaim:
        """Give a claim a slot of this worker or, `elsewhere`, of its engine.

        A claim that was made ahead is held until a slot is free.
        """
        running = RunningClaim(
            claim,
            started=started,
            on_recording=lambda: self._leave_slot(running),
            elsewhere=elsewhere,
        )
        self._by_token[claim.lease_token] = running
        slots = self._elsewhere if elsewhere else self._in_slots
        (self._held if running.is_held else slots)[claim.lease_token] = running
        return running

    def remove(self, running: RunningClaim) -> None:
        """Forget a claim and note for how long it held its slot."""
        token = running.claim.lease_token
        for claims in (
            *(self._by_token, self._held, self._in_slots),
            *(self._elsewhere, self._recording),
        ):
            claims.pop(token, None)
        if running.is_held:
            return
        usage = SlotUsage(tenant=running.claim.tenant_id, seconds=running.held_seconds)
        self._slot_usage.append(usage)

    def cancel(self, execution_id: UUID) -> None:
        """Cancel every claim of an execution that a client has cancelled."""
        for running in self:
            if running.claim.id == execution_id:
                log.info("execution.cancelled", id=str(execution_id))
                running.cancel()

    def add_slot_usage(self, usage: Iterable[SlotUsage]) -> None:
        """Note slot usage to be reported with the next claim."""
        self._slot_usage += usage

    @contextmanager
    def reporting_slot_usage(self) -> Iterator[list[SlotUsage]]:
        """Yield the unreported slot usage, and forget it unless the block fails."""
        usage, self._slot_usage = self._slot_usage, []
        try:
            yield usage
        except BaseException:
            self._slot_usage += usage
            raise

    @property
    def has_slot_usage(self) -> bool:
        """Report whether slot usage is left to be reported."""
        return bool(self._slot_usage)

    def _leave_slot(self, running: RunningClaim) -> None:
        token = running.claim.lease_token
        if running.elsewhere:
            self._recording[token] = self._elsewhere.pop(token)
            return
        self._recording[token] = self._in_slots.pop(token)
        self._on_slot_free(running.held_seconds)
