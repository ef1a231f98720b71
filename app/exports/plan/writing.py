"""Write the sorted rows to Parquet files, each with one partition's."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Final

from duckdb import DuckDBPyConnection
from msgspec import Struct

from app.exports.plan.files import export_options, stated_metadata, written
from app.exports.plan.hive import folders
from app.exports.plan.model import Column, PartitionColumn, PartitionRows, TaskFailed, WrittenFile
from app.exports.plan.ordering import Partition
from app.schemas.ddl.duckdb import literal, quoted

# Before the first file is written: JSON compresses better than this.
_FIRST_RATIO: Final = 0.3


class Form(Struct, frozen=True):
    """What the files of an export have in common; `names` are those of columns, quoted."""

    selected: Sequence[str]
    names: Sequence[str]
    stated: str
    levels: Sequence[PartitionColumn]
    output: Path


def form_of(
    columns: Sequence[tuple[int, Column]],
    stated: Sequence[Column],
    levels: Sequence[PartitionColumn],
    output: Path,
) -> Form:
    """Return the form of files with some of the columns that are stated, by their numbers."""
    # Named here only: a column of `sorted` may not be called `rowid`.
    selected = [f"d{n} AS {quoted(column.name)}" for n, column in columns]
    names = [quoted(column.name) for _, column in columns]
    return Form(selected, names, stated_metadata(stated), levels, output)


class Written(Struct, frozen=True):
    """Files, and for each of their columns the number of rows without a value."""

    files: Sequence[WrittenFile]
    nulls: Sequence[int]


class _Range(Struct, frozen=True):
    number: int
    partition: Partition
    first: int
    rows: int


class Ratio:
    """What files take, of the texts in them: measured on those that are written."""

    def __init__(self) -> None:
        """Begin with a guess."""
        self._lock = Lock()
        self._raw = 0.0
        self._written = 0.0

    def add(self, raw: float, written: int) -> None:
        """Count a file."""
        with self._lock:
            self._raw += raw
            self._written += written

    @property
    def value(self) -> float:
        """Return bytes of files for each byte of text."""
        with self._lock:
            return self._written / self._raw if self._raw else _FIRST_RATIO


def write_partitions(
    connection: DuckDBPyConnection,
    partitions: Sequence[Partition],
    form: Form,
    *,
    file_bytes: int,
    threads: int,
    on_rows: Callable[[int], None],
) -> Written:
    """Write the rows of `sorted`, a partition's in one file or in several of about `file_bytes`.

    Raises TaskFailed.
    """
    if partitions and not form.selected:
        message = "the records have no member that is not in the folders"
        raise TaskFailed("columns_differ", message)
    ratio = Ratio()
    # Not submitted ahead: the size of one file decides how many rows the next has.
    ranges, turn = _ranges(partitions, ratio, file_bytes), Lock()

    def write() -> Iterator[tuple[WrittenFile, Sequence[int]]]:
        while True:
            with turn:
                item = next(ranges, None)
            if item is None:
                return
            try:
                file, nulls = _write(connection, item, form)
            except BaseException:
                with turn:
                    ranges.close()
                raise
            ratio.add(item.partition.raw_bytes * item.rows / item.partition.rows, file.size_bytes)
            on_rows(item.rows)
            yield file, nulls

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(lambda: list(write())) for _ in range(threads)]
        found = [pair for each in running for pair in each.result()]
    files = sorted((file for file, _ in found), key=lambda file: file.name.rpartition("/")[2])
    columns = range(len(form.names))
    return Written(files, [sum(nulls[n] for _, nulls in found) for n in columns])


def _ranges(
    partitions: Sequence[Partition], ratio: Ratio, file_bytes: int
) -> Generator[_Range, None, None]:
    number = 0
    for partition in partitions:
        first, left = partition.first, partition.rows
        files = max(1, round(partition.raw_bytes * ratio.value / file_bytes))
        for index in range(files, 0, -1):
            rows = -(-left // index)
            if rows == 0:
                break
            yield _Range(number, partition, first, rows)
            number, first, left = number + 1, first + rows, left - rows


def _write(
    connection: DuckDBPyConnection,
    item: _Range,
    form: Form,
) -> tuple[WrittenFile, Sequence[int]]:
    folder = folders(form.levels, item.partition.values)
    name = f"{folder}/{item.number:06d}.parquet" if folder else f"{item.number:06d}.parquet"
    path = form.output / name
    path.parent.mkdir(parents=True, exist_ok=True)
    options = export_options(
        form.stated, len(form.selected), item.rows, is_rounded=item.partition.is_rounded
    )
    with connection.cursor() as cursor:
        _, rows, _, _, statistics, *_ = copy_sorted(
            cursor, ", ".join(form.selected), item.first, item.rows, path, options
        )
    require_rows(rows, item.rows)
    nulls = [int(statistics[each]["null_count"]) for each in form.names]
    return written(path, name, item.rows, partition=item.partition.values), nulls


def copy_sorted(
    connection: DuckDBPyConnection, selected: str, first: int, rows: int, path: Path, options: str
) -> tuple[Any, ...]:
    """Write rows of `sorted` to a file; return what DuckDB says of it."""
    found = connection.execute(
        f"COPY (SELECT {selected} FROM sorted WHERE rowid BETWEEN {first} AND {first + rows - 1})"
        f" TO {literal(str(path))} {options}"
    ).fetchone()
    assert found is not None  # noqa: S101 - a COPY has a row
    return found


def require_rows(found: int, rows: int) -> None:
    """Require that as many rows were written as were asked for. Raises TaskFailed."""
    if found != rows:
        raise TaskFailed("internal", f"DuckDB has written {found} rows instead of {rows}")


def counts(partitions: Sequence[Partition]) -> list[PartitionRows]:
    """Return the rows of each partition, and about what they take as texts."""
    return [
        PartitionRows(partition=each.values, rows=each.rows, size_bytes=each.raw_bytes)
        for each in partitions
    ]
