"""Load lines into the table or view `rows`, and say which columns there are."""

from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection
from msgspec import Struct

from app.exports.plan.inference import continued_columns, inferred_columns
from app.exports.plan.layout import Layout, layout_of, require_names
from app.exports.plan.levels import level, level_type
from app.exports.plan.model import (
    BadRow,
    Column,
    Plan,
    Resources,
    SourceFile,
)
from app.exports.plan.progress import Meter
from app.exports.plan.rest import read_rest
from app.exports.plan.sharing import texts_of
from app.exports.plan.staging import certain_rows, sample_names, stage
from app.exports.plan.survivors import count


class Loaded(Struct, frozen=True):
    """The columns of `rows`, and what was read; the text of a column is `c` with its number.

    `texts` has for each column the first with the same text. `bad_rows` are more than `bad`, if
    those would take too much.
    """

    columns: tuple[Column, ...]
    texts: Sequence[int]
    rows_in: int
    bad: tuple[BadRow, ...]
    bad_rows: int


def load(
    connection: DuckDBPyConnection,
    sources: Sequence[SourceFile],
    plan: Plan,
    resources: Resources,
    meter: Meter,
    *,
    known: Sequence[Column] = (),
    is_part: bool = False,
) -> Loaded:
    """Make the view `rows` of the records that are not bad. Raises TaskFailed.

    `ordinal` is the file order; `k0`… compare as the keys do; `rank`, `major` and `minor` as the
    values of `latest_by`; `g0`… as the levels of the folders, and `c0`… are the columns' texts.
    `known` are columns that were inferred from earlier lines, and stay. `is_part`: other tasks
    load other lines.
    """
    names = [column.name for column in known] or sample_names(connection, sources)
    layout = layout_of(plan, names)
    with meter.step(0.3):
        stage(connection, sources, layout)
    rest = read_rest(connection, sources, layout, plan, Path(resources.spill))
    require_names(rest.columns, plan)
    texts = texts_of(rest.columns)
    connection.execute(
        f"CREATE VIEW rows AS {certain_rows(layout, len(rest.columns))}"
        f" UNION ALL {_exact_rows(layout, texts)}"
    )
    with meter.step(0.05):
        if known:
            columns = continued_columns(connection, sources, rest.columns, known)
        else:
            columns = inferred_columns(connection, sources, rest.columns, is_part=is_part)
    return Loaded(
        columns=tuple(columns),
        texts=texts,
        rows_in=count(connection, "staged"),
        bad=rest.bad,
        bad_rows=rest.bad_rows,
    )


def _exact_rows(layout: Layout, texts: Sequence[int]) -> str:
    places = {text: place for place, text in enumerate(dict.fromkeys(texts), 1)}
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
        *(f"c[{places[text]}]" for text in texts),
    ]
    return f"SELECT {', '.join(parts)} FROM exact"
