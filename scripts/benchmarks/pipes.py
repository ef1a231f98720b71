"""Measure pipes: events sent while processes and servers are killed, and what became of them."""

import argparse
from collections.abc import Sequence

from scripts.benchmarks import pipe_kills


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench pipes", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="one in 100 is invalid")
    parsed = parser.parse_args(arguments)
    return pipe_kills.measure(events=parsed.events)
