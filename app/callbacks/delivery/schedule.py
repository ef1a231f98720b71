"""Decide when a callback that failed is tried again."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE

# After each attempt that failed; three days in all. The first pauses are for a receiver that is
# being restarted, the last ones for people to notice.
DELAYS_SECONDS: Final = (
    5,
    30,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    18 * _HOUR,
    22 * _HOUR,
)
# A callback that was claimed so often in a row without a record ends unsent: its processes may have
# died of it. With leases that grow, that takes three days, as the schedule does.
MAX_UNRECORDED: Final = 20
# Callbacks that failed together are spread, so a receiver that returns is not flooded.
_JITTER: Final = 0.1
MAX_RETRY_AFTER_SECONDS: Final = 24 * _HOUR
_MAX_DIGITS: Final = 9


def next_delay_seconds(
    tries: int, *, retry_after: str | None, now: datetime, spread: float | None = None
) -> float | None:
    """Return how long to wait after so many failed tries; None if there is no further one.

    A receiver's Retry-After lengthens a pause, up to a day, and never shortens one. `spread` is
    from -1 to 1, at random by default.
    """
    if tries > len(DELAYS_SECONDS):
        return None
    spread = random.uniform(-1, 1) if spread is None else spread  # noqa: S311 - no secret
    delay = DELAYS_SECONDS[tries - 1] * (1 + _JITTER * spread)
    wanted = min(retry_after_seconds(retry_after, now), MAX_RETRY_AFTER_SECONDS)
    return max(delay, wanted)


def retry_after_seconds(retry_after: str | None, now: datetime) -> float:
    """Read a Retry-After: a number of seconds, or a date (RFC 9110, 10.2.3); 0 for other texts."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_MAX_DIGITS]) if len(text) <= _MAX_DIGITS else MAX_RETRY_AFTER_SECONDS
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
