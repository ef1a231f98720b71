"""Define the systems and sizes of a pipeline benchmark."""

from msgspec import Struct

from scripts.benchmarks.systems import Crivo, Peer


class Plan(Struct, frozen=True, kw_only=True):
    """The systems to measure, and how much; `quick` only tests that everything runs."""

    crivo: Crivo
    peer: Peer | None
    runs: int
    quick: bool

    def count(self, usual: int) -> int:
        """Return the number of executions to measure."""
        return 3 if self.quick else usual
