"""Claims of a cell about its run are limited by the pool."""

import msgspec

from app.sandbox.classification import CellVerdict, Evidence, classify
from app.sandbox.outcomes import Threw
from tests.support.sandbox_runs import job


def test_the_pool_limits_the_causes_of_a_cell() -> None:
    plain: dict[str, object] = {"name": "E", "message": "", "stack": "", "line": 1, "column": 1}
    error = plain
    for _ in range(200):
        error = {**plain, "cause": error, "errors": [plain]}
    verdict = {"kind": "threw", "run_ns": 1, "lines_dropped": 0, "error": error}
    evidence = Evidence(
        verdict=msgspec.convert(verdict, CellVerdict),
        breach=None,
        killed_for=None,
        exit=None,
        stderr=b"",
        base_bytes=0,
        peak_bytes=0,
        last_bytes=0,
        private_growth_bytes=0,
        output_bytes=0,
    )
    outcome = classify(evidence, limits=job("").limits, source=b"x")
    assert isinstance(outcome, Threw)
    count, inner = 0, outcome.error.cause
    while inner is not None:
        count, inner = count + 1, inner.cause
    assert count == 12
