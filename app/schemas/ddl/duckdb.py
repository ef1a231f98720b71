"""Write tables, and views over files, for DuckDB."""

from collections.abc import Iterator, Sequence
from typing import Final

from app.schemas.ddl.notes import note_of, plain
from app.schemas.ddl.options import BadOption, Options, TableFormat, folded
from app.schemas.ddl.types import Field, Kind, ListOf, MapOf, NoType, Scalar, StructOf, Type

_SCALARS: Final = {
    Kind.INT: "INTEGER",
    Kind.STRING: "VARCHAR",
    Kind.CHAR: "VARCHAR",
    Kind.VARCHAR: "VARCHAR",
    Kind.TIMESTAMP: "TIMESTAMPTZ",
}
_ENDINGS: Final[dict[TableFormat, tuple[tuple[str, ...], str]]] = {
    TableFormat.PARQUET: ((".parquet",), "*.parquet"),
    # Also .jsonl, .ndjson and compressed ones.
    TableFormat.JSON: ((".json", ".jsonl", ".ndjson", ".gz", ".zst"), "*json*"),
}


def duckdb_table(
    fields: Sequence[Field], options: Options, *, files_are_equal: bool = False
) -> str:
    """Return the statement of a table, or with a location of a view over its files.

    `files_are_equal`: they have the same columns, so DuckDB need not keep those of each.

    Raises:
        NoType: two names of fields differ only in case.
        BadOption: a partition is also a field.
    """
    partitions = {folded(p.name, options.dialect): p for p in options.partitions}
    for field in _distinct(fields):
        if folded(field.name, options.dialect) in partitions:
            raise BadOption("partition", f"{field.name} is a field of the schema")
    lines = (
        _view(fields, options, files_are_equal=files_are_equal)
        if options.location
        else _table(fields, options)
    )
    return f"-- {plain(options.source)}\n" + "\n".join(lines) + ";\n"


def _table(fields: Sequence[Field], options: Options) -> Iterator[str]:
    yield f"CREATE TABLE {_name(options)} ("
    columns = [
        (f"{quoted(f.name)} {duckdb_type(f.type)}{'' if f.nullable else ' NOT NULL'}", note_of(f))
        for f in fields
    ]
    columns += [(f"{quoted(p.name)} {duckdb_type(p.type)}", "") for p in options.partitions]
    yield from _lines(columns)
    yield ")"


def _view(fields: Sequence[Field], options: Options, *, files_are_equal: bool) -> Iterator[str]:
    yield f"CREATE OR REPLACE VIEW {_name(options)} AS SELECT"
    columns = [(_column(field, options), note_of(field)) for field in fields]
    columns += [(quoted(p.name), "") for p in options.partitions]
    yield from _lines(columns)
    arguments = [literal(_files(options))]
    if options.format is TableFormat.JSON:
        described = (f"{literal(f.name)}: {literal(duckdb_type(f.type))}" for f in fields)
        arguments += ["format = 'newline_delimited'", f"columns = {{{', '.join(described)}}}"]
    elif not files_are_equal:
        arguments.append("union_by_name = true")
    if options.partitions:
        types = (f"{literal(p.name)}: {duckdb_type(p.type)}" for p in options.partitions)
        arguments += ["hive_partitioning = true", f"hive_types = {{{', '.join(types)}}}"]
    else:
        arguments.append("hive_partitioning = false")
    yield f"FROM read_{options.format}({', '.join(arguments)})"


def _column(field: Field, options: Options) -> str:
    name = quoted(field.name)
    # What is read as JSON gets its types from the call.
    if options.format is TableFormat.JSON:
        return name
    return f"CAST({name} AS {duckdb_type(field.type)}) AS {name}"


def _files(options: Options) -> str:
    location = options.location or ""
    endings, pattern = _ENDINGS[options.format]
    if "*" in location or location.endswith(endings):
        return location
    # Of partitions only their folders: others may have files that are not of the table.
    first = f"/{options.partitions[0].name}=*" if options.partitions else ""
    return f"{location.rstrip('/')}{first}/**/{pattern}"


def _lines(columns: Sequence[tuple[str, str]]) -> Iterator[str]:
    for index, (text, note) in enumerate(columns):
        comma = "," if index + 1 < len(columns) else ""
        yield f"  {text}{comma}{f' -- {note}' if note else ''}"


def _name(options: Options) -> str:
    return ".".join(map(quoted, options.name))


def _distinct(fields: Sequence[Field]) -> Sequence[Field]:
    taken: dict[str, Field] = {}
    for field in fields:
        other = taken.setdefault(field.name.lower(), field)
        if other is not field:
            message = f"{field.name!r} and {other.name!r} are one name to DuckDB"
            raise NoType(field.pointer, message)
    return fields


def duckdb_type(of: Type) -> str:
    """Return the name of a type. Raises NoType: two members differ only in case."""
    match of:
        case Scalar():
            name = _SCALARS.get(of.kind, of.kind.upper())
            size = of.size if of.kind is Kind.DECIMAL else ()
            return name + (f"({','.join(map(str, size))})" if size else "")
        case ListOf():
            return f"{duckdb_type(of.item)}[]"
        case MapOf():
            return f"MAP(VARCHAR, {duckdb_type(of.value)})"
        case StructOf():
            members = (f"{quoted(f.name)} {duckdb_type(f.type)}" for f in _distinct(of.fields))
            return f"STRUCT({', '.join(members)})"


def quoted(name: str) -> str:
    """Return a name in double quotes, which are doubled inside."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text in single quotes, which are doubled inside."""
    return "'" + text.replace("'", "''") + "'"
