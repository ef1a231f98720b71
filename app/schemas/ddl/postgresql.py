"""Write tables for PostgreSQL."""

from collections.abc import Sequence
from typing import Final

from app.schemas.ddl.duckdb import literal, quoted
from app.schemas.ddl.notes import note_of, plain
from app.schemas.ddl.options import MAX_NAME, BadOption, Options
from app.schemas.ddl.types import Field, Kind, ListOf, MapOf, NoType, Scalar, StructOf, Type

_SCALARS: Final = {
    Kind.TINYINT: "smallint",
    Kind.INT: "integer",
    Kind.FLOAT: "real",
    Kind.DOUBLE: "double precision",
    Kind.DECIMAL: "numeric",
    Kind.STRING: "text",
    Kind.TIMESTAMP: "timestamptz",
}
_JSONB: Final = "kept as jsonb"


def postgresql_table(fields: Sequence[Field], options: Options) -> str:
    """Return the statements of a table and its comments.

    Raises:
        NoType: a name is too long.
        BadOption: a partition is also a field.
    """
    partitions = {partition.name for partition in options.partitions}
    columns, notes = [], []
    table = ".".join(map(quoted, options.name))
    for field in fields:
        if len(field.name.encode(errors="replace")) > MAX_NAME[options.dialect]:
            raise NoType(
                field.pointer, f"a column's name has at most {MAX_NAME['postgresql']} bytes"
            )
        if field.name in partitions:
            raise BadOption("partition", f"{field.name} is a field of the schema")
        kind = _type(field.type)
        columns.append(f"  {quoted(field.name)} {kind}{'' if field.nullable else ' NOT NULL'}")
        note = note_of(field, _JSONB if kind == "jsonb" else "")
        if note:
            notes.append(f"COMMENT ON COLUMN {table}.{quoted(field.name)} IS {literal(note)};\n")
    columns += [f"  {quoted(p.name)} {_type(p.type)} NOT NULL" for p in options.partitions]
    body = ",\n".join(columns)
    by = ", ".join(quoted(partition.name) for partition in options.partitions)
    end = f" PARTITION BY RANGE ({by})" if by else ""
    comment = f"COMMENT ON TABLE {table} IS {literal(plain(options.source))};\n"
    return f"CREATE TABLE {table} (\n{body}\n){end};\n{comment}{''.join(notes)}"


def _type(of: Type) -> str:
    match of:
        case Scalar():
            name = _SCALARS.get(of.kind, of.kind.value)
            return name + (f"({', '.join(map(str, of.size))})" if of.size else "")
        case ListOf(item=Scalar() as item):
            return f"{_type(item)}[]"
        case ListOf() | MapOf() | StructOf():
            # Arrays of arrays are rectangular there, and structs are types with names.
            return "jsonb"
