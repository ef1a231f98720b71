"""Retries take three days, spread at random, and later where the receiver asks for it."""

from datetime import UTC, datetime

import pytest

from app.callbacks.delivery.schedule import (
    DELAYS_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    next_delay_seconds,
)

NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


def _delay(tries: int, retry_after: str | None = None, spread: float = 0.0) -> float | None:
    return next_delay_seconds(tries, retry_after=retry_after, now=NOW, spread=spread)


def test_the_pauses_grow_and_add_up_to_three_days() -> None:
    hours = (2, 5, 10, 14, 18, 22)
    assert (5, 30, 300, 1_800, *(each * 3_600 for each in hours)) == DELAYS_SECONDS
    delays = [_delay(tries) for tries in range(1, len(DELAYS_SECONDS) + 1)]
    assert delays == list(DELAYS_SECONDS)
    assert 71 < sum(DELAYS_SECONDS) / 3_600 < 73
    assert _delay(len(DELAYS_SECONDS) + 1) is None
    assert _delay(len(DELAYS_SECONDS) + 1, "5") is None


def test_pauses_are_spread_by_a_tenth() -> None:
    assert (_delay(1, spread=-1), _delay(1, spread=1)) == (4.5, 5.5)
    assert len({next_delay_seconds(5, retry_after=None, now=NOW) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("2", 5.0),
        ("0", 5.0),
        ("Fri, 27 Nov 2026 12:10:00 GMT", 600.0),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 5.0),
        ("999999999", MAX_RETRY_AFTER_SECONDS),
        ("9" * 200, MAX_RETRY_AFTER_SECONDS),
        ("Fri, 27 Nov 2099 12:10:00 GMT", MAX_RETRY_AFTER_SECONDS),
        ("-5", 5.0),
        ("1e3", 5.0),
        ("soon", 5.0),
        ("", 5.0),
        ("²", 5.0),
        ("0001 Nov 99999999999999 00:00:00 EST", 5.0),
        (f"-{'9' * 20} Nov 23:59:60 Jan 20 GMT", 5.0),
        (f"20 Jan -{'9' * 20} 23:59:60 +9999", 5.0),
        (None, 5.0),
    ],
)
def test_retry_after_lengthens_a_pause_up_to_a_day(retry_after: str | None, delay: float) -> None:
    assert _delay(1, retry_after) == delay
