"""Measure the time of a script, and know its deadline."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class RunClock:
    """The wall clock of one job, which stands still while the cell waits for the pool."""

    def __init__(self) -> None:
        """Begin before the job has started."""
        self.started_ns = 0
        self.run_ns = 0
        # Of `time.monotonic`.
        self.deadline = 0.0
        self._idle_ns = 0

    def start(self, *, wall_ms: int) -> None:
        """Start: user code is next."""
        self.started_ns = time.monotonic_ns()
        self.deadline = time.monotonic() + wall_ms / 1_000

    def stop(self) -> None:
        """Stop: user code is over."""
        if self.started_ns:
            self.run_ns = time.monotonic_ns() - self.started_ns - self._idle_ns

    @property
    def left_s(self) -> float:
        """The time to the deadline."""
        return max(self.deadline - time.monotonic(), 0.0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stand still for the length of a `with` block."""
        began_ns = time.monotonic_ns()
        try:
            yield
        finally:
            idle_ns = time.monotonic_ns() - began_ns
            self._idle_ns += idle_ns
            self.deadline += idle_ns / 1e9
