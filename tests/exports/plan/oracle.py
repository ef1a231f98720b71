"""An export of lines in a few lines of Python: slow, and with other means."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Expected(NamedTuple):
    """Survivors by the number of their line, with partitions, and the numbers of bad lines."""

    survivors: Mapping[int, tuple[str | None, ...]]
    bad: set[int]


def expected(lines: Sequence[bytes]) -> Expected:
    """Deduplicate by `k` and `t`, and partition by year and day of `t`, and `p`."""
    best: dict[Any, tuple[Any, int, tuple[str | None, ...]]] = {}
    bad = set()
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        record = json.loads(line, parse_float=Decimal, parse_int=Decimal)
        try:
            key = _key(record["k"])
            order = _moment(record["t"])
            day = _EPOCH.fromtimestamp(order.numerator // order.denominator, UTC)
            folder = _folder(record.get("p"))
            for value in record.values():
                if isinstance(value, str):
                    value.encode()
        except (KeyError, TypeError, ValueError, OverflowError):
            bad.add(number)
            continue
        row = (order, number, (f"{day.year:04d}", f"{day.day:02d}", folder))
        best[key] = max(best.get(key, row), row)
    return Expected({number: where for _, number, where in best.values()}, bad)


def _key(value: object) -> object:
    if isinstance(value, str):
        value.encode()
        return value
    if isinstance(value, Decimal):
        return Fraction(value)
    raise TypeError


def _moment(value: object) -> Fraction:
    """Parse a moment; of a second's fraction, which Python cuts, all digits."""
    if not isinstance(value, str):
        raise TypeError
    _, dot, tail = value.partition(".")
    digits = tail.rstrip("Z").partition("+")[0].partition("-")[0] if dot else ""
    plain = value.replace(f".{digits}", "", 1) if dot else value
    moment = datetime.fromisoformat(plain)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    moment = moment.astimezone(UTC)
    return Fraction(round((moment - _EPOCH).total_seconds())) + Fraction(f"0.{digits or 0}")


def _folder(value: object) -> str | None:
    if isinstance(value, dict | list):
        raise TypeError
    match value:
        case None | "" | "__HIVE_DEFAULT_PARTITION__":
            return None
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
