"""Say where the rules of compatibility end: what they cannot read, and how far they go."""


class Undecidable(Exception):
    """The rules end here; carries the pointer and the reason."""

    def __init__(self, pointer: str, message: str) -> None:
        """Keep both parts."""
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


class Budget:
    """Steps that one search may take: tenants choose schemas."""

    def __init__(self, steps: int) -> None:
        """Start with all of them."""
        self._steps = self._left = steps

    def refill(self) -> None:
        """Begin another search."""
        self._left = self._steps

    def spend(self, steps: int = 1) -> None:
        """Take steps.

        Raises:
            Undecidable: none is left.
        """
        self._left -= steps
        if self._left < 0:
            raise Undecidable("", "the schemas are too large to be compared")
