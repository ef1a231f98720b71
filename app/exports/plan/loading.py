"""Load lines into the table or view `rows`, and say which columns there are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from duckdb import DuckDBPyConnection
from msgspec import Struct

from app.exports.plan import conversion
from app.exports.plan.layout import Layout, layout_of, require_names
from app.exports.plan.levels import level, level_type
from app.exports.plan.model import (
    BadRow,
    Column,
    ExportColumn,
    Plan,
    Resources,
    SourceFile,
    TaskFailed,
)
from app.exports.plan.progress import Meter
from app.exports.plan.rest import read_rest
from app.exports.plan.staging import certain_rows, sample_names, stage
from app.exports.plan.survivors import count
from app.schemas.ddl.duckdb import duckdb_type
from app.schemas.ddl.types import Type

# Columns: the expressions of each take some hundred KiB.
_INFERRED_TOGETHER: Final = 100
_REMEDY: Final = "omit `since` to export everything"


class Loaded(Struct, frozen=True):
    """The columns of `rows`, and what was read; the text of a column is `c` with its number."""

    columns: tuple[Column, ...]
    rows_in: int
    bad: tuple[BadRow, ...]


def load(
    connection: DuckDBPyConnection,
    sources: Sequence[SourceFile],
    plan: Plan,
    resources: Resources,
    meter: Meter,
    *,
    known: Sequence[Column] = (),
) -> Loaded:
    """Make the view `rows` of the records that are not bad. Raises TaskFailed.

    `ordinal` is the file order; `k0`… compare as the keys do; `rank`, `major` and `minor` as the
    values of `latest_by`; `g0`… as the levels of the folders, and `c0`… are the columns' texts.
    `known` are columns that were inferred from earlier lines, and stay.
    """
    names = [column.name for column in known] or sample_names(connection, sources)
    layout = layout_of(plan, names)
    with meter.step(0.3):
        stage(connection, sources, layout)
    rest = read_rest(connection, sources, layout, plan, Path(resources.spill))
    require_names(rest.columns, plan)
    connection.execute(
        f"CREATE VIEW rows AS {certain_rows(layout, len(rest.columns))}"
        f" UNION ALL {_exact_rows(layout, len(rest.columns))}"
    )
    with meter.step(0.05):
        types = _types(connection, rest.columns)
    if known:
        types = _unchanged(known, rest.columns, types)
    return Loaded(
        columns=tuple(
            Column(name=column.name, type=of, source=column.source if column.type else "inferred")
            for column, of in zip(rest.columns, types, strict=True)
        ),
        rows_in=count(connection, "staged"),
        bad=rest.bad,
    )


def _exact_rows(layout: Layout, columns: int) -> str:
    levels = (
        level(f"CAST(p[{n + 1}] AS {level_type(column)})", column)
        for n, column in enumerate(layout.partition_by)
    )
    parts = [
        "o",
        *(f"k[{n + 1}]" for n in range(len(layout.keys))),
        "r",
        "j",
        "n",
        *levels,
        *(f"c[{n + 1}]" for n in range(columns)),
    ]
    return f"SELECT {', '.join(parts)} FROM exact"


def _types(connection: DuckDBPyConnection, columns: Sequence[ExportColumn]) -> list[Type]:
    unknown = [n for n, column in enumerate(columns) if column.type is None]
    if not unknown:
        return [column.type for column in columns if column.type is not None]
    inferred = dict[int, Type]()
    for first in range(0, len(unknown), _INFERRED_TOGETHER):
        some = unknown[first : first + _INFERRED_TOGETHER]
        kinds = ", ".join(conversion.seen(f"c{n}") for n in some)
        found = connection.execute(f"SELECT {kinds} FROM rows").fetchone() or ()
        inferred |= {n: conversion.inferred(bits or 0) for n, bits in zip(some, found, strict=True)}
    return [column.type or inferred[n] for n, column in enumerate(columns)]


def _unchanged(
    known: Sequence[Column], columns: Sequence[ExportColumn], types: Sequence[Type]
) -> list[Type]:
    """Return the types of columns that are known; refuse others, and other types."""
    if len(columns) > len(known):
        name = columns[len(known)].name
        message = f"{name!r} is a member of newer records only; {_REMEDY}"
        raise TaskFailed("columns_differ", message)
    found = []
    for column, wanted, of in zip(known, columns, types, strict=True):
        both = of if wanted.type else conversion.united(column.type, of)
        if not conversion.alike(column.type, both):
            message = f"{column.name!r} is of type {duckdb_type(column.type)} no longer; {_REMEDY}"
            raise TaskFailed("columns_differ", message)
        found.append(both)
    return found
