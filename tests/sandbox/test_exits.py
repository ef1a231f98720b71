"""V8 aborts for lack of memory are told from crashes by its message."""

import signal

import pytest

from app.sandbox.classification import Evidence, classify
from app.sandbox.meter import Exit
from app.sandbox.outcomes import Crashed, Outcome, OutOfMemory
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
    assert isinstance(_ended(stderr), kind)


@pytest.mark.parametrize(("growth", "kind"), [(40 * MIB, OutOfMemory), (20 * MIB, Crashed)])
def test_a_silent_abort_is_judged_by_memory_that_need_not_be_resident(
    growth: int, kind: type
) -> None:
    assert isinstance(_ended(b"", private_growth_bytes=growth), kind)


def _ended(stderr: bytes, private_growth_bytes: int = 0) -> Outcome:
    what = job("const process = d => d", memory_bytes=64 * MIB)
    ended = Evidence(
        verdict=None,
        breach=None,
        killed_for=None,
        exit=Exit(status=-signal.SIGTRAP, cpu_ns=1, peak_bytes=64 * MIB),
        stderr=stderr,
        base_bytes=48 * MIB,
        peak_bytes=64 * MIB,
        last_bytes=64 * MIB,
        private_growth_bytes=private_growth_bytes,
        output_bytes=0,
    )

    return classify(ended, limits=what.limits, source=what.source)
