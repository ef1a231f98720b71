"""Say which columns have the same text, and which the same value: rows have each of them once."""

from collections.abc import Hashable, Iterable, Sequence

from app.exports.plan import conversion
from app.exports.plan.layout import member
from app.exports.plan.model import JSON_TEXT, Column, ExportColumn, Plan
from app.schemas.ddl.types import Kind, Scalar, Type

# `fitting` writes the same text for all of them.
_STRINGS = frozenset({Kind.STRING, Kind.VARCHAR, Kind.CHAR, Kind.UUID})


def texts_of(columns: Iterable[ExportColumn]) -> list[int]:
    """Return for each column the number of the first one that has the same text in each row.

    Columns of equal texts have them also once types are inferred: then more have equal ones.
    """
    return _firsts((column.pointer, _form(column.type)) for column in columns)


def values_of(columns: Sequence[Column], plan: Plan) -> list[int]:
    """Return for each column the number of the first one that has the same value in each row."""
    pointers = {column.name: column.pointer for column in plan.columns}
    return _firsts(
        (
            pointers.get(column.name) or member(column.name).pointer,
            conversion.converted("c", column.type),
        )
        for column in columns
    )


def once(columns: Iterable[tuple[int, Column]]) -> list[tuple[int, Column]]:
    """Return the first column of each number."""
    found: dict[int, Column] = {}
    for n, column in columns:
        found.setdefault(n, column)
    return list(found.items())


def _firsts(keys: Iterable[Hashable]) -> list[int]:
    found: dict[Hashable, int] = {}
    return [found.setdefault(key, n) for n, key in enumerate(keys)]


def _form(of: Type | None) -> Type | None:
    is_string = isinstance(of, Scalar) and of.kind in _STRINGS and of != JSON_TEXT
    return Scalar(Kind.STRING) if is_string else of
