"""Sort rows by partition and, within, by `latest_by` and file order."""

from collections.abc import Sequence
from typing import Final

from duckdb import DuckDBPyConnection
from msgspec import Struct

from app.exports.plan import conversion
from app.exports.plan.continuing import rounded_order
from app.exports.plan.hive import require_short_folders
from app.exports.plan.layout import require_few_partitions
from app.exports.plan.levels import level_names, level_text
from app.exports.plan.model import Column, Plan
from app.exports.plan.sharing import once, values_of
from app.exports.plan.sums import sum_of
from app.exports.plan.survivors import count

_SMALL: Final = 2**63
SORTED_BY: Final = ("ordinal", "rank", "major", "minor")


class Partition(Struct, frozen=True):
    """A partition: its values, the place of its rows in `sorted`, and about what they take.

    `is_rounded`: what orders its rows has more than the columns keep.
    """

    values: tuple[str | None, ...]
    first: int
    rows: int
    raw_bytes: int
    is_rounded: bool = False


def kept(columns: Sequence[Column], plan: Plan) -> list[tuple[int, Column]]:
    """Return the columns of the files, with the numbers of their values.

    The folders have the others.
    """
    levels = {column.name.lower() for column in plan.partition_by}
    numbered = zip(values_of(columns, plan), columns, strict=True)
    return [(n, column) for n, column in numbered if column.name.lower() not in levels]


def typed(columns: Sequence[tuple[int, Column]], plan: Plan) -> str:
    """Return `rows` with `d0`… of the columns' types instead of their texts."""
    values = (
        f"{conversion.converted(f'c{n}', column.type)} AS d{n}" for n, column in once(columns)
    )
    # The texts say what the values take, without converting them.
    size = sum_of([f"coalesce(strlen(c{n}), 0)" for n, _ in columns])
    rounded = f"{rounded_order(plan, columns)} AS is_rounded"
    names = (*SORTED_BY, *level_names(plan.partition_by), f"{size} AS size", rounded, *values)
    return f"SELECT {', '.join(names)} FROM rows"


def sort_typed(
    connection: DuckDBPyConnection,
    source: str,
    columns: Sequence[tuple[int, Column]],
    plan: Plan,
) -> list[Partition]:
    """Make the table `sorted` of `typed` rows, and return the partitions in its order.

    Raises TaskFailed.
    """
    values = [f"d{n}" for n, _ in once(columns)]
    return sort_by_levels(connection, source, values, plan, is_rounded="is_rounded")


def sort_by_levels(
    connection: DuckDBPyConnection,
    source: str,
    values: Sequence[str],
    plan: Plan,
    *,
    is_rounded: str = "false",
) -> list[Partition]:
    """Make the table `sorted` of values, and return the partitions of the folders in its order.

    Raises TaskFailed.
    """
    levels = plan.partition_by
    names = list(level_names(levels))
    texts = [level_text(name, column) for name, column in zip(names, levels, strict=True)]
    partitions = divide(connection, source, names, texts, is_rounded=is_rounded)
    require_short_folders([each.values for each in partitions], plan)
    sort(connection, source, values, names)
    return partitions


def divide(
    connection: DuckDBPyConnection,
    source: str,
    names: Sequence[str],
    texts: Sequence[str],
    *,
    is_rounded: str = "false",
) -> list[Partition]:
    """Return the partitions of rows, by which `sort` sorts them.

    Rows with equal `names` are a partition, whose values are `texts`. `size` of a row is about its
    bytes. `is_rounded` is the condition of one that makes its partition so. Raises TaskFailed for
    too many partitions.
    """
    grouped = "".join(f"{name}, " for name in names)
    order = f"ORDER BY {', '.join(names)}" if names else ""
    connection.execute(
        f"CREATE TABLE parts AS SELECT *, row_number() OVER ({order}) AS part"
        f" FROM (SELECT {grouped}count(*) AS count, sum(size) AS bytes,"
        f" coalesce(bool_or({is_rounded}), false) AS is_rounded FROM {source}"
        f" {'GROUP BY ALL' if names else 'HAVING count(*) > 0'})"
    )
    require_few_partitions(count(connection, "parts"))
    shown = "".join(f", {text}" for text in texts)
    found = connection.execute(
        f"SELECT count, bytes, is_rounded{shown} FROM parts ORDER BY part"
    ).fetchall()
    partitions, first = [], 0
    for rows, raw_bytes, rounded, *partition in found:
        partitions.append(Partition(tuple(partition), first, rows, int(raw_bytes), rounded))
        first += rows
    return partitions


def sort(
    connection: DuckDBPyConnection, source: str, values: Sequence[str], names: Sequence[str]
) -> None:
    """Make the table `sorted` of values, in the order of the partitions of `divide`."""
    renamed = "".join(f", {name} AS of_{name}" for name in names)
    same = " AND ".join(f"of_{name} IS NOT DISTINCT FROM {name}" for name in names)
    selected = ", ".join(values) or "NULL"
    connection.execute(
        f"CREATE TABLE sorted AS SELECT {selected} FROM {source}"
        f" JOIN (SELECT part{renamed} FROM parts) ON {same or 'true'}"
        f" ORDER BY part, {_sort_keys(connection, source)}"
    )
    connection.execute("DROP TABLE parts")


def _sort_keys(connection: DuckDBPyConnection, source: str) -> str:
    """Return what orders rows: keys that are equal in all of them, or small, cost nothing."""
    found = connection.execute(
        "SELECT coalesce(min(rank) = max(rank), true), coalesce(bool_and(minor = ''), true),"
        f" coalesce(bool_and(abs(major) < {_SMALL}), true) FROM {source}"
    ).fetchone()
    one_rank, no_minors, small = found or (False, False, False)
    keys = [] if one_rank else ["rank"]
    keys.append("CAST(major AS BIGINT)" if small else "major")
    keys += [] if no_minors else ["minor"]
    return ", ".join((*keys, "ordinal"))
