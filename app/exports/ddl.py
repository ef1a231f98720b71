"""Write tables over the files of an export: their columns, folders and partitions."""

from collections.abc import Iterator, Sequence
from typing import Final

from app.exports.plan.model import Grain
from app.exports.pointers import pointer_to
from app.exports.table_store import Folder, Table
from app.exports.written import type_of_partition
from app.schemas.ddl.duckdb import duckdb_table
from app.schemas.ddl.hive import hive_table, literal, quoted
from app.schemas.ddl.options import Dialect, Options, read_options
from app.schemas.ddl.types import Field

# As Hive writes a partition without a value.
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


def table_over(
    table: Table,
    folders: Sequence[Folder],
    *,
    dialect: str,
    name: str,
    location: str,
) -> str:
    """Return the SQL of a table, and for Hive and Athena that of its partitions.

    Raises:
        NoType: two columns are one to the dialect, or a name cannot be a column's.
        BadOption: the table cannot have this name or location.
    """
    levels = table.plan.partition_by
    options = read_options(
        dialect=dialect,
        format="parquet",
        name=name,
        location=location,
        partition=[f"{each.name}:{type_of_partition(each).kind}" for each in levels],
        source=f"{table.dataset}@{table.snapshot}",
    )
    fields = [Field(each.name, each.type, pointer_to(each.name)) for each in table.columns]
    if options.dialect is Dialect.DUCKDB:
        return duckdb_table(fields, options)
    statements = [hive_table(fields, options)]
    if levels:
        statements += _partitions(table, folders, options)
    return "\n".join(statements)


def _partitions(table: Table, folders: Sequence[Folder], options: Options) -> Iterator[str]:
    name = ".".join(map(quoted, options.name))
    levels = table.plan.partition_by
    for folder in folders:
        values = ", ".join(
            f"{quoted(level.name.lower())} = {_value(level.grain, value)}"
            for level, value in zip(levels, folder.values, strict=True)
        )
        place = literal(f"{options.location}{folder.path}/")
        yield f"ALTER TABLE {name} ADD IF NOT EXISTS PARTITION ({values}) LOCATION {place};\n"


def _value(grain: Grain, value: str | None) -> str:
    if value is None:
        return literal(_NO_VALUE)
    # The folder of January is `month=01`; the column has the number 1.
    return literal(value) if grain is Grain.VALUE else str(int(value))
