"""Compare numbers of JSON by their exact decimal values."""

from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

MAX_PLAIN_DIGITS: Final = 18
"""Of integers whose text is their canonical text; SQL decides by the same number."""
_MAX_MAJOR_DIGITS: Final = 36
_MAX_DECIMALS: Final = 1_000
_MAX_EXPONENT: Final = 10**9


class Order(NamedTuple):
    """What orders values of `latest_by`, compared from left to right.

    Numbers are before moments. `major` is the integer below a number, or microseconds since 1970;
    `minor` has the decimals after it, which compare as text.
    """

    rank: int
    major: int
    minor: str


TINY, NUMBER, HUGE, MOMENT = range(4)


def canonical(text: str) -> str:
    """Return the same text for all texts of one value: `1`, `1.0` and `10e-1` are `1`.

    Raises ValueError.
    """
    sign, digits, exponent = _parts(text)
    if not digits:
        return "0"
    if exponent >= 0 and len(digits) + exponent <= MAX_PLAIN_DIGITS:
        return f"{sign}{digits}{'0' * exponent}"
    return f"{sign}{digits}e{exponent}"


def order_of(text: str) -> Order:
    """Return the order of a number. Raises ValueError."""
    sign, digits, exponent = _parts(text)
    if not digits:
        return Order(NUMBER, 0, "")
    size = len(digits) + exponent
    if size > _MAX_MAJOR_DIGITS:
        key = f"{size:010d}{digits}"
        return Order(TINY, 0, _complement(key) + "~") if sign else Order(HUGE, 0, key)
    if -exponent > _MAX_DECIMALS:
        raise ValueError(f"has more than {_MAX_DECIMALS} decimals")
    whole = int(digits[:size] + "0" * max(exponent, 0) or "0") if size > 0 else 0
    decimals = digits[max(size, 0) :].rjust(max(-exponent, 0), "0") if exponent < 0 else ""
    if not sign:
        return Order(NUMBER, whole, decimals)
    if not decimals:
        return Order(NUMBER, -whole, "")
    rest = 10 ** len(decimals) - int(decimals)
    return Order(NUMBER, -whole - 1, str(rest).rjust(len(decimals), "0"))


def _complement(digits: str) -> str:
    return "".join(str(9 - int(digit)) for digit in digits)


def _parts(text: str) -> tuple[str, str, int]:
    """Return sign, digits without zeros at either end, and the exponent of the last one."""
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation:
        raise ValueError("is a number with an exponent beyond all bounds") from None
    if not isinstance(exponent, int) or abs(exponent) > _MAX_EXPONENT:
        raise ValueError("is a number with an exponent beyond all bounds")
    plain = "".join(map(str, digits)).lstrip("0")
    kept = plain.rstrip("0")
    return "-" if sign and kept else "", kept, exponent + len(plain) - len(kept)
