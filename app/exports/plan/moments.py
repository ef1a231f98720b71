"""Read moments from texts: RFC 3339, and what ISO 8601 allows to leave out.

A date alone is its midnight, a month or a year alone its beginning, a time without seconds or
minutes the beginning of those. Without an offset a time is in UTC. A moment has the year 1 to 9999
in UTC. A second 60 is refused: when one was inserted is no matter of arithmetic.
"""

import re
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

MIN_US: Final = -62_135_596_800_000_000
MAX_US: Final = 253_402_300_799_999_999

_TEXT: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?"
    r"(Z|z|[+-]\d\d(?::?\d\d)?)?)?)?)?",
    re.ASCII,
)
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MAX_HOUR, _MAX_MINUTE = 23, 59
_LEAP_SECOND: Final = 60
_US_DIGITS: Final = 6
NUMBER_IS_NO_MOMENT: Final = (
    "is a number, which says no time; a script can write it as one, as 2021-01-14T10:30:00Z"
)


class Moment(NamedTuple):
    """Microseconds since 1970, and further digits of the second, without zeros at the end."""

    us: int
    rest: str


# Several levels of the folders, and the order, are of one moment.
@lru_cache(maxsize=8)
def parse_moment(text: str) -> Moment:
    """Parse a text. Raises ValueError, with a reason."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError("is not a timestamp, as 2021-01-14T10:30:00Z")
    year, month, day, hour, minute, second = (
        int(part) if part else missing
        for part, missing in zip(match.groups()[:6], (0, 1, 1, 0, 0, 0), strict=True)
    )
    if second == _LEAP_SECOND:
        raise ValueError("has a second 60, a leap second, which a script can write as another")
    if hour > _MAX_HOUR or minute > _MAX_MINUTE or second > _MAX_MINUTE:
        raise ValueError("has a time that no day has")
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise ValueError("has a date that no calendar has") from None
    digits = match[7] or ""
    seconds = (days * 24 + hour) * 3600 + minute * 60 + second - _offset_s(match[8])
    us = seconds * 1_000_000 + int(digits[:_US_DIGITS].ljust(_US_DIGITS, "0"))
    if not MIN_US <= us <= MAX_US:
        raise ValueError("is outside the years 1 to 9999 in UTC")
    return Moment(us, digits[_US_DIGITS:].rstrip("0"))


def _offset_s(text: str | None) -> int:
    if text is None or text in "Zz":
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > _MAX_HOUR or minutes > _MAX_MINUTE:
        raise ValueError("has an offset that is no time")
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)
