"""Convert JSON texts to columns in SQL, and say of which texts that is certainly exact.

A text that is not certain is left to `fitting`, which refuses it or writes it in a form that these
expressions convert exactly.
"""

from typing import Final

from msgspec.structs import replace

from app.exports.plan.model import JSON_TEXT
from app.schemas.ddl.duckdb import duckdb_type, literal
from app.schemas.ddl.types import INTEGERS, Kind, ListOf, MapOf, Scalar, StructOf, Type

_INTEGERS: Final = frozenset(kind for kind, _ in INTEGERS)
_NUMBER_KINDS: Final = frozenset((*_INTEGERS, Kind.FLOAT, Kind.DOUBLE, Kind.DECIMAL))
_INTEGER: Final = "-?(?:0|[1-9][0-9]{0,17})"
_DAY: Final = r"\d{4}-\d\d-\d\d"
_QUOTED_DAY: Final = f'"{_DAY}"'
_MOMENT: Final = (
    rf'"{_DAY}(?:[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{{1,6}})?'
    r'(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?)?"'
)
_UUID: Final = '"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"'
_DOUBLE_DIGITS: Final = 15
"""Decimal digits that every double keeps (DBL_DIG)."""
_PLAIN_NUMBER: Final = r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?"
_SMALL_EXPONENT: Final = r"[^eE]+(?:[eE][+-]?\d{1,2})?"

# The kinds of values that a column has, as a set of bits. Long integers have more than 15 digits.
_STRINGS, _NESTED, _BOOLEANS, _SHORT, _LONG, _DOUBLES, _NUMBERS = (1 << n for n in range(7))

_INFERRED: Final = {
    0: Scalar(Kind.STRING, note="always null"),
    _STRINGS: Scalar(Kind.STRING),
    _BOOLEANS: Scalar(Kind.BOOLEAN),
    # Which of the two a task has seen decides what the column is together with doubles.
    _SHORT: Scalar(Kind.BIGINT),
    _LONG: Scalar(Kind.BIGINT, note="integers of up to 18 digits"),
    _SHORT | _LONG: Scalar(Kind.BIGINT, note="integers of up to 18 digits"),
    _DOUBLES: Scalar(Kind.DOUBLE),
    _DOUBLES | _SHORT: Scalar(Kind.DOUBLE),
}

_NAMES: Final = {
    _STRINGS: "a string",
    _NESTED: "an object or an array",
    _BOOLEANS: "a boolean",
    _SHORT: "an integer",
    _LONG: "an integer",
}


def string(v: str) -> str:
    """Return the decoded string of a JSON text that is one."""
    return f"json_extract_string({v}, '$')"


def is_string(v: str) -> str:
    """Return whether a JSON text is a string."""
    return f"starts_with({v}, '\"')"


def text(v: str) -> str:
    """Return a string decoded, another value as it is in JSON."""
    return f"CASE WHEN {is_string(v)} THEN {string(v)} ELSE {v} END"


def is_plain_integer(v: str) -> str:
    """Return whether a text is its canonical form, and has at most 18 digits."""
    return f"({_matches(v, _INTEGER)} AND {v} <> '-0')"


def moment_us(v: str) -> str:
    """Return the microseconds since 1970 of a moment, null if that is not certain."""
    cast = f"TRY_CAST({string(v)} AS TIMESTAMPTZ)"
    # The year 0 is no year of `parse_moment`, nor is what an offset moves beyond the bounds.
    inner = f"{v}[2:5] BETWEEN '0002' AND '9998'"
    return f"CASE WHEN {_matches(v, _MOMENT)} AND {inner} THEN epoch_us({cast}) END"


def converted(v: str, of: Type) -> str:
    """Return a text that is certain, or that `fitting` has written, as a value of a type."""
    match of:
        case Scalar(kind=Kind.STRING):
            return v if of == JSON_TEXT else text(v)
        case Scalar(kind=Kind.VARCHAR | Kind.CHAR | Kind.UUID):
            return string(v)
        case Scalar(kind=Kind.TIMESTAMP | Kind.DATE):
            value = string(v)
        case Scalar():
            value = v
        case _:
            value = f"CAST({v} AS JSON)"
    return f"CAST({value} AS {duckdb_type(_stored(of))})"


def _stored(of: Type) -> Type:
    """Return the type of the files: Hive and Spark read no UUID but as text."""
    match of:
        case Scalar(kind=Kind.UUID):
            return Scalar(Kind.STRING)
        case Scalar():
            return of
        case ListOf():
            return ListOf(_stored(of.item))
        case MapOf():
            return MapOf(_stored(of.value))
        case StructOf():
            return StructOf(tuple(replace(f, type=_stored(f.type)) for f in of.fields))


def certain(v: str, of: Type) -> str:
    """Return whether a text, which is not null, is certainly converted exactly."""
    if isinstance(of, Scalar):
        return _certain_number(v, of) if of.kind in _NUMBER_KINDS else _certain_text(v, of)
    if not _keeps_text(of):
        return "false"
    again = f"to_json(TRY_CAST(CAST({v} AS JSON) AS {duckdb_type(of)}))"
    return f"(coalesce(CAST({again} AS VARCHAR), '') = {v})"


def _certain_number(v: str, of: Scalar) -> str:
    match of:
        case Scalar(kind=Kind.DOUBLE):
            return _matches(v, _PLAIN_NUMBER)
        case Scalar(kind=Kind.DECIMAL, size=(precision, scale)) if precision > scale:
            decimals = rf"(?:\.\d{{1,{scale}}})?" if scale else ""
            return _matches(v, rf"-?\d{{1,{precision - scale}}}{decimals}")
        case Scalar(kind=kind) if kind in _INTEGERS:
            fits = f"TRY_CAST({v} AS {duckdb_type(of)}) IS NOT NULL"
            return f"({is_plain_integer(v)} AND {fits})"
        case _:
            return "false"


def _certain_text(v: str, of: Scalar) -> str:
    day = f"TRY_CAST({string(v)} AS DATE)"
    length = of.size[0] if of.size else 0
    found = {
        Kind.STRING: "true",
        Kind.BOOLEAN: f"{v} IN ('true', 'false')",
        Kind.VARCHAR: f"({is_string(v)} AND length({v}) <= {length} + 2)",
        Kind.CHAR: f"({is_string(v)} AND length({v}) <= {length} + 2)",
        Kind.TIMESTAMP: f"{moment_us(v)} IS NOT NULL",
        Kind.DATE: f"({_matches(v, _QUOTED_DAY)} AND {v}[2:5] <> '0000' AND {day} IS NOT NULL)",
        Kind.UUID: _matches(v, _UUID),
    }
    return found.get(of.kind, "false")


def kind_of(v: str) -> str:
    """Return the kind of a value as one bit, 0 of none."""
    return (
        f"CASE WHEN {v} IS NULL THEN 0 ELSE CASE {v}[1] WHEN '\"' THEN {_STRINGS}"
        f" WHEN '{{' THEN {_NESTED} WHEN '[' THEN {_NESTED}"
        f" WHEN 't' THEN {_BOOLEANS} WHEN 'f' THEN {_BOOLEANS} ELSE"
        f" CASE WHEN {is_plain_integer(v)}"
        f" THEN CASE WHEN length({v}) <= {_DOUBLE_DIGITS} THEN {_SHORT} ELSE {_LONG} END"
        f" WHEN {exact_double(v)} THEN {_DOUBLES} ELSE {_NUMBERS} END END END"
    )


def inferred(kinds: int) -> Scalar:
    """Return the type of a column that has values of these kinds."""
    return _INFERRED.get(kinds, JSON_TEXT)


def kinds_in(of: Type) -> int:
    """Return kinds of values that a type is inferred from."""
    return next((kinds for kinds, each in _INFERRED.items() if each == of), _STRINGS | _NESTED)


def name_of(kind: int) -> str:
    """Return what a value of a kind is."""
    return _NAMES.get(kind, "a number")


def alike(a: Type, b: Type) -> bool:
    """Return whether values of two types are written in the same way."""
    return duckdb_type(a) == duckdb_type(b) and (a == JSON_TEXT) == (b == JSON_TEXT)


def exact_double(v: str) -> str:
    """Return whether the shortest text of the nearest double has the value of a number's text."""
    digits = f"length(regexp_replace({v}, '[eE].*|[^0-9]', '', 'g'))"
    short = f"({_matches(v, _SMALL_EXPONENT)} AND {digits} <= {_DOUBLE_DIGITS})"
    again = f"CAST(TRY_CAST({v} AS DOUBLE) AS VARCHAR)"
    return f"({v} <> '-0' AND ({short} OR coalesce({again} = {v}, false)))"


def _keeps_text(of: Type) -> bool:
    """Return whether the JSON of a converted value is its text, if nothing was lost."""
    match of:
        case Scalar(kind=kind):
            return kind in (Kind.BOOLEAN, Kind.STRING, Kind.DOUBLE, *_INTEGERS)
        case ListOf():
            return _keeps_text(of.item)
        case StructOf():
            return all(_keeps_text(field.type) for field in of.fields)
        case MapOf():
            return False


def _matches(v: str, pattern: str) -> str:
    return f"regexp_full_match({v}, {literal(pattern)})"
