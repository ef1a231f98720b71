"""Choose the type of a column of numbers or texts by what the schema demands of the values."""

from decimal import Decimal
from typing import Final

from app.schemas.compatibility.clauses import Clause
from app.schemas.ddl.types import (
    INTEGERS,
    MAX_CHAR,
    MAX_PRECISION,
    MAX_VARCHAR,
    Kind,
    Scalar,
)

_UNBOUNDED: Final = "integers beyond 64 bits do not fit"
_BEYOND: Final = "integers beyond 38 digits are rounded"
_ROUNDED: Final = "numbers beyond 15 digits are rounded"
_MIXED: Final = "dates and other texts, as they are in JSON"
_BASE64: Final = "base64, as it is in JSON"
_TEXTS: Final = frozenset({Kind.STRING, Kind.VARCHAR, Kind.CHAR, Kind.UUID})
_ZONED: Final = "a moment in UTC; the offset is not kept"
_FORMATS: Final = {
    "date-time": Scalar(Kind.TIMESTAMP, note=_ZONED),
    "date": Scalar(Kind.DATE),
    "uuid": Scalar(Kind.UUID),
}
_INTEGER_FORMATS: Final = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}


def number(clause: Clause) -> Scalar:
    """Return the narrowest type for the numbers of a clause."""
    low, high = _range(clause)
    whole = clause.integer or _are_whole(clause)
    bits = next((b for name, b in _INTEGER_FORMATS.items() if name in clause.hints), None)
    if whole:
        if bits is not None:
            low = max(low, -(2**bits)) if low is not None else -(2**bits)
            high = min(high, 2**bits - 1) if high is not None else 2**bits - 1
        found = _integer(low, high)
        # Listed values say little about the ones that a later version lists.
        narrow = clause.values is not None and found.kind in {Kind.TINYINT, Kind.SMALLINT}
        return Scalar(Kind.INT) if narrow else found
    scale = _scale(clause)
    if scale is not None and low is not None and high is not None:
        digits = len(str(int(max(abs(low), abs(high)))))
        if digits + scale <= MAX_PRECISION:
            return Scalar(Kind.DECIMAL, (digits + scale, scale))
    return Scalar(Kind.FLOAT if "float" in clause.hints else Kind.DOUBLE)


def _range(clause: Clause) -> tuple[float | None, float | None]:
    if clause.values is not None:
        numbers = list(clause.values.values())
        return min(numbers), max(numbers)
    low = clause.lower[0] if clause.lower else None
    high = clause.upper[0] if clause.upper else None
    return low, high


def _are_whole(clause: Clause) -> bool:
    if clause.values is not None:
        return all(value % 1 == 0 for value in clause.values.values())
    return any(of % 1 == 0 for of in clause.multiples)


def _integer(low: float | None, high: float | None) -> Scalar:
    if low is None or high is None:
        return Scalar(Kind.BIGINT, note=_UNBOUNDED)
    for kind, limit in INTEGERS:
        if low >= -limit and high < limit:
            return Scalar(kind)
    # As a double, the greatest integer of 64 bits is the one after it.
    if low >= -(2**63) and high == 2**63:
        return Scalar(Kind.BIGINT, note=_UNBOUNDED)
    if max(abs(low), abs(high)) < 10**MAX_PRECISION:
        return Scalar(Kind.DECIMAL, (MAX_PRECISION, 0))
    return Scalar(Kind.DOUBLE, note=_BEYOND)


def _scale(clause: Clause) -> int | None:
    """Return the digits after the point that all values get along with."""
    if clause.values is not None:
        return max(_digits(value) for value in clause.values.values())
    scales = [_digits(of) for of in clause.multiples]
    return min(scales, default=None)


def _digits(value: float) -> int:
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def text(clause: Clause) -> Scalar:
    """Return the type for the texts of a clause."""
    # The keyword asserts nothing, so not every text can be decoded.
    if "base64" in clause.hints:
        return Scalar(Kind.STRING, note=_BASE64)
    for name, found in _FORMATS.items():
        if name in clause.hints:
            return found
    if clause.values is None and clause.max_size is not None:
        length = int(clause.max_size)
        if length == clause.min_size and 0 < length <= MAX_CHAR:
            return Scalar(Kind.CHAR, (length,))
        if 0 < length <= MAX_VARCHAR:
            return Scalar(Kind.VARCHAR, (length,))
    return Scalar(Kind.STRING)


def widen(a: Scalar, b: Scalar) -> Scalar | None:
    """Return a type that holds the values of both; None: there is none."""
    kinds = {a.kind, b.kind}
    note = a.note or b.note
    ranks = [kind for kind, _ in INTEGERS]
    found: Scalar | None = None
    if a == b:
        found = a
    elif kinds <= set(ranks):
        found = Scalar(max(kinds, key=ranks.index), note=note)
    elif kinds <= {*ranks, Kind.FLOAT, Kind.DOUBLE, Kind.DECIMAL}:
        exact = kinds & {Kind.BIGINT, Kind.DECIMAL}
        found = Scalar(Kind.DOUBLE, note=note or (_ROUNDED if exact else ""))
    elif kinds <= {Kind.VARCHAR, Kind.CHAR}:
        found = Scalar(Kind.VARCHAR, (max(a.size[0], b.size[0]),))
    elif kinds <= {*_TEXTS, Kind.DATE, Kind.TIMESTAMP}:
        mixed = bool(kinds & {Kind.DATE, Kind.TIMESTAMP})
        found = Scalar(Kind.STRING, note=_MIXED if mixed else "")
    return found
