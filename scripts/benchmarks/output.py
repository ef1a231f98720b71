"""Print one line of JSON for each figure, with its baseline."""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, structs


class Line(Struct, frozen=True, kw_only=True):
    """One figure: medians over the runs.

    `ratio` is the median of each run's own ratio, since a disturbance of the machine affects both
    sides of a run. `goal` is the maximum of `goal_of`, or the minimum if `at_least`; without a
    goal, `met` is None.
    """

    bench: str
    value: float
    unit: str
    baseline: float | None
    baseline_is: str
    ratio: float | None
    goal: float | None
    goal_of: Literal["value", "ratio"]
    at_least: bool
    met: bool | None
    runs: Sequence[float]
    baseline_runs: Sequence[float]
    also: Mapping[str, float | None]


def new_line(
    bench: str,
    *,
    unit: str,
    runs: Sequence[float],
    baseline: tuple[str, Sequence[float]],
    goal: float | None = None,
    goal_of: Literal["value", "ratio"] = "value",
    at_least: bool = False,
    also: Mapping[str, Sequence[float]] | None = None,
) -> Line:
    """Take medians; the baseline's runs have the order of `runs`, or are empty."""
    ratios = [ours / theirs for ours, theirs in zip(runs, baseline[1], strict=False)]
    value, ratio = _median(runs), _median(ratios)
    measured = value if goal_of == "value" else ratio
    met = None
    if goal is not None and measured is not None:
        met = measured >= goal if at_least else measured <= goal
    return Line(
        bench=bench,
        value=value or 0.0,
        unit=unit,
        baseline=_median(baseline[1]),
        baseline_is=baseline[0],
        ratio=ratio,
        goal=goal,
        goal_of=goal_of,
        at_least=at_least,
        met=met,
        runs=[round(each, 3) for each in runs],
        baseline_runs=[round(each, 3) for each in baseline[1]],
        also={name: _median(values) for name, values in (also or {}).items()},
    )


def print_line(line: Line, **common: object) -> None:
    """Print one line and flush, as a benchmark takes minutes."""
    print_json({**structs.asdict(line), **common})


def print_json(line: Mapping[str, object]) -> None:
    """Print one line of JSON and flush."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None
