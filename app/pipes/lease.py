"""Know how long the lease of a pipe holds, without asking PostgreSQL."""

import asyncio

from app.pipes.lease_store import HeldPipe
from app.pipes.problems import LeaseLost


class Lease:
    """The lease of a pipe that this worker holds."""

    def __init__(self, held: HeldPipe) -> None:
        """Take a pipe that was claimed."""
        self.held = held
        self._valid_until = 0.0

    def renewed(self, *, until: float) -> None:
        """Note that the lease holds until a time of the event loop's clock."""
        self._valid_until = until

    def holds(self) -> bool:
        """Return whether the lease cannot have run out yet."""
        return asyncio.get_running_loop().time() < self._valid_until

    def require(self) -> None:
        """Do nothing more that a later holder may do at the same time. Raises LeaseLost."""
        if not self.holds():
            raise LeaseLost(f"the lease of the pipe {self.held.id} has run out")
