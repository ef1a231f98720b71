"""Write the sorted rows to Parquet files, each with one partition's."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final

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
    """What the files of an export have in common."""

    selected: Sequence[str]
    stated: str
    levels: Sequence[PartitionColumn]
    output: Path


def form_of(
    columns: Sequence[tuple[int, Column]],
    stated: Sequence[Column],
    levels: Sequence[PartitionColumn],
    output: Path,
    *,
    has_order: bool,
) -> Form:
    """Return the form of files with some of the columns that are stated, by their numbers."""
    # Named here only: a column of `sorted` may not be called `rowid`.
    selected = [f"d{n} AS {quoted(column.name)}" for n, column in columns]
    return Form(selected, stated_metadata(stated, has_order=has_order), levels, output)


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
) -> list[WrittenFile]:
    """Write the rows of `sorted`, a partition's in one file or in several of about `file_bytes`.

    Raises TaskFailed.
    """
    if partitions and not form.selected:
        message = "the records have no member that is not in the folders"
        raise TaskFailed("columns_differ", message)
    ratio = Ratio()
    # Not submitted ahead: the size of one file decides how many rows the next has.
    ranges, turn = _ranges(partitions, ratio, file_bytes), Lock()

    def write() -> Iterator[WrittenFile]:
        while True:
            with turn:
                item = next(ranges, None)
            if item is None:
                return
            try:
                file = _write(connection, item, form)
            except BaseException:
                with turn:
                    ranges.close()
                raise
            ratio.add(item.partition.raw_bytes * item.rows / item.partition.rows, file.size_bytes)
            on_rows(item.rows)
            yield file

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(lambda: list(write())) for _ in range(threads)]
        files = [file for each in running for file in each.result()]
    return sorted(files, key=lambda file: file.name.rpartition("/")[2])


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
) -> WrittenFile:
    folder = folders(form.levels, item.partition.values)
    name = f"{folder}/{item.number:06d}.parquet" if folder else f"{item.number:06d}.parquet"
    path = form.output / name
    path.parent.mkdir(parents=True, exist_ok=True)
    options = export_options(form.stated, len(form.selected), item.rows)
    with connection.cursor() as cursor:
        copy_sorted(cursor, ", ".join(form.selected), item.first, item.rows, path, options)
    return written(path, name, item.rows, partition=item.partition.values)


def copy_sorted(
    connection: DuckDBPyConnection, selected: str, first: int, rows: int, path: Path, options: str
) -> None:
    """Write rows of `sorted` to a file, and count them. Raises TaskFailed."""
    found = connection.execute(
        f"COPY (SELECT {selected} FROM sorted WHERE rowid BETWEEN {first} AND {first + rows - 1})"
        f" TO {literal(str(path))} {options}"
    ).fetchone()
    if found != (rows,):
        raise TaskFailed("internal", f"DuckDB has written {found} rows instead of {rows}")


def counts(partitions: Sequence[Partition]) -> list[PartitionRows]:
    """Return the rows of each partition, and about what they take as texts."""
    return [
        PartitionRows(partition=each.values, rows=each.rows, size_bytes=each.raw_bytes)
        for each in partitions
    ]
