"""What a run of the pipeline's benchmark measures, and on what."""

from msgspec import Struct

from scripts.benchmarks.systems import Crivo, Peer


class Plan(Struct, frozen=True, kw_only=True):
    """The systems, and how much of each; `quick` takes tiny numbers, to see that all runs."""

    crivo: Crivo
    peer: Peer | None
    runs: int
    quick: bool

    def count(self, usual: int) -> int:
        """Say how many executions to measure over."""
        return 3 if self.quick else usual
