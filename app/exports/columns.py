"""Decide which columns an export has, and their types: those asked for, or those of a schema."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from app.errors import clipped, invalid
from app.exports.plan.model import (
    JSON_TEXT,
    ExportColumn,
    Grain,
    PartitionColumn,
)
from app.exports.plan.pointers import pointer_to
from app.exports.pointers import checked_tokens
from app.exports.requests import ColumnChoice, CreateExport
from app.schemas.ddl.types import (
    MAX_PRECISION,
    Field,
    Kind,
    ListOf,
    MapOf,
    Scalar,
    StructOf,
    Type,
)

_TYPES: Final[dict[str, Type]] = {
    "boolean": Scalar(Kind.BOOLEAN),
    "bigint": Scalar(Kind.BIGINT),
    "double": Scalar(Kind.DOUBLE),
    "date": Scalar(Kind.DATE),
    "timestamp": Scalar(Kind.TIMESTAMP),
    "string": Scalar(Kind.STRING),
    "json": JSON_TEXT,
}
_STRUCT: Final = "struct"
_DECIMAL: Final = re.compile(r"decimal\(([0-9]{1,2}),([0-9]{1,2})\)")


def columns_of(
    wanted: CreateExport, fields: Sequence[Field], partitions: Sequence[PartitionColumn]
) -> list[ExportColumn]:
    """Return the columns of the files; an empty list: all members, with inferred types.

    `fields` are the root's members in the dataset's schema. Those that are levels of the folders
    are not in the files, as Hive has it. Raises InvalidRequest.
    """
    if wanted.columns is None:
        levels = {
            (each.name.lower(), each.pointer) for each in partitions if each.grain is Grain.VALUE
        }
        columns = [
            ExportColumn(name=field.name, pointer=pointer, type=field.type, source="schema")
            for field in fields
            if (field.name.lower(), pointer := pointer_to(field.name)) not in levels
        ]
    else:
        columns = [_chosen(name, choice, fields) for name, choice in wanted.columns.items()]
        if not columns:
            raise invalid("/columns", "is empty; omit it to export all members")
    _require_distinct(columns, partitions)
    for column in columns:
        _require_names(column)
    return columns


def _chosen(name: str, choice: str | ColumnChoice, fields: Sequence[Field]) -> ExportColumn:
    place = f"/columns{pointer_to(name)}"
    if not name.isprintable() or not name.strip():
        raise invalid(place, "the name of a column is text without control characters")
    pointer, type_ = (choice, None) if isinstance(choice, str) else (choice.pointer, choice.type)
    at = place if isinstance(choice, str) else f"{place}/pointer"
    of_schema = _type_at(fields, checked_tokens(pointer, at))
    if type_ is None:
        return ExportColumn(
            name=name, pointer=pointer, type=of_schema, source="schema" if of_schema else "inferred"
        )
    named = _named(type_, of_schema, place=f"{place}/type")
    return ExportColumn(name=name, pointer=pointer, type=named, source="request")


def _named(text: str, of_schema: Type | None, *, place: str) -> Type:
    if text == _STRUCT:
        if not isinstance(of_schema, StructOf | MapOf | ListOf):
            raise invalid(
                place,
                "needs a schema of the dataset that has a structure there; a new dataset takes "
                'one, as PUT /datasets/NAME with {"schema": "events@1"}, or `crivo send --schema`',
            )
        return of_schema
    if text in _TYPES:
        return _TYPES[text]
    decimal = _DECIMAL.fullmatch(text)
    if decimal is None:
        known = ", ".join([*_TYPES, "decimal(p,s)", _STRUCT])
        raise invalid(place, f"{clipped(text)!r} is not a type; types are {known}")
    precision, scale = map(int, decimal.groups())
    if not 0 < precision <= MAX_PRECISION or scale > precision:
        message = f"has 1 to {MAX_PRECISION} digits, and no more of them after the point"
        raise invalid(place, f"a decimal {message}")
    return Scalar(Kind.DECIMAL, (precision, scale))


def _type_at(fields: Sequence[Field], tokens: Sequence[str]) -> Type | None:
    """Return the type that a schema has at a pointer; None: it says nothing there."""
    found: Type | None = StructOf(tuple(fields))
    for token in tokens:
        match found:
            case StructOf():
                members = {field.name: field.type for field in found.fields}
                found = members.get(token)
            case ListOf():
                found = found.item
            case MapOf():
                found = found.value
            case _:
                return None
    return found


def _require_names(column: ExportColumn) -> None:
    """Require names of members that no reader takes for one."""
    place = f"/columns{pointer_to(column.name)}"
    for path, names in _members("", column.type):
        taken: dict[str, str] = {}
        for name in names:
            other = taken.setdefault(name.lower(), name)
            if other != name:
                message = f"{other!r} and {name!r}, which are one name in Hive"
                raise invalid(place, f"has members {message}{_at(path)}; its type can be json")
            if not name or "\0" in name:
                message = f"has a member {name!r}, which cannot name a field"
                raise invalid(place, f"{message}{_at(path)}; its type can be json")


def _at(path: str) -> str:
    return f" at {clipped(path)}" if path else ""


def _members(path: str, of: Type | None) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the names of the members of each structure in a type."""
    match of:
        case StructOf():
            yield path, [field.name for field in of.fields]
            for field in of.fields:
                yield from _members(f"{path}{pointer_to(field.name)}", field.type)
        case ListOf():
            yield from _members(path, of.item)
        case MapOf():
            yield from _members(path, of.value)


def _require_distinct(
    columns: Sequence[ExportColumn], partitions: Sequence[PartitionColumn]
) -> None:
    """Require names that differ by more than their case, which Hive does not see."""
    names = {each.name.lower(): each.name for each in partitions}
    for column in columns:
        taken = names.get(column.name.lower())
        if taken is None:
            names[column.name.lower()] = column.name
        elif any(taken == each.name for each in partitions):
            message = f"{column.name!r} is a column, and {taken!r} one of the folders; rename one"
            raise invalid("/columns", message)
        else:
            raise invalid("/columns", f"{column.name!r} and {taken!r} are one name in Hive")
