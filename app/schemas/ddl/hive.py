"""Write tables for Athena and Hive."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from app.schemas.ddl.notes import note_of
from app.schemas.ddl.options import BadOption, Dialect, Options, TableFormat
from app.schemas.ddl.types import Field, Kind, ListOf, MapOf, NoType, Scalar, StructOf, Type

_JSON_SERDE: Final = "org.openx.data.jsonserde.JsonSerDe"
_NOT_PLAIN: Final = re.compile(r"[^a-z0-9_]")
# What ends a text, is a variable to Hive, or is where clients cut a script, even inside of quotes.
_UNSAFE: Final = re.compile(r"""["'\\;\x00-\x1f\x7f-\x9f\u2028\u2029]|--|/\*|\*/|\$\{""")


def hive_table(fields: Sequence[Field], options: Options, *, if_not_exists: bool = False) -> str:
    """Return the statement of an external table; `if_not_exists`: it can be repeated.

    Raises:
        NoType: a name of a field cannot be a column's, or two are the same to Hive.
        BadOption: a partition is also a field.
    """
    writer = _Writer(options)
    columns = writer.columns(fields)
    name = ".".join(map(quoted, options.name))
    create = f"CREATE EXTERNAL TABLE {'IF NOT EXISTS ' if if_not_exists else ''}{name} ("
    lines = [create, ",\n".join(columns), ")"]
    lines.append(f"COMMENT {literal(options.source)}")
    if options.partitions:
        parts = ", ".join(f"{quoted(p.name)} {_scalar(p.type)}" for p in options.partitions)
        lines.append(f"PARTITIONED BY ({parts})")
    lines += writer.storage()
    if options.location is not None:
        lines.append(f"LOCATION {place(options.location, options.dialect)}")
    if options.dialect is Dialect.ATHENA:
        lines.append(f"TBLPROPERTIES ('classification' = '{options.format}')")
    return "\n".join(lines) + ";\n"


class _Writer:
    def __init__(self, options: Options) -> None:
        self._options = options
        # Of columns and members: the SerDe maps names wherever they are.
        self._originals: dict[str, str] = {}

    def columns(self, fields: Sequence[Field]) -> list[str]:
        partitions = {partition.name for partition in self._options.partitions}
        found = []
        for name, field in self._named(fields):
            if name in partitions:
                raise BadOption("partition", f"{name} is a field of the schema")
            original = "" if name == field.name else f"field {field.name}"
            note = note_of(field, original)
            comment = f" COMMENT {literal(note)}" if note else ""
            found.append(f"  {quoted(name)} {self._type(field.type)}{comment}")
        return found

    def storage(self) -> Iterator[str]:
        if self._options.format is TableFormat.PARQUET:
            yield "STORED AS PARQUET"
            return
        properties = [
            f"{literal(f'mapping.{name}')} = {literal(original)}"
            for name, original in self._originals.items()
            if name != original
        ]
        if properties:
            listed = ", ".join(["'case.insensitive' = 'FALSE'", *properties])
            yield f"ROW FORMAT SERDE '{_JSON_SERDE}'\nWITH SERDEPROPERTIES ({listed})"
        else:
            yield f"ROW FORMAT SERDE '{_JSON_SERDE}'"
        # What the SerDe reads and writes are lines of text.
        yield "STORED AS TEXTFILE"

    def _named(self, fields: Sequence[Field]) -> Iterator[tuple[str, Field]]:
        taken: dict[str, Field] = {}
        for field in fields:
            name = self._name(field)
            if name in taken:
                message = f"{field.name!r} and {taken[name].name!r} are both {name} in Hive"
                raise NoType(field.pointer, message)
            taken[name] = field
            yield name, field

    def _name(self, field: Field) -> str:
        name = field.name.lower()
        if _NOT_PLAIN.search(name):
            if self._options.format is TableFormat.PARQUET:
                message = "a column's name is made of letters, digits and underscores"
                remedy = "with format=json it can be another"
                raise NoType(field.pointer, message, remedy=remedy)
            name = _NOT_PLAIN.sub("_", name)
        if self._options.format is TableFormat.JSON:
            known = self._originals.setdefault(name, field.name)
            if known != field.name:
                raise NoType(field.pointer, f"{field.name!r} and {known!r} are both {name}")
        return name

    def _type(self, of: Type) -> str:
        match of:
            case Scalar():
                return _scalar(of)
            case ListOf():
                return f"array<{self._type(of.item)}>"
            case MapOf():
                return f"map<string,{self._type(of.value)}>"
            case StructOf():
                members = (
                    f"{quoted(name)}:{self._type(field.type)}"
                    for name, field in self._named(of.fields)
                )
                return f"struct<{','.join(members)}>"


def _scalar(of: Scalar) -> str:
    if of.kind is Kind.UUID:
        return "string"
    return of.kind + (f"({','.join(map(str, of.size))})" if of.size else "")


def quoted(name: str) -> str:
    """Return a name in backticks, which are doubled inside."""
    return f"`{name.replace('`', '``')}`"


def is_plain(text: str) -> bool:
    """Say whether a text is safe in quotes as it is, where nobody reads escapes."""
    return _UNSAFE.search(text) is None


def literal(text: str) -> str:
    """Return a text in quotes, as `BaseSemanticAnalyzer.unescapeSQLString` of Hive reads it."""
    return "'" + _UNSAFE.sub(_escaped, text) + "'"


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in match[0])


def place(url: str, dialect: Dialect) -> str:
    """Return a location, which has no quote, backslash or control character, in quotes.

    Athena has no variables, and does not document that it reads escapes.
    """
    return literal(url) if dialect is Dialect.HIVE else f"'{url}'"
