"""An upload that cannot be looked at now is told so, and no more than that."""

from app.rules.reader import ReaderBusy
from app.sandbox.pool import PoolBusy, SandboxUnavailable
from app.scripts.validation import cannot_check


def test_what_a_dying_sandbox_said_stays_with_the_operator() -> None:
    problem = cannot_check(SandboxUnavailable("a cell did not get ready: words of V8"))

    assert problem.status == 503
    assert problem.headers == {"Retry-After": "1"}
    assert "words of V8" not in problem.detail


def test_a_full_queue_says_so() -> None:
    for busy in (PoolBusy("16 runs are waiting"), ReaderBusy("16 sources are waiting")):
        assert "waiting" in cannot_check(busy).detail
