"""Say how keys and orders are read from the columns of an earlier export, or why they cannot be."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct

from app.exports.plan import conversion, numbers
from app.exports.plan.layout import member
from app.exports.plan.model import JSON_TEXT, Column, Plan
from app.schemas.ddl.duckdb import literal, quoted
from app.schemas.ddl.types import INTEGERS, Kind, Scalar

_INTEGERS: Final = frozenset(kind for kind, _ in INTEGERS)
_TEXTS: Final = frozenset({Kind.STRING, Kind.VARCHAR, Kind.CHAR, Kind.UUID})
_MOMENTS: Final = frozenset({Kind.TIMESTAMP, Kind.DATE})
_KEYS: Final = _INTEGERS | _TEXTS
_ORDERS: Final = _KEYS | _MOMENTS | {Kind.DECIMAL, Kind.DOUBLE}
_NUMBER: Final = r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_YEAR: Final = r"[1-9]\d{3}"
"""What is a moment as a string, and a number without quotes."""


class CannotRead(Exception):
    """The files do not say what the values of a key or of an order were."""


class Reading(Struct, frozen=True, kw_only=True):
    """SQL over `held`, the files of an earlier export.

    `keys` compare as those of lines do. `order` is the JSON text of the value of `latest_by`, or
    else `moment` has its microseconds since 1970. `unclear` are conditions of rows whose value has
    more than one reading, by its pointer.
    """

    keys: Sequence[str]
    order: str = "NULL"
    moment: str = "NULL"
    unclear: Mapping[str, str]


def reading_of(plan: Plan, columns: Sequence[Column]) -> Reading:
    """Return how files with these columns are read. Raises CannotRead."""
    keys = {pointer: _column(plan, columns, pointer, _KEYS) for pointer in plan.key}
    unclear = {
        pointer: _matches(_value(column), _NUMBER)
        for pointer, column in keys.items()
        if _may_hold_numbers(column)
    }
    texts = [_key(column) for column in keys.values()]
    if plan.latest_by is None:
        return Reading(keys=texts, unclear=unclear)
    latest = _column(plan, columns, plan.latest_by, _ORDERS)
    value = _value(latest)
    if _kind(latest) in _MOMENTS:
        moment = f"epoch_us(CAST({value} AS TIMESTAMPTZ))"
        return Reading(keys=texts, moment=moment, unclear=unclear)
    if _may_hold_numbers(latest):
        unclear.setdefault(plan.latest_by, _matches(value, _YEAR))
    return Reading(keys=texts, order=_order(latest), unclear=unclear)


def rounded_order(plan: Plan, columns: Sequence[tuple[int, Column]]) -> str:
    """Return the condition of `rows` whose value of `latest_by` has more than its column keeps."""
    if plan.latest_by is None:
        return "false"
    try:
        latest = _column(plan, [column for _, column in columns], plan.latest_by, _ORDERS)
    except CannotRead:
        return "false"
    number = next(n for n, column in columns if column is latest)
    rounded = {
        Kind.TIMESTAMP: "minor <> ''",
        Kind.DOUBLE: f"NOT {conversion.exact_double(f'c{number}')}",
    }
    return rounded.get(_kind(latest), "false")


def _column(plan: Plan, columns: Sequence[Column], pointer: str, kinds: Collection[Kind]) -> Column:
    """Return the column of a pointer that says most."""
    pointers = {column.name: column.pointer for column in plan.columns}
    levels = {level.name.lower() for level in plan.partition_by}
    found = [
        column
        for column in columns
        if pointers.get(column.name, member(column.name).pointer) == pointer
        and column.name.lower() not in levels
        and isinstance(column.type, Scalar)
        and column.type.kind in kinds
        and (kinds is _ORDERS or column.type != JSON_TEXT)
    ]
    if not found:
        types = "text or integers" if kinds is _KEYS else "moments, numbers, text or JSON"
        raise CannotRead(
            f"{pointer} is not a column of {types} in the files of the earlier export, so that an "
            "export with these columns can never be continued; add it to `columns`; a value that "
            "is a text in some records and a number in others is neither, and a pipe's script can "
            "make it one kind"
        )
    return min(found, key=lambda each: (_kind(each) in (Kind.TIMESTAMP, Kind.DOUBLE), each.name))


def _kind(column: Column) -> Kind:
    assert isinstance(column.type, Scalar)  # noqa: S101 - `_column` returns no other
    return column.type.kind


def _value(column: Column) -> str:
    return f"held.{quoted(column.name)}"


def _may_hold_numbers(column: Column) -> bool:
    """Return whether a text can be that of a number: a schema and inference exclude it."""
    return column.source == "request" and _kind(column) is Kind.STRING and column.type != JSON_TEXT


def _key(column: Column) -> str:
    value = _value(column)
    if _kind(column) in _TEXTS:
        return f"'\"' || {value} || '\"'"
    text = f"CAST({value} AS VARCHAR)"
    zeros = f"length({text}) - length(rtrim({text}, '0'))"
    # A power would be a double, which rounds the largest of them up.
    bound = f"{10**numbers.MAX_PLAIN_DIGITS}::HUGEINT"
    return (
        f"CASE WHEN abs(CAST({value} AS HUGEINT)) < {bound}"
        f" THEN {text} ELSE rtrim({text}, '0') || 'e' || ({zeros}) END"
    )


def _order(column: Column) -> str:
    value = _value(column)
    if _kind(column) not in _TEXTS:
        return f"CAST({value} AS VARCHAR)"
    if column.type == JSON_TEXT:
        return value
    text = f"CAST(to_json({value}) AS VARCHAR)"
    if not _may_hold_numbers(column):
        return text
    return f"CASE WHEN {_matches(value, _NUMBER)} THEN {value} ELSE {text} END"


def _matches(v: str, pattern: str) -> str:
    return f"regexp_full_match({v}, {literal(pattern)})"
