"""Load lines into the table or view `rows`, and say which columns there are."""

from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection
from msgspec import Struct

from app.exports.plan import conversion
from app.exports.plan.layout import Layout, layout_of, require_names
from app.exports.plan.model import (
    BadRow,
    Column,
    ExportColumn,
    Grain,
    Plan,
    Resources,
    SourceFile,
)
from app.exports.plan.progress import Meter
from app.exports.plan.rest import read_rest
from app.exports.plan.staging import certain_rows, sample_names, stage
from app.exports.plan.survivors import count
from app.schemas.ddl.types import Type


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
) -> Loaded:
    """Make the view `rows` of the records that are not bad. Raises TaskFailed.

    `ordinal` is the file order; `k0`… compare as the keys do; `rank`, `major` and `minor` as the
    values of `latest_by`; `p0`… are what the folders are named by, and `c0`… the columns' texts.
    """
    names = () if plan.columns else sample_names(connection, sources)
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
    return Loaded(
        columns=tuple(
            Column(name=column.name, type=of, source="request" if column.type else "inferred")
            for column, of in zip(rest.columns, types, strict=True)
        ),
        rows_in=count(connection, "staged"),
        bad=rest.bad,
    )


def kept(columns: Sequence[Column], plan: Plan) -> list[tuple[int, Column]]:
    """Return the columns of the files, with their numbers: the folders have the others."""
    levels = {column.name.lower() for column in plan.partition_by}
    return [(n, column) for n, column in enumerate(columns) if column.name.lower() not in levels]


def _exact_rows(layout: Layout, columns: int) -> str:
    levels = (
        f"p[{n + 1}]" if column.grain is Grain.VALUE else f"CAST(p[{n + 1}] AS BIGINT)"
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
    kinds = ", ".join(conversion.seen(f"c{n}") for n in unknown)
    found = connection.execute(f"SELECT {kinds} FROM rows").fetchone() or ()
    inferred = {n: conversion.inferred(bits or 0) for n, bits in zip(unknown, found, strict=True)}
    return [column.type or inferred[n] for n, column in enumerate(columns)]
