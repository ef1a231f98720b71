"""An upload that cannot be looked at now is told so, and no more than that."""

from app.fair_queue import QueueFull, ShareFull
from app.sandbox.pool import PoolBusy, SandboxUnavailable
from app.scripts.validation import cannot_check


def test_what_a_dying_sandbox_said_stays_with_the_operator() -> None:
    problem = cannot_check(SandboxUnavailable("a cell did not get ready: words of V8"))

    assert problem.status == 503
    assert problem.headers == {"Retry-After": "1"}
    assert "words of V8" not in problem.detail


def test_a_full_queue_says_so() -> None:
    for busy in (PoolBusy("16 runs are waiting"), QueueFull("128 requests are waiting")):
        assert cannot_check(busy).status == 503
        assert "waiting" in cannot_check(busy).detail


def test_a_tenant_with_too_many_uploads_at_once_is_told_that_they_are_its_own() -> None:
    problem = cannot_check(ShareFull("16 requests of this tenant wait already"))

    assert (problem.status, problem.code) == (429, "too-many-checks")
    assert problem.headers == {"Retry-After": "1"}
