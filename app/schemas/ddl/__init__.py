"""Tables: the statement that creates a table for the documents of a schema."""

from collections.abc import Sequence
from typing import Final

from app.limits import MIB
from app.schemas.ddl.duckdb import duckdb_table
from app.schemas.ddl.hive import hive_table
from app.schemas.ddl.mapping import columns
from app.schemas.ddl.options import BadOption, Dialect, TableFormat, read_options
from app.schemas.ddl.postgresql import postgresql_table
from app.schemas.ddl.types import NoType
from app.schemas.document import SchemaDocument

__all__ = ["BadOption", "Dialect", "NoType", "TableFormat", "table"]

MAX_CHARACTERS: Final = MIB


def table(
    document: SchemaDocument,
    *,
    dialect: str,
    format: str = TableFormat.PARQUET,  # noqa: A002 - the word of the API
    name: str,
    location: str | None = None,
    partition: Sequence[str] = (),
) -> str:
    """Return the SQL that creates a table with a column for each field of a schema.

    ``name`` is ``table`` or ``database.table``; ``partition`` holds ``column:type`` for columns
    whose values are in the paths of the files; ``location`` is the URL of those.

    Raises:
        NoType: a part of the schema has no type in a table.
        BadOption: the table cannot have this name, location or partition.
    """
    options = read_options(
        dialect=dialect,
        format=format,
        name=name,
        location=location,
        partition=partition,
        source=document.uri,
    )
    fields = columns(document)
    match options.dialect:
        case Dialect.ATHENA | Dialect.HIVE:
            sql = hive_table(fields, options)
        case Dialect.DUCKDB:
            sql = duckdb_table(fields, options)
        case _:
            sql = postgresql_table(fields, options)
    if len(sql) > MAX_CHARACTERS:
        raise NoType("", f"the statement has more than {MAX_CHARACTERS} characters")
    return sql
