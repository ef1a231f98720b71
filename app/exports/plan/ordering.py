"""Sort survivors by partition and, within, by `latest_by` and file order."""

from collections.abc import Sequence
from typing import Final

from duckdb import DuckDBPyConnection
from msgspec import Struct

from app.exports.plan import conversion
from app.exports.plan.model import Column, Grain, PartitionColumn
from app.schemas.ddl.duckdb import quoted

_GRAINS: Final = {
    Grain.YEAR: ("year", 4),
    Grain.MONTH: ("month", 2),
    Grain.DAY: ("day", 2),
    Grain.HOUR: ("hour", 2),
}


class Partition(Struct, frozen=True):
    """A partition: its values, and the rows of `sorted` that it has."""

    values: tuple[str | None, ...]
    first: int
    rows: int
    raw_bytes: int


def sort(
    connection: DuckDBPyConnection,
    columns: Sequence[tuple[int, Column]],
    partition_by: Sequence[PartitionColumn],
    *,
    source: str = "rows ANTI JOIN losers USING (ordinal)",
) -> list[Partition]:
    """Make the table `sorted` of the columns, and return the partitions in its order.

    `columns` have the numbers of their texts.
    """
    levels = [_level(n, column) for n, column in enumerate(partition_by)]
    grouped = ", ".join(f"{level} AS g{n}" for n, level in enumerate(levels))
    order = ", ".join(f"g{n}" for n in range(len(levels)))
    texts = "".join(f", {_text(n, column)}" for n, column in enumerate(partition_by))
    size = " + ".join(["0", *(f"coalesce(sum(strlen(c{n})), 0)" for n, _ in columns)])
    connection.execute(
        f"CREATE TABLE parts AS SELECT *, row_number() OVER ({_order_by(order)}) AS part{texts}"
        f" FROM (SELECT {grouped + ', ' if grouped else ''}count(*) AS size, {size} AS bytes"
        f" FROM {source} {'GROUP BY ALL' if grouped else 'HAVING count(*) > 0'})"
    )
    same = " AND ".join(f"parts.g{n} IS NOT DISTINCT FROM ({l})" for n, l in enumerate(levels))
    values = ", ".join(
        f"{conversion.converted(f'c{n}', column.type)} AS {quoted(column.name)}"
        for n, column in columns
    )
    connection.execute(
        f"CREATE TABLE sorted AS SELECT {values} FROM {source} JOIN parts ON {same or 'true'}"
        " ORDER BY part, rank, major, minor, ordinal"
    )
    names = "".join(f", t{n}" for n in range(len(levels)))
    found = connection.execute(f"SELECT size, bytes{names} FROM parts ORDER BY part").fetchall()
    connection.execute("DROP TABLE parts")
    partitions, first = [], 0
    for size_, raw_bytes, *texts_ in found:
        partitions.append(Partition(tuple(texts_), first, size_, raw_bytes))
        first += size_
    return partitions


def _order_by(order: str) -> str:
    return f"ORDER BY {order}" if order else ""


def _level(number: int, column: PartitionColumn) -> str:
    if column.grain is Grain.VALUE:
        return f"nullif(p{number}, '')"
    name, _ = _GRAINS[column.grain]
    return f"{name}(make_timestamp(CAST(p{number} AS BIGINT)))"


def _text(number: int, column: PartitionColumn) -> str:
    if column.grain is Grain.VALUE:
        return f"g{number} AS t{number}"
    _, digits = _GRAINS[column.grain]
    return f"lpad(CAST(g{number} AS VARCHAR), {digits}, '0') AS t{number}"
