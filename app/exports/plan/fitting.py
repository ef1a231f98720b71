"""Check whether values fit the types of their columns, and write them as DuckDB takes them.

The reference for what `conversion` does in SQL. A value that SQL may convert otherwise is written
in a form that SQL converts exactly: numbers and moments as texts, members in the type's order.
"""

import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from math import isfinite
from typing import Final, TypeVar

import msgspec

from app.errors import clipped
from app.exports.plan.members import elements_of, members_of, string_of
from app.exports.plan.model import JSON_TEXT
from app.exports.plan.moments import NUMBER_IS_NO_MOMENT, parse_moment
from app.exports.plan.numbers import canonical
from app.exports.plan.pointers import pointer_to
from app.schemas.ddl.types import INTEGERS, Kind, ListOf, MapOf, Scalar, StructOf, Type

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UUID: Final = re.compile("-".join(f"[0-9a-fA-F]{{{n}}}" for n in (8, 4, 4, 4, 12)))
_NUMBER_STARTS: Final = b"-0123456789"
_MAX_FLOAT: Final[float] = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


class Misfit(Exception):
    """A value does not fit; `pointer` is its place below the column's value."""

    def __init__(self, pointer: str, message: str) -> None:
        """Name place and reason."""
        super().__init__(message)
        self.pointer = pointer
        self.message = message


def fitted(value: bytes, of: Type | None) -> bytes:
    """Return a JSON text, not null, that SQL converts to the type exactly. Raises Misfit."""
    if of is None:
        # Whatever type is inferred, a string becomes a text.
        if value.startswith(b'"'):
            _string(value)
        return value
    if not isinstance(of, Scalar):
        return msgspec.json.encode(_nested(value, of))
    if of == JSON_TEXT or (of.kind is Kind.STRING and not value.startswith(b'"')):
        return value
    found = _scalar(value, of)
    if isinstance(found, str) and of.kind in _NUMBERS:
        return found.encode()
    return msgspec.json.encode(found)


def _nested(value: bytes, of: Type) -> object:
    if value == b"null":
        return None
    match of:
        case Scalar():
            if of.kind is Kind.STRING and not value.startswith(b'"'):
                return value.decode()
            return _scalar(value, of)
        case ListOf():
            items = _parts(value, b"[", "an array", elements_of)
            return [_below(str(index), item, of.item) for index, item in enumerate(items)]
        case MapOf():
            members = _parts(value, b"{", "an object", members_of)
            return {_name(name): _below(name, item, of.value) for name, item in members.items()}
        case StructOf():
            members = _parts(value, b"{", "an object", members_of)
            return {f.name: _member(members, f.name, f.type) for f in of.fields}


def _member(members: Mapping[str, bytes], name: str, of: Type) -> object:
    value = members.get(name)
    return None if value is None else _below(name, value, of)


def _below(token: str, value: bytes, of: Type) -> object:
    try:
        return _nested(value, of)
    except Misfit as misfit:
        raise Misfit(f"{pointer_to(token)}{misfit.pointer}", misfit.message) from None


def _name(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Misfit("", "has a name with half a surrogate pair, which has no UTF-8") from None
    return name


def _parts(value: bytes, opening: bytes, what: str, parse: Callable[[bytes], T]) -> T:
    if not value.startswith(opening):
        raise Misfit("", f"is not {what}")
    return parse(value)


def _scalar(value: bytes, of: Scalar) -> bool | str:
    return _SCALARS[of.kind](value, of)


def _boolean(value: bytes, _: Scalar) -> bool:
    if value not in (b"true", b"false"):
        raise Misfit("", "is not a boolean")
    return value == b"true"


def _number(value: bytes) -> str:
    if value[0] not in _NUMBER_STARTS:
        raise Misfit("", "is not a number")
    return value.decode()


def _integer(value: bytes, of: Scalar) -> str:
    text = _number(value)
    try:
        plain = canonical(text)
    except ValueError as error:
        raise Misfit("", str(error)) from None
    bound = dict(INTEGERS)[of.kind]
    mantissa, _, exponent = plain.partition("e")
    # 19 digits are the most of 64 bits; a longer power of ten is not computed.
    if len(mantissa) + int(exponent or 0) > 20 or int(exponent or 0) < 0:  # noqa: PLR2004
        raise Misfit("", f"is {clipped(text)}, which is no integer of type {of.kind}")
    number = int(mantissa) * 10 ** int(exponent or 0)
    if not -bound <= number < bound:
        raise Misfit("", f"is {clipped(text)}, beyond the integers of type {of.kind}")
    return str(number)


def _double(value: bytes, of: Scalar) -> str:
    text = _number(value)
    number = float(text)
    if not isfinite(number) or (of.kind is Kind.FLOAT and abs(number) > _MAX_FLOAT):
        raise Misfit("", f"is {clipped(text)}, beyond the numbers of type {of.kind}")
    return text


def _decimal(value: bytes, of: Scalar) -> str:
    precision, scale = of.size
    text = _number(value)
    try:
        plain = canonical(text)
    except ValueError as error:
        raise Misfit("", str(error)) from None
    mantissa, _, exponent = plain.partition("e")
    power = int(exponent or 0)
    whole = len(mantissa.lstrip("-")) + power
    if -power > scale or (whole > precision - scale and mantissa != "0"):
        message = f"is {clipped(text)}, which is no decimal({precision},{scale}) without rounding"
        raise Misfit("", message)
    with localcontext() as context:
        context.prec = precision + 1
        return f"{Decimal(mantissa).scaleb(power):f}"


def _string(value: bytes) -> str:
    if not value.startswith(b'"'):
        raise Misfit("", "is not a string")
    try:
        return string_of(value)
    except ValueError as error:
        raise Misfit("", str(error)) from None


def _short_string(value: bytes, of: Scalar) -> str:
    text = _string(value)
    if of.size and len(text) > of.size[0]:
        raise Misfit("", f"has more than {of.size[0]} characters")
    return text


def _date(value: bytes, _: Scalar) -> str:
    text = _string(value)
    try:
        return date.fromisoformat(text if _DATE.fullmatch(text) else "").isoformat()
    except ValueError:
        raise Misfit("", "is not a date, as 2021-01-14") from None


def _timestamp(value: bytes, _: Scalar) -> str:
    if value[0] in _NUMBER_STARTS:
        raise Misfit("", NUMBER_IS_NO_MOMENT)
    try:
        moment = parse_moment(_string(value))
    except ValueError as error:
        raise Misfit("", str(error)) from None
    # Digits beyond microseconds have no place in the type.
    return (_EPOCH + timedelta(microseconds=moment.us)).isoformat()


def _uuid(value: bytes, _: Scalar) -> str:
    text = _string(value)
    if not _UUID.fullmatch(text):
        raise Misfit("", "is not a UUID")
    return text


def _any_string(value: bytes, _: Scalar) -> str:
    return _string(value)


_NUMBERS: Final = frozenset(
    (*(kind for kind, _ in INTEGERS), Kind.FLOAT, Kind.DOUBLE, Kind.DECIMAL)
)
_SCALARS: Final[Mapping[Kind, Callable[[bytes, Scalar], bool | str]]] = {
    Kind.BOOLEAN: _boolean,
    **{kind: _integer for kind, _ in INTEGERS},
    Kind.FLOAT: _double,
    Kind.DOUBLE: _double,
    Kind.DECIMAL: _decimal,
    Kind.STRING: _any_string,
    Kind.VARCHAR: _short_string,
    Kind.CHAR: _short_string,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
    Kind.UUID: _uuid,
}
