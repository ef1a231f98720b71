"""Send events through a pipe: every one is found again, also beside kills."""

import argparse
from collections.abc import Sequence

from scripts.benchmarks import pipe_kills


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 1 if an event is not where it should be.

    It was lost or changed, was twice a dead letter, or came twice into a dataset.
    """
    parser = argparse.ArgumentParser(
        prog="scripts/bench pipes", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--calm", action="store_true", help="without kills: the rate and its CPU")
    parser.add_argument("--sink", choices=("redis_stream", "dataset"), default="redis_stream")
    parsed = parser.parse_args(arguments)
    return pipe_kills.measure(
        count=parsed.events, sink=parsed.sink, victims=() if parsed.calm else pipe_kills.VICTIMS
    )
