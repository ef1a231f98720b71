"""Compute the levels of the folders in SQL: as numbers and texts to group by, and as texts."""

from collections.abc import Iterator, Sequence
from typing import Final

from app.exports.plan.model import Grain, PartitionColumn

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
        return f"nullif({value}, '')"
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
