"""Retries take three days, spread at random, and later where the receiver asks for it."""

from datetime import UTC, datetime
from itertools import accumulate

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
    delays = [_delay(tries) for tries in range(1, len(DELAYS_SECONDS) + 1)]

    assert delays == sorted(delays, key=lambda each: each or 0)
    assert 71 < sum(each or 0 for each in delays) / 3600 < 73
    assert _delay(len(DELAYS_SECONDS) + 1) is None
    assert _delay(len(DELAYS_SECONDS) + 1, "5") is None


def test_pauses_are_spread_by_a_tenth() -> None:
    assert (_delay(1, spread=-1), _delay(1, spread=1)) == (4.5, 5.5)
    assert len({next_delay_seconds(5, retry_after=None, now=NOW) for _ in range(20)}) > 10
    # Even at their shortest, the pauses follow one another.
    assert list(accumulate(DELAYS_SECONDS)) == sorted(set(accumulate(DELAYS_SECONDS)))


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
