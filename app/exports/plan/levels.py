"""Compute the levels of the folders in SQL: as numbers and texts to group by, and as texts."""

from collections.abc import Iterator, Sequence
from typing import Final

from duckdb import DuckDBPyConnection

from app.exports.plan.model import DEFAULT_PARTITION, Grain, PartitionColumn
from app.schemas.ddl.duckdb import literal

_GRAINS: Final = {
    Grain.YEAR: ("year", 4),
    Grain.MONTH: ("month", 2),
    Grain.DAY: ("day", 2),
    Grain.HOUR: ("hour", 2),
}


def level_type(column: PartitionColumn) -> str:
    """Return the type of what `level` takes: microseconds since 1970, or a text."""
    return "VARCHAR" if column.grain is Grain.VALUE else "BIGINT"


def stored_type(column: PartitionColumn) -> str:
    """Return the type of `level`."""
    return "VARCHAR" if column.grain is Grain.VALUE else "SMALLINT"


def level(value: str, column: PartitionColumn) -> str:
    """Return what rows are grouped by."""
    if column.grain is Grain.VALUE:
        return f"nullif(nullif({value}, ''), {literal(DEFAULT_PARTITION)})"
    name, _ = _GRAINS[column.grain]
    return f"CAST({name}(make_timestamp({value})) AS SMALLINT)"


def level_text(level: str, column: PartitionColumn) -> str:
    """Return the text of a level, as it is in a folder before it is escaped."""
    if column.grain is Grain.VALUE:
        return level
    _, digits = _GRAINS[column.grain]
    return f"lpad(CAST({level} AS VARCHAR), {digits}, '0')"


def level_names(levels: Sequence[PartitionColumn]) -> Iterator[str]:
    """Yield the names of the levels' columns."""
    return (f"g{n}" for n in range(len(levels)))


def list_partitions(
    connection: DuckDBPyConnection,
    table: str,
    partitions: Sequence[Sequence[str | None]],
    levels: Sequence[PartitionColumn],
    files: Sequence[str] = (),
) -> None:
    """Make a table of partitions: `number`, `file` if there are files, and `g0`…."""
    parts: dict[str, tuple[str, Sequence[object]]] = {"number": ("INTEGER", range(len(partitions)))}
    if files:
        parts["file"] = ("VARCHAR", files)
    for n, (name, column) in enumerate(zip(level_names(levels), levels, strict=True)):
        parts[name] = (stored_type(column), [partition[n] for partition in partitions])
    # One statement for all: each one commits.
    lists = ", ".join(f"unnest(CAST(? AS {of}[])) AS {name}" for name, (of, _) in parts.items())
    values = [list(values) for _, values in parts.values()]
    connection.execute(f"CREATE TABLE {table} AS SELECT {lists}", values)
