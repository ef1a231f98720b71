"""Track the claims that a worker runs or records, and for how long each has held a slot."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

import structlog

from app.executions.model import Claim, SlotUsage

log = structlog.get_logger(__name__)


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
    """A claim that holds a slot, and the task that executes it."""

    def __init__(self, claim: Claim, *, started: float, on_recording: Callable[[], None]) -> None:
        """Hold a slot since `started`, by the event loop's clock, until it is recorded."""
        self.claim = claim
        self.usage = ResourceUsage()
        self.task: asyncio.Task[None] | None = None
        # Set before the outcome is recorded: from then on the fencing token decides.
        self.recording = False
        self._started = started
        self._ended: float | None = None
        self._on_recording = on_recording

    @property
    def held_seconds(self) -> float:
        """Return for how long it has held its slot."""
        now = asyncio.get_running_loop().time()
        return (now if self._ended is None else self._ended) - self._started

    def begin_recording(self) -> None:
        """Leave the slot to another claim: the run is over, its outcome is being recorded."""
        self.recording = True
        self._ended = asyncio.get_running_loop().time()
        self._on_recording()

    def cancel(self) -> None:
        """Cancel its task, unless the outcome is being recorded."""
        if self.task is not None and not self.recording:
            self.task.cancel()


class RunningClaims:
    """A worker's running claims by fencing token, and slot usage that is not yet reported."""

    def __init__(self, *, on_slot_free: Callable[[], None]) -> None:
        """Start empty; `on_slot_free` is called as the outcome of a run is being recorded."""
        self._on_slot_free = on_slot_free
        # Not by id: an execution may be claimed again before its lost claim has been cancelled.
        self._by_token: dict[int, RunningClaim] = {}
        self._slot_usage: list[SlotUsage] = []

    def __len__(self) -> int:
        """Count the claims that hold a slot."""
        return len(self._by_token) - self.recording

    @property
    def recording(self) -> int:
        """Count the claims whose run is over and whose outcome is being recorded."""
        return sum(each.recording for each in self._by_token.values())

    def __iter__(self) -> Iterator[RunningClaim]:
        """Iterate over a copy: claims come and go meanwhile."""
        return iter(list(self._by_token.values()))

    def __contains__(self, running: RunningClaim) -> bool:
        """Report whether a claim is not yet recorded, released or given up."""
        return running.claim.lease_token in self._by_token

    def add(self, claim: Claim, *, started: float) -> RunningClaim:
        """Give a claim a slot."""
        running = RunningClaim(claim, started=started, on_recording=self._on_slot_free)
        self._by_token[claim.lease_token] = running
        return running

    def remove(self, running: RunningClaim) -> None:
        """Forget a claim and note for how long it held its slot."""
        del self._by_token[running.claim.lease_token]
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

    def take_slot_usage(self) -> list[SlotUsage]:
        """Return the unreported slot usage and forget it."""
        usage, self._slot_usage = self._slot_usage, []
        return usage

    @property
    def has_slot_usage(self) -> bool:
        """Report whether slot usage is left to be reported."""
        return bool(self._slot_usage)
