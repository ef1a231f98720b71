"""Load lines into a table: the texts of values that are certain, or the line."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from app.exports.plan import conversion
from app.exports.plan.hive import MAX_FOLDER_BYTES
from app.exports.plan.layout import Layout, Names
from app.exports.plan.levels import level
from app.exports.plan.model import Grain, PartitionColumn, SourceFile
from app.exports.plan.places import is_zstd
from app.limits import MAX_EXPORT_COLUMNS, MIB
from app.schemas.ddl.duckdb import literal

# A line of a dataset has at most 16 MiB.
LINE_BYTES: Final = 17 * MIB
_SAMPLE: Final = 1_000
# Of a character in a folder: UTF-8 takes 4 bytes, an escaped one 3.
_CHARACTER_BYTES: Final = 4


def sample_names(connection: DuckDBPyConnection, sources: Sequence[SourceFile]) -> list[str]:
    """Return the names of members of the first records, in order of appearance.

    They end at a line that DuckDB cannot parse, whose members would come next. Raises TaskFailed
    for more than an export may have.
    """
    found = Names()
    for lines in _reads(sources[:1]):
        # One more than there may be shows that there are too many.
        rows = connection.execute(
            "SELECT CASE json_type(json)"
            f" WHEN 'OBJECT' THEN json_keys(json)[:{MAX_EXPORT_COLUMNS + 1}]"
            " ELSE CASE WHEN json IS NOT NULL THEN [] END END"
            f" FROM (SELECT json FROM {lines} LIMIT {_SAMPLE})"
        )
        while (row := rows.fetchone()) and row[0] is not None:
            for name in row[0]:
                found.add(name)
    return list(found)


def stage(connection: DuckDBPyConnection, sources: Sequence[SourceFile], layout: Layout) -> None:
    """Make the table `staged`, whose row ids are the file order.

    `certain` rows have `v0`…, the texts of values, NULL for missing ones and null, and `m0`…,
    moments in microseconds. Others have the `line`, or nothing if DuckDB cannot parse it,
    or has not the memory to.
    """
    values = "".join(f", v{n} VARCHAR" for n in range(len(layout.pointers)))
    moments = "".join(f", m{n} BIGINT" for n in _moments(layout))
    connection.execute(f"CREATE TABLE staged (certain BOOLEAN, line VARCHAR{values}{moments})")
    for lines in _reads(sources):
        try:
            connection.execute(f"INSERT INTO staged {_select(lines, layout)}")
        except duckdb.OutOfMemoryException:
            # Long lines: a vector of 2,048 has some 25 copies of each. Python reads one by one.
            records = f"SELECT false, NULL{_nothing(layout)} FROM {lines}"
            connection.execute(f"INSERT INTO staged {records}")


def _reads(sources: Sequence[SourceFile]) -> Iterator[str]:
    """Yield the calls that read the records, one for each run of files with one compression."""
    for compression, files in groupby((source.local for source in sources), _compression):
        names = ", ".join(map(literal, files))
        yield (
            f"read_json_objects([{names}], format = 'newline_delimited', ignore_errors = true,"
            f" compression = '{compression}', maximum_object_size = {LINE_BYTES})"
        )


def _compression(local: str) -> str:
    return "zstd" if is_zstd(local) else "none"


def _nothing(layout: Layout) -> str:
    return ", NULL" * (len(layout.pointers) + len(_moments(layout)))


def _select(lines: str, layout: Layout) -> str:
    if layout.paths is None:
        return f"SELECT false, CAST(json AS VARCHAR){_nothing(layout)} FROM {lines}"
    paths = ", ".join(map(literal, layout.paths))
    numbers = range(len(layout.pointers))
    values = "".join(f", nullif(x[{n + 1}], 'null') AS v{n}" for n in numbers)
    moments = "".join(f", {conversion.moment_us(f'v{n}')} AS m{n}" for n in _moments(layout))
    kept = [*(f"v{n}" for n in numbers), *(f"m{n}" for n in _moments(layout))]
    return (
        "SELECT certain, CASE WHEN NOT certain THEN line END"
        + "".join(f", CASE WHEN certain THEN {name} END" for name in kept)
        + f" FROM (SELECT *, coalesce({_certain(layout)}, false) AS certain"
        f" FROM (SELECT *{moments} FROM (SELECT json, line, x{values}"
        " FROM (SELECT json, CAST(json AS VARCHAR) AS line,"
        f" CAST(json_extract(json, [{paths}]) AS VARCHAR[]) AS x FROM {lines}))))"
    )


def _certain(layout: Layout) -> str:
    """Return whether SQL reads a line as `exact` does.

    If a line is what DuckDB writes for what it has read, each value that DuckDB extracts is a part
    of the line, byte for byte.
    """
    return " AND ".join(
        dict.fromkeys(
            (
                "starts_with(line, '{')",
                "CAST(json(json) AS VARCHAR) = line",
                *_unique_names(layout),
                *(_certain_key(f"v{n}") for n in layout.keys),
                *([] if layout.latest is None else [_certain_order(f"v{layout.latest}", layout)]),
                *(f"m{n} IS NOT NULL" for n in layout.moments),
                *(
                    _certain_folder(f"v{n}", column)
                    for n, column in zip(layout.partitions, layout.partition_by, strict=True)
                    if column.grain is Grain.VALUE
                ),
                *(
                    f"(v{n} IS NULL OR {conversion.certain(f'v{n}', column.type)})"
                    for n, column in zip(layout.places, layout.columns, strict=True)
                    if column.type is not None
                ),
            )
        )
    )


def _unique_names(layout: Layout) -> Iterator[str]:
    for parent in layout.parents:
        names = f"json_keys(json, {literal(parent)})"
        if layout.inferred and parent == "$":
            # Also: no member that has no column. Those that have one are the first pointers.
            yield f"len({names}) = list_count(x[:{len(layout.places)}])"
        else:
            yield f"coalesce(len({names}) = len(list_distinct({names})), true)"


def _certain_key(v: str) -> str:
    plain = f"({conversion.is_string(v)} AND NOT contains({v}, '\\'))"
    return f"({plain} OR {conversion.is_plain_integer(v)})"


def _certain_order(v: str, layout: Layout) -> str:
    return f"(m{layout.latest} IS NOT NULL OR {conversion.is_plain_integer(v)})"


def _certain_folder(v: str, column: PartitionColumn) -> str:
    characters = (MAX_FOLDER_BYTES - len(column.name.encode()) * 3 - 1) // _CHARACTER_BYTES
    return f"({v} IS NULL OR ({v}[1] NOT IN ('{{', '[') AND length({v}) <= {characters}))"


def _moments(layout: Layout) -> tuple[int, ...]:
    """Return the pointers of moments, that of `latest_by` included."""
    latest = () if layout.latest is None else (layout.latest,)
    return tuple(dict.fromkeys((*layout.moments, *latest)))


def certain_rows(layout: Layout, columns: int) -> str:
    """Return the certain rows of `staged` as rows, which have so many columns.

    Columns beyond those of the layout were found in other lines.
    """
    latest = layout.latest
    moment = f"m{latest}"
    rank = "1" if latest is None else f"CASE WHEN {moment} IS NULL THEN 1 ELSE 3 END"
    major = "0" if latest is None else f"coalesce({moment}, TRY_CAST(v{latest} AS BIGINT))"
    levels = zip(layout.partitions, layout.partition_by, strict=True)
    parts = [
        "rowid AS ordinal",
        *(f"v{n} AS k{i}" for i, n in enumerate(layout.keys)),
        f"CAST({rank} AS TINYINT) AS rank",
        f"CAST({major} AS HUGEINT) AS major",
        "'' AS minor",
        *(
            f"{level(_level_text(n, column), column)} AS g{i}"
            for i, (n, column) in enumerate(levels)
        ),
        *(f"v{n} AS c{i}" for i, n in enumerate(layout.places)),
        *(f"CAST(NULL AS VARCHAR) AS c{i}" for i in range(len(layout.places), columns)),
    ]
    return f"SELECT {', '.join(parts)} FROM staged WHERE certain"


def _level_text(number: int, column: PartitionColumn) -> str:
    return f"m{number}" if column.grain is not Grain.VALUE else conversion.text(f"v{number}")
