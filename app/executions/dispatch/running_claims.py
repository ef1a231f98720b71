"""Track the claims that a worker runs, and for how long each has held a slot."""

import asyncio
from collections.abc import Iterable, Iterator
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

    def __init__(self, claim: Claim, *, started: float) -> None:
        """Hold a slot since `started`, by the event loop's clock."""
        self.claim = claim
        self.usage = ResourceUsage()
        self.task: asyncio.Task[None] | None = None
        # Set before the outcome is recorded: from then on the fencing token decides.
        self.recording = False
        self._started = started

    @property
    def held_seconds(self) -> float:
        """Return for how long it has held its slot."""
        return asyncio.get_running_loop().time() - self._started

    def cancel(self) -> None:
        """Cancel its task, unless the outcome is being recorded."""
        if self.task is not None and not self.recording:
            self.task.cancel()


class RunningClaims:
    """A worker's running claims by fencing token, and slot usage that is not yet reported."""

    def __init__(self) -> None:
        """Start empty."""
        # Not by id: an execution may be claimed again before its lost claim has been cancelled.
        self._by_token: dict[int, RunningClaim] = {}
        self._slot_usage: list[SlotUsage] = []

    def __len__(self) -> int:
        """Count the claims that hold a slot."""
        return len(self._by_token)

    def __iter__(self) -> Iterator[RunningClaim]:
        """Iterate over a copy: claims come and go meanwhile."""
        return iter(list(self._by_token.values()))

    def __contains__(self, running: RunningClaim) -> bool:
        """Report whether a claim still holds its slot."""
        return running.claim.lease_token in self._by_token

    def add(self, claim: Claim, *, started: float) -> RunningClaim:
        """Give a claim a slot."""
        running = self._by_token[claim.lease_token] = RunningClaim(claim, started=started)
        return running

    def remove(self, running: RunningClaim) -> None:
        """Free a claim's slot and note how long it was held."""
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
