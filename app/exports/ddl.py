"""Write tables over the files of an export: their columns, folders and partitions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from app.exports.plan.hive import DEFAULT_PARTITION
from app.exports.plan.model import Grain
from app.exports.pointers import pointer_to
from app.exports.table_store import Folder, Table
from app.exports.written import type_of_partition
from app.schemas.ddl.duckdb import duckdb_table
from app.schemas.ddl.hive import hive_table, is_plain, place, quoted
from app.schemas.ddl.options import Dialect, Options, read_options
from app.schemas.ddl.types import Field, NoType

_PARTITIONS_AT_ONCE: Final = 100
# Athena takes 262,144 bytes of UTF-8 at once; the table's name has its own place in them.
# https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
_STATEMENT_BYTES: Final = 256_000


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
        NoType: there are no columns, two are one to the dialect, or a name cannot be a column's.
        BadOption: the table cannot have this name or location.
    """
    if not table.columns:
        raise NoType("", "it has no columns, as no row was written")
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
        return duckdb_table(fields, options, files_are_equal=True)
    statements = [hive_table(fields, options, if_not_exists=True)]
    if levels:
        # One for no value and for the text that stands for it, which share a folder.
        partitions = dict.fromkeys(_partitions(table, folders, options))
        statements += _added(partitions, options)
    return _missing(folders, options) + "\n".join(statements)


def _partitions(table: Table, folders: Sequence[Folder], options: Options) -> Iterator[str]:
    levels = table.plan.partition_by
    for folder in folders:
        if not _can_be_added(folder):
            continue
        values = ", ".join(
            f"{quoted(level.name.lower())} = {_value(level.grain, value)}"
            for level, value in zip(levels, folder.values, strict=True)
        )
        url = place(f"{options.location}{folder.path}/", options.dialect)
        yield f"\n  PARTITION ({values}) LOCATION {url}"


def _added(partitions: Iterable[str], options: Options) -> Iterator[str]:
    """Add partitions by as few statements as may be."""
    begin = f"ALTER TABLE {'.'.join(map(quoted, options.name))} ADD IF NOT EXISTS"
    some: list[str] = []
    size_bytes = 0
    for each in partitions:
        own_bytes = len(each.encode())
        if len(some) == _PARTITIONS_AT_ONCE or size_bytes + own_bytes > _STATEMENT_BYTES:
            yield f"{begin}{''.join(some)};\n"
            some, size_bytes = [], 0
        some.append(each)
        size_bytes += own_bytes
    if some:
        yield f"{begin}{''.join(some)};\n"


def _can_be_added(folder: Folder) -> bool:
    # Hive reads no escapes in the values of a partition: `getPartSpec` only takes the quotes off.
    return all(is_plain(value) for value in folder.values if value is not None)


def _missing(folders: Sequence[Folder], options: Options) -> str:
    count = sum(not _can_be_added(folder) for folder in folders)
    if not count:
        return ""
    name = ".".join(map(quoted, options.name))
    return (
        f"-- Partitions left out, as no statement can name their values safely: {count}\n"
        f"-- MSCK REPAIR TABLE {name} finds them by their folders\n"
    )


def _value(grain: Grain, value: str | None) -> str:
    if not value:
        return f"'{DEFAULT_PARTITION}'"
    # The folder of January is `month=01`; the column has the number 1.
    return f"'{value}'" if grain is Grain.VALUE else str(int(value))
