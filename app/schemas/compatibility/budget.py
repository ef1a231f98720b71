"""Say where the rules of compatibility end: what they cannot read, and how far they go."""

from time import thread_time
from typing import Final

MAX_SECONDS: Final = 0.5
"""CPU time of one search in its thread: steps are not equally long."""


class Undecidable(Exception):
    """The rules end here; carries the pointer and the reason."""

    def __init__(self, pointer: str, message: str) -> None:
        """Keep both parts."""
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


class Budget:
    """Steps and time that one search in one thread may take: tenants choose schemas."""

    def __init__(
        self,
        steps: int,
        *,
        seconds: float = MAX_SECONDS,
        message: str = "the schemas are too large to be compared",
    ) -> None:
        """Start with all of them; `message` says what it means that they are spent."""
        self._steps, self._seconds, self._message = steps, seconds, message
        self.refill()

    def refill(self) -> None:
        """Begin another search."""
        self._left = self._steps
        self._deadline = thread_time() + self._seconds

    def spend(self, steps: int = 1) -> None:
        """Take steps.

        Raises:
            Undecidable: none is left, or the time is over.
        """
        self._left -= steps
        if self._left < 0:
            raise Undecidable("", self._message)
        self.check_time()

    def check_time(self) -> None:
        """Go on only within the time.

        Raises:
            Undecidable: the time is over.
        """
        if thread_time() > self._deadline:
            raise Undecidable("", self._message)
