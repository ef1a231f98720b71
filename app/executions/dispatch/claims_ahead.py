"""Decide how many executions a worker claims beyond its free slots: a bounded time of work.

Executions that are claimed ahead are held until a slot is free. One claim then costs little more
than a claim of one execution, and a slot need not wait for it. Long executions are not held.
"""

from typing import Final

# The most work that is held, by the longest of the recent runs.
MAX_AHEAD_SECONDS: Final = 0.02
MAX_AHEAD: Final = 16
# While all that was claimed last are items of batches: nobody waits for each of them, and a tenant
# that has nothing running is not behind what is held (RunningClaims.begin_next).
MAX_AHEAD_SECONDS_OF_BATCHES: Final = 0.1
MAX_AHEAD_OF_BATCHES: Final = 64
# What has not begun by then goes back to the queue: the runs before it are longer than expected.
MAX_HELD_SECONDS: Final = 0.05
MAX_HELD_SECONDS_OF_BATCHES: Final = 0.25
_DECAY: Final = 0.9


class ClaimsAhead:
    """The bound of one worker, by the duration of its recent runs."""

    def __init__(self, *, slots: int) -> None:
        """Hold nothing until runs have been observed."""
        self._slots = slots
        self._run_seconds: float | None = None
        self._only_batches = False

    def observe(self, run_seconds: float) -> None:
        """Note the duration of a run: a long one counts at once, and is forgotten slowly."""
        recent = self._run_seconds or 0.0
        self._run_seconds = max(run_seconds, _DECAY * recent + (1 - _DECAY) * run_seconds)

    def observe_claims(self, *, only_batches: bool) -> None:
        """Note whether all that was claimed last are items of batches."""
        self._only_batches = only_batches

    @property
    def limit(self) -> int:
        """Return how many executions may be held."""
        if not self._run_seconds:
            return 0
        limit, seconds = MAX_AHEAD, MAX_AHEAD_SECONDS
        if self._only_batches:
            limit, seconds = MAX_AHEAD_OF_BATCHES, MAX_AHEAD_SECONDS_OF_BATCHES
        return min(limit, int(self._slots * seconds / self._run_seconds))

    @property
    def max_held_seconds(self) -> float:
        """Return after which time what is held goes back."""
        return MAX_HELD_SECONDS_OF_BATCHES if self._only_batches else MAX_HELD_SECONDS
