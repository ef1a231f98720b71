"""Measure how far a task has come, over queries of different weight."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PERCENT: Final = 100


class Meter:
    """Translates steps, and the progress of their queries, to bytes of the sources."""

    def __init__(self, total: int) -> None:
        """Begin with nothing read."""
        self.total = total
        self._done = 0.0
        self._share = 0.0
        self._highest = 0

    @contextmanager
    def step(self, share: float) -> Iterator[None]:
        """Count what runs in the context as a share of the whole."""
        self._share = share
        yield
        self._share, self._done = 0.0, self._done + share

    def add(self, share: float) -> None:
        """Count a share as done, within no step."""
        self._done += share

    def restart(self) -> None:
        """Begin again; what was read is not less for that."""
        self._share, self._done = 0.0, 0.0

    def bytes_read(self, percent: float) -> int:
        """Return how far the task has come; it never goes back."""
        of_step = self._share * max(percent, 0.0) / _PERCENT
        self._highest = max(self._highest, int(self.total * min(self._done + of_step, 1.0)))
        return self._highest
