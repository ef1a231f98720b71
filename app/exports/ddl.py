"""Write tables over the files of an export: their columns, folders and partitions."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from app.exports.plan.model import DEFAULT_PARTITION, Grain, PartitionColumn
from app.exports.plan.pointers import pointer_to
from app.exports.table_store import Folder, Table
from app.exports.written import type_of_partition
from app.schemas.ddl.duckdb import duckdb_table
from app.schemas.ddl.hive import hive_table, is_plain, place, quoted
from app.schemas.ddl.options import Dialect, Options, read_options
from app.schemas.ddl.types import Field, NoType

# Athena and Hive state no bound; Glue, the catalog of Athena, takes 100 and 25 at once.
# https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-catalog-partitions.html
_ADDED_AT_ONCE: Final = 100
_DROPPED_AT_ONCE: Final = 25
# Athena takes 262,144 bytes of UTF-8 at once; the table's name has its own place in them.
# https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
_STATEMENT_BYTES: Final = 256_000

Pages: TypeAlias = Callable[[], AsyncIterator[Sequence[Folder]]]


class TableSql(Struct, frozen=True, kw_only=True):
    """The SQL of a table; `levels` are those whose partitions it is told of, none of a view."""

    create: str
    options: Options
    levels: Sequence[PartitionColumn]

    @property
    def name(self) -> str:
        """Return the name of the table as statements have it."""
        return ".".join(map(quoted, self.options.name))


def table_over(table: Table, *, dialect: str, name: str, location: str) -> TableSql:
    """Return the SQL of a table, without that of its partitions.

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
        return TableSql(
            create=duckdb_table(fields, options, files_are_equal=True), options=options, levels=()
        )
    create = hive_table(fields, options, if_not_exists=True)
    return TableSql(create=create, options=options, levels=levels)


async def statements(sql: TableSql, *, full: Pages, emptied: Pages) -> AsyncIterator[str]:
    """Yield the text of a table and its partitions: those to be added, then those to be dropped.

    Partitions with files and those without any more are read twice, as what no statement can name
    is counted before the first one.
    """
    if not sql.levels:
        yield sql.create
        return
    yield _left_out(sql, added=await _unnamed(full), dropped=await _unnamed(emptied)) + sql.create
    alter = f"ALTER TABLE {sql.name}"
    added = _Statement(f"{alter} ADD IF NOT EXISTS", "", _ADDED_AT_ONCE)
    async for page in full():
        for each in filter(_can_be_named, page):
            url = place(f"{sql.options.location}{each.path}/", sql.options.dialect)
            for statement in added.take(f"\n  {_partition(sql, each)} LOCATION {url}"):
                yield statement
    for statement in added.rest():
        yield statement
    dropped = _Statement(f"{alter} DROP IF EXISTS", ",", _DROPPED_AT_ONCE)
    async for page in emptied():
        for each in filter(_can_be_named, page):
            for statement in dropped.take(f"\n  {_partition(sql, each)}"):
                yield statement
    for statement in dropped.rest():
        yield statement


class _Statement:
    """Collects partitions until one statement cannot take more."""

    def __init__(self, begin: str, separator: str, at_once: int) -> None:
        self._begin = begin
        self._separator = separator
        self._at_once = at_once
        self._some: list[str] = []
        self._size_bytes = 0

    def take(self, partition: str) -> Iterator[str]:
        """Add a partition, and yield the statement that is full without it."""
        own_bytes = len(partition.encode())
        if len(self._some) == self._at_once or self._size_bytes + own_bytes > _STATEMENT_BYTES:
            yield from self.rest()
        self._some.append(partition)
        self._size_bytes += own_bytes

    def rest(self) -> Iterator[str]:
        """Yield the statement of what is left, if anything is."""
        if self._some:
            yield f"\n{self._begin}{self._separator.join(self._some)};\n"
        self._some, self._size_bytes = [], 0


def _partition(sql: TableSql, folder: Folder) -> str:
    values = ", ".join(
        f"{quoted(level.name.lower())} = {_value(level.grain, value)}"
        for level, value in zip(sql.levels, folder.values, strict=True)
    )
    return f"PARTITION ({values})"


def _value(grain: Grain, value: str | None) -> str:
    # The folder of January is `month=01`; the column has the number 1.
    return str(int(value)) if value and grain is not Grain.VALUE else f"'{value}'"


def _can_be_named(folder: Folder) -> bool:
    # Hive reads no escapes in the values of a partition: `getPartSpec` only takes the quotes off.
    # Nor does it add one with the name that stands for null: `validatePartitionValues` refuses it
    # as reserved.
    return all(value and value != DEFAULT_PARTITION and is_plain(value) for value in folder.values)


async def _unnamed(pages: Pages) -> int:
    return sum([sum(not _can_be_named(each) for each in page) async for page in pages()])


def _left_out(sql: TableSql, *, added: int, dropped: int) -> str:
    """Return comments about what no statement can name."""
    lines = []
    if added:
        lines += [
            f"-- Partitions left out, whose values are null or cannot be named safely: {added}",
            f"-- MSCK REPAIR TABLE {sql.name} finds them by their folders",
        ]
    if dropped:
        lines.append(f"-- Partitions without files that no statement can name: {dropped}")
    if dropped and sql.options.dialect is Dialect.HIVE:
        lines.append(f"-- MSCK REPAIR TABLE {sql.name} DROP PARTITIONS finds them")
    return "".join(f"{line}\n" for line in lines)
