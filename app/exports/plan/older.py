"""Read what an earlier export has written, where newer lines change it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from duckdb import DuckDBPyConnection

from app.exports.plan import conversion, numbers
from app.exports.plan.files import columns_of, read_parquet
from app.exports.plan.levels import level_names, stored_type
from app.exports.plan.members import string_of
from app.exports.plan.model import JSON_TEXT, Column, HeldFile, Plan, TaskFailed
from app.exports.plan.moments import parse_moment
from app.exports.plan.ordering import SORTED_BY
from app.schemas.ddl.duckdb import literal, quoted
from app.schemas.ddl.types import INTEGERS, Kind, Scalar

# Older than all lines, which are numbered from 0.
_FIRST_ORDINAL: Final = -(2**62)
_INTEGERS: Final = frozenset(kind for kind, _ in INTEGERS)
_BATCH: Final = 1_000
# No name of a column in practice.
_FILE: Final = 'held."crivo:file"'


def known_columns(connection: DuckDBPyConnection, base: Sequence[HeldFile]) -> tuple[Column, ...]:
    """Return the columns that the earlier export has stated, none without files."""
    return columns_of(connection, base[0].local) if base else ()


def take_older(
    connection: DuckDBPyConnection,
    base: Sequence[HeldFile],
    columns: Sequence[tuple[int, Column]],
    pointers: Sequence[str],
    plan: Plan,
    spill: Path,
) -> list[int]:
    """Make the table `older` of the rows of files that `rows` change; return the files' numbers.

    Those are the files that hold a key of `rows`, or lie in a partition of one that is not in
    `losers`. `pointers` are those of all columns, by their numbers. Raises TaskFailed.
    """
    by_pointer = {pointers[n]: column for n, column in columns}
    _list_files(connection, base, plan)
    files = _named(held.local for held in base)
    keys = [
        f"{_key(by_pointer.get(pointer), pointer)} AS k{n}" for n, pointer in enumerate(plan.key)
    ]
    touched = _touched(connection, files, keys, plan)
    _read(connection, [base[n].local for n in touched], keys, columns, by_pointer, plan)
    if plan.latest_by is not None:
        _read_orders(connection, spill)
    return touched


def older_rows(columns: Sequence[tuple[int, Column]], plan: Plan) -> str:
    """Return `older` as `typed` has the new rows."""
    values = [f"d{n}" for n, _ in columns]
    size = " + ".join(["0", *(f"coalesce(strlen(CAST({d} AS VARCHAR)), 0)" for d in values)])
    names = (*SORTED_BY, *level_names(plan.partition_by), f"{size} AS size", *values)
    return f"SELECT {', '.join(names)} FROM older"


def _list_files(connection: DuckDBPyConnection, base: Sequence[HeldFile], plan: Plan) -> None:
    levels = "".join(f", g{n} {stored_type(column)}" for n, column in enumerate(plan.partition_by))
    connection.execute(f"CREATE TABLE base (number INTEGER, file VARCHAR{levels})")
    marks = ", ".join("?" * (2 + len(plan.partition_by)))
    for number, held in enumerate(base):
        connection.execute(
            f"INSERT INTO base VALUES ({marks})", [number, held.local, *held.partition]
        )


def _touched(
    connection: DuckDBPyConnection, files: str, keys: Sequence[str], plan: Plan
) -> list[int]:
    found: list[tuple[int]] = []
    if plan.key:
        same = ", ".join(f"k{n}" for n in range(len(plan.key)))
        found += connection.execute(
            f"SELECT DISTINCT number FROM base JOIN (SELECT {_FILE} AS file, {', '.join(keys)}"
            f" FROM {files}) USING (file) SEMI JOIN rows USING ({same})"
        ).fetchall()
    names = list(level_names(plan.partition_by))
    same = " AND ".join(f"base.{name} IS NOT DISTINCT FROM fresh.{name}" for name in names)
    found += connection.execute(
        f"SELECT DISTINCT number FROM base JOIN (SELECT DISTINCT {', '.join(names) or '1'}"
        f" FROM rows ANTI JOIN losers USING (ordinal)) AS fresh ON {same or 'true'}"
    ).fetchall()
    return sorted({number for (number,) in found})


def _read(
    connection: DuckDBPyConnection,
    locals_: Sequence[str],
    keys: Sequence[str],
    columns: Sequence[tuple[int, Column]],
    by_pointer: dict[str, Column],
    plan: Plan,
) -> None:
    text = "NULL" if plan.latest_by is None else _order_text(by_pointer, plan.latest_by)
    parts = [
        *keys,
        f"CAST({text} AS VARCHAR) AS latest",
        *(f"base.{name}" for name in level_names(plan.partition_by)),
        *(f"held.{quoted(column.name)} AS d{n}" for n, column in columns),
    ]
    source = f"{_named(locals_)} JOIN base ON base.file = {_FILE}"
    if not locals_:
        source = "(SELECT * FROM base WHERE false)"
        parts = [
            *(f"'' AS k{n}" for n in range(len(keys))),
            "'' AS latest",
            *level_names(plan.partition_by),
            *(f"NULL AS d{n}" for n, _ in columns),
        ]
    us = conversion.moment_us("latest")
    rank, major = f"CASE WHEN {us} IS NULL THEN NULL ELSE 3 END", us
    if plan.latest_by is None:
        rank, major = "1", "0"
    connection.execute(
        f"CREATE TABLE older AS SELECT row_number() OVER () + {_FIRST_ORDINAL} AS ordinal,"
        f" CAST({rank} AS TINYINT) AS rank, CAST({major} AS HUGEINT) AS major, '' AS minor, *"
        f" FROM (SELECT {', '.join(parts)} FROM {source})"
    )


def _named(locals_: Iterable[str]) -> str:
    return f"{read_parquet(list(locals_), name='crivo:file')} AS held"


def _key(column: Column | None, pointer: str) -> str:
    match column:
        case Column(name=name, type=Scalar(kind=Kind.STRING) as of) if of != JSON_TEXT:
            return f"'\"' || held.{quoted(name)} || '\"'"
        case Column(name=name, type=Scalar(kind=kind)) if kind in _INTEGERS:
            text = f"CAST(held.{quoted(name)} AS VARCHAR)"
            zeros = f"length({text}) - length(rtrim({text}, '0'))"
            return (
                f"CASE WHEN abs(CAST(held.{quoted(name)} AS HUGEINT)) < 10::HUGEINT ** "
                f"{numbers.MAX_PLAIN_DIGITS} THEN {text}"
                f" ELSE rtrim({text}, '0') || 'e' || ({zeros}) END"
            )
        case _:
            message = (
                f"{pointer}: the key of an export that goes on is a column of text or integers; "
                "add it to `columns` of both exports, or omit `since` to export everything"
            )
            raise TaskFailed("columns_differ", message)


def _order_text(by_pointer: dict[str, Column], pointer: str) -> str:
    """Return the JSON text of the value that orders rows."""
    column = by_pointer.get(pointer)
    match column:
        case Column(name=name, type=Scalar(kind=Kind.STRING) as of):
            value = f"held.{quoted(name)}"
            return value if of == JSON_TEXT else f"to_json({value})"
        case Column(name=name, type=Scalar(kind=Kind.TIMESTAMP | Kind.DATE)):
            moment = f"CAST(held.{quoted(name)} AS TIMESTAMPTZ)"
            return f"to_json(strftime({moment}, '%Y-%m-%dT%H:%M:%S.%fZ'))"
        case Column(name=name, type=Scalar(kind=kind)) if kind in (
            *_INTEGERS,
            Kind.DOUBLE,
            Kind.DECIMAL,
        ):
            return f"held.{quoted(name)}"
        case _:
            message = (
                f"{pointer}: what orders the rows of an export that goes on is a column; "
                "add it to `columns` of both exports, or omit `since` to export everything"
            )
            raise TaskFailed("columns_differ", message)


def _read_orders(connection: DuckDBPyConnection, spill: Path) -> None:
    """Complete the rows of `older` whose order is not certain."""
    file = spill / "orders.jsonl"
    query = connection.execute("SELECT ordinal, latest FROM older WHERE rank IS NULL")
    with file.open("wb") as orders:
        while batch := query.fetchmany(_BATCH):
            orders.writelines(map(msgspec.json.encode, _orders(batch)))
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
