"""Attempts to reach inward addresses are logged with their number, and cannot flood the log."""

import pytest
import uuid_utils.compat as uuid
from structlog.testing import capture_logs

from app.callbacks.delivery import inward_log
from app.callbacks.delivery.inward_log import InwardLog


def test_a_tenant_gets_a_line_a_minute_that_counts_the_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(inward_log, "monotonic", lambda: now)
    one, other = uuid.uuid7(), uuid.uuid7()
    log = InwardLog()

    with capture_logs() as lines:
        for _ in range(5):
            log.log(one, "a.example", "a.example has the address 10.0.0.1")
        log.log(other, "b.example", "b.example has the address ::1")
        now += 61
        log.log(one, "a.example", "a.example has the address 10.0.0.1")

    assert [(each["tenant"], each["attempts"]) for each in lines] == [
        (str(one), 1),
        (str(other), 1),
        (str(one), 5),
    ]
    assert {each["event"] for each in lines} == {"callback.inward"}
