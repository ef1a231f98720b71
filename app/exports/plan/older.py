"""Read what an earlier export has written, where newer lines change it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from duckdb import DuckDBPyConnection

from app.exports.plan import conversion, numbers
from app.exports.plan.continuing import CannotRead, Reading, reading_of
from app.exports.plan.files import columns_of, read_parquet, rounded_file
from app.exports.plan.hive import folders
from app.exports.plan.levels import level_names, list_partitions
from app.exports.plan.members import string_of
from app.exports.plan.model import Column, HeldFile, Plan, TaskFailed
from app.exports.plan.moments import parse_moment
from app.exports.plan.ordering import SORTED_BY
from app.exports.plan.sharing import once
from app.exports.plan.sums import sum_of
from app.schemas.ddl.duckdb import literal, quoted

# Older than all lines, which are numbered from 0.
_FIRST_ORDINAL: Final = -(2**62)
_BATCH: Final = 1_000


class _Base(msgspec.Struct, frozen=True):
    """The files of the earlier export, and names of columns that none of them has."""

    files: Sequence[HeldFile]
    reading: Reading
    name: str
    place: str

    @property
    def file(self) -> str:
        return f"held.{quoted(self.name)}"

    def folder_of(self, local: str, plan: Plan) -> str:
        """Return where a file is, in words; empty without levels."""
        partition = next(each.partition for each in self.files if each.local == local)
        path = folders(plan.partition_by, partition)
        return f" in {path}" if path else ""

    def held(self, numbers_: Sequence[int]) -> str:
        locals_ = [self.files[n].local for n in numbers_]
        return f"{read_parquet(locals_, name=self.name)} AS held"


def known_columns(connection: DuckDBPyConnection, base: Sequence[HeldFile]) -> tuple[Column, ...]:
    """Return the columns that the earlier export has stated, none without files."""
    return columns_of(connection, base[0].local) if base else ()


def take_older(
    connection: DuckDBPyConnection,
    base: Sequence[HeldFile],
    columns: Sequence[tuple[int, Column]],
    plan: Plan,
    spill: Path,
) -> list[int]:
    """Make the table `older` of the rows of files that `rows` change; return the files' numbers.

    Those are the files that hold a key of `rows`, or lie in a partition of one that is not in
    `losers`. Raises TaskFailed.
    """
    try:
        reading = reading_of(plan, [column for _, column in columns])
    except CannotRead as reason:
        raise TaskFailed("columns_differ", str(reason)) from None
    files = _Base(base, reading, _free_name("file", columns), _free_name("place", columns))
    partitions = [held.partition for held in base]
    list_partitions(
        connection, "base", partitions, plan.partition_by, [held.local for held in base]
    )
    touched = _touched(connection, files, plan)
    if touched:
        _require_exact(connection, files, touched, plan)
    _read(connection, files, touched, columns, plan)
    if plan.latest_by is not None:
        _read_orders(connection, spill)
    return touched


def older_rows(columns: Sequence[tuple[int, Column]], plan: Plan) -> str:
    """Return `older` as `typed` has the new rows."""
    values = [f"d{n}" for n, _ in once(columns)]
    size = sum_of([f"coalesce(strlen(CAST(d{n} AS VARCHAR)), 0)" for n, _ in columns])
    # None of them is rounded: `take_older` has refused files that are.
    made = (f"{size} AS size", "false AS is_rounded", *values)
    names = (*SORTED_BY, *level_names(plan.partition_by), *made)
    return f"SELECT {', '.join(names)} FROM older"


def older_nulls(
    connection: DuckDBPyConnection, columns: Sequence[tuple[int, Column]]
) -> Sequence[int]:
    """Count the rows of `older` without a value, for each column."""
    found = connection.execute(
        f"SELECT {', '.join(f'count(*) - count(d{n})' for n, _ in columns)} FROM older"
    ).fetchone()
    return found or ()


def _free_name(name: str, columns: Sequence[tuple[int, Column]]) -> str:
    taken = {column.name.lower() for _, column in columns}
    while name in taken:
        name += "_"
    return name


def _touched(connection: DuckDBPyConnection, base: _Base, plan: Plan) -> list[int]:
    found: list[tuple[int]] = []
    keys = [f"{key} AS k{n}" for n, key in enumerate(base.reading.keys)]
    if keys:
        source = base.held(range(len(base.files)))
        _require_clear(connection, source, base.reading, plan.key)
        same = ", ".join(f"k{n}" for n in range(len(keys)))
        found += connection.execute(
            f"SELECT DISTINCT number FROM base JOIN (SELECT {base.file} AS file, {', '.join(keys)}"
            f" FROM {source}) USING (file) SEMI JOIN rows USING ({same})"
        ).fetchall()
    names = list(level_names(plan.partition_by))
    same = " AND ".join(f"base.{name} IS NOT DISTINCT FROM fresh.{name}" for name in names)
    found += connection.execute(
        f"SELECT DISTINCT number FROM base JOIN (SELECT DISTINCT {', '.join(names) or '1'}"
        f" FROM rows ANTI JOIN losers USING (ordinal)) AS fresh ON {same or 'true'}"
    ).fetchall()
    return sorted({number for (number,) in found})


def _require_exact(
    connection: DuckDBPyConnection, base: _Base, touched: Sequence[int], plan: Plan
) -> None:
    """Refuse files whose rows cannot be compared with new ones. Raises TaskFailed."""
    if plan.latest_by is None:
        return
    _require_clear(connection, base.held(touched), base.reading, [plan.latest_by])
    rounded = rounded_file(connection, [base.files[n].local for n in touched])
    if rounded is not None:
        at = base.folder_of(rounded, plan)
        message = (
            f"{plan.latest_by}: a value{at} had more digits in the earlier export than its column "
            "keeps; omit `since` to export everything, with the type json for it if that is to be "
            "continued"
        )
        raise TaskFailed("columns_differ", message, {"pointer": plan.latest_by})


def _require_clear(
    connection: DuckDBPyConnection, source: str, reading: Reading, pointers: Sequence[str]
) -> None:
    for pointer in pointers:
        unclear = reading.unclear.get(pointer)
        if (
            unclear
            and connection.execute(f"SELECT 1 FROM {source} WHERE {unclear} LIMIT 1").fetchone()
        ):
            message = (
                f"{pointer}: a text in the files of the earlier export was a number or a string; "
                "omit `since`; where all are texts, exports without a type for the column can be "
                "continued, and where some are numbers, a pipe's script can make them one kind"
            )
            raise TaskFailed("columns_differ", message)


def _read(
    connection: DuckDBPyConnection,
    base: _Base,
    touched: Sequence[int],
    columns: Sequence[tuple[int, Column]],
    plan: Plan,
) -> None:
    keys = base.reading.keys
    parts = [
        f"held.{quoted(base.place)} AS place",
        *(f"{key} AS k{n}" for n, key in enumerate(keys)),
        f"{base.reading.order} AS latest",
        f"{base.reading.moment} AS moment",
        *(f"base.{name}" for name in level_names(plan.partition_by)),
        *(f"held.{quoted(column.name)} AS d{n}" for n, column in once(columns)),
    ]
    if touched:
        # Numbered before they are joined, which keeps no order.
        numbered = f"SELECT *, row_number() OVER () AS {quoted(base.place)}"
        held = f"({numbered} FROM {base.held(touched)}) AS held"
        source = f"{held} JOIN base ON base.file = {base.file}"
    else:
        source = "base WHERE false"
        parts = [
            "0 AS place",
            *(f"'' AS k{n}" for n in range(len(keys))),
            "'' AS latest",
            "0 AS moment",
            *level_names(plan.partition_by),
            *(f"NULL AS d{n}" for n, _ in once(columns)),
        ]
    rank, major = "1", "0"
    if plan.latest_by is not None:
        plain = conversion.is_plain_integer("latest")
        rank = (
            f"CASE WHEN us IS NOT NULL THEN {numbers.MOMENT} WHEN {plain} THEN {numbers.NUMBER} END"
        )
        major = f"CASE WHEN us IS NOT NULL THEN us WHEN {plain} THEN CAST(latest AS BIGINT) END"
    connection.execute(
        f"CREATE TABLE older AS SELECT place + {_FIRST_ORDINAL} AS ordinal,"
        f" CAST({rank} AS TINYINT) AS rank, CAST({major} AS HUGEINT) AS major, '' AS minor,"
        " * EXCLUDE (place, moment, us) FROM"
        f" (SELECT *, coalesce(moment, {conversion.moment_us('latest')}) AS us"
        f" FROM (SELECT {', '.join(parts)} FROM {source}))"
    )


def _read_orders(connection: DuckDBPyConnection, spill: Path) -> None:
    """Complete the rows of `older` whose order is not certain."""
    file = spill / "orders.jsonl"
    query = connection.execute("SELECT ordinal, latest FROM older WHERE rank IS NULL")
    with file.open("wb") as orders:
        while batch := query.fetchmany(_BATCH):
            orders.writelines(msgspec.json.encode(order) + b"\n" for order in _orders(batch))
    columns = "{o: 'BIGINT', r: 'TINYINT', j: 'HUGEINT', n: 'VARCHAR'}"
    connection.execute(
        "UPDATE older SET rank = r, major = j, minor = n FROM"
        f" read_json({literal(str(file))}, format = 'newline_delimited', columns = {columns})"
        " WHERE ordinal = o"
    )
    file.unlink()


def _orders(batch: Sequence[tuple[int, str]]) -> Iterator[dict[str, object]]:
    for ordinal, text in batch:
        if text.startswith('"'):
            moment = parse_moment(string_of(text.encode()))
            order = numbers.Order(numbers.MOMENT, moment.us, moment.rest)
        else:
            order = numbers.order_of(text)
        yield {"o": ordinal, "r": order.rank, "j": str(order.major), "n": order.minor}
