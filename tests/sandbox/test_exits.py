"""V8 aborts for lack of memory are told from crashes by its message."""

import signal

import pytest

from app.sandbox.classification import Evidence, classify
from app.sandbox.meter import Exit
from app.sandbox.outcomes import Crashed, OutOfMemory
from tests.support.sandbox_runs import MIB, job


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        (b"#\n# Fatal error in , line 0\n# Out of memory: HashMap::Initialize\n#", OutOfMemory),
        (b"# Fatal process out of memory: Zone\n#", OutOfMemory),
        (b"<--- Last few GCs --->\nallocation failed - JavaScript heap out of memory", OutOfMemory),
        (b"# Fatal error in , line 0\n# Check failed: index < length.\n#", Crashed),
    ],
)
def test_an_abort_says_why(stderr: bytes, kind: type) -> None:
    what = job("const process = d => d")
    ended = Evidence(
        verdict=None,
        breach=None,
        killed_for=None,
        exit=Exit(status=-signal.SIGTRAP, cpu_ns=1, peak_bytes=64 * MIB),
        stderr=stderr,
        base_bytes=48 * MIB,
        peak_bytes=64 * MIB,
        last_bytes=64 * MIB,
        output_bytes=0,
    )

    outcome = classify(ended, limits=what.limits, source=what.source)

    assert isinstance(outcome, kind), outcome
