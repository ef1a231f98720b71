"""An upload that cannot be checked now is refused without internal details."""

from app.check_turns import cannot_check
from app.fair_queue import FairQueueFull, TenantQueueFull
from app.sandbox.pool import PoolBusy
from app.sandbox.zygote_client import SandboxUnavailable


def test_the_message_of_a_dead_sandbox_goes_to_the_operator_only() -> None:
    problem = cannot_check(SandboxUnavailable("a cell did not get ready: words of V8"))

    assert problem.status == 503
    assert problem.headers == {"Retry-After": "1"}
    assert "words of V8" not in problem.detail


def test_a_full_queue_is_reported() -> None:
    for busy in (PoolBusy("16 runs are waiting"), FairQueueFull("128 requests are waiting")):
        assert cannot_check(busy).status == 503
        assert "waiting" in cannot_check(busy).detail


def test_a_tenant_over_its_share_of_checks_gets_a_429() -> None:
    problem = cannot_check(TenantQueueFull("16 requests of this tenant wait already"))

    assert (problem.status, problem.code) == (429, "too-many-checks")
    assert problem.headers == {"Retry-After": "1"}
