"""Carry out an export in stages: lines to buckets, buckets to survivors, survivors to files.

Files between stages have what `rows` has: `ordinal`, numbered through all tasks, keys, orders,
levels, and the texts of columns under `c:` and the name of the first column that has them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from duckdb import DuckDBPyConnection

from app.exports.plan.files import (
    columns_in,
    have_equal_columns,
    read_parquet,
    stage_options,
    written,
)
from app.exports.plan.levels import level_names, list_partitions
from app.exports.plan.loading import load
from app.exports.plan.model import (
    BucketTask,
    Column,
    HeldFile,
    MapTask,
    Plan,
    Report,
    Resources,
    TaskFailed,
    WriteTask,
    WrittenFile,
)
from app.exports.plan.ordering import (
    Partition,
    divide,
    kept,
    sort,
    sort_by_levels,
    sort_typed,
    typed,
)
from app.exports.plan.progress import Meter
from app.exports.plan.session import threads_of
from app.exports.plan.sharing import texts_of
from app.exports.plan.sums import sum_of
from app.exports.plan.survivors import count, find_losers, ranked
from app.exports.plan.writing import (
    copy_sorted,
    counts,
    form_of,
    require_rows,
    write_partitions,
)
from app.schemas.ddl.duckdb import quoted

# Of one map task.
_MAX_RECORDS: Final = 2**40
_TEXT: Final = "c:"
# Of those whose columns differ: `read_parquet` says why.
_FILES_AT_ONCE: Final = 32


def run_map(
    connection: DuckDBPyConnection,
    task: MapTask,
    plan: Plan,
    resources: Resources,
    output: Path,
    meter: Meter,
) -> Report:
    """Write a file for each bucket that has rows. Raises TaskFailed."""
    loaded = load(connection, task.sources, plan, resources, meter, is_part=True)
    values = [
        f"ordinal + {task.number * _MAX_RECORDS} AS ordinal",
        *_shared(plan),
        *(f"c{n} AS {quoted(_TEXT + loaded.columns[n].name)}" for n in dict.fromkeys(loaded.texts)),
    ]
    source = f"(SELECT *, {_bucket(plan, task.buckets)} AS bucket, 1 AS size FROM rows)"
    with meter.step(0.3):
        buckets = divide(connection, source, ["bucket"], ["CAST(bucket AS VARCHAR)"])
        sort(connection, source, values, ["bucket"])
    files = [_write(connection, each, output, len(values)) for each in buckets]
    return Report(
        rows_in=loaded.rows_in,
        rows_out=sum(file.rows for file in files),
        duplicates=0,
        bad_rows=loaded.bad_rows,
        bad=loaded.bad,
        files=files,
        columns=loaded.columns,
        cpu_ms=0.0,
        peak_memory_bytes=0,
    )


def run_bucket(
    connection: DuckDBPyConnection, task: BucketTask, plan: Plan, output: Path, meter: Meter
) -> Report:
    """Write the survivors of a bucket to one file, sorted by partition."""
    names = _view_rows(connection, task.held, plan)
    rows_in = count(connection, "rows")
    connection.execute(f"CREATE VIEW ranked AS {ranked('rows', len(plan.key))}")
    with meter.step(0.3):
        duplicates = find_losers(connection, len(plan.key))
    values = [
        "ordinal",
        *_shared(plan),
        *(f"c{n} AS {quoted(_TEXT + name)}" for n, name in enumerate(names)),
    ]
    with meter.step(0.4):
        texts_size = sum_of([f"coalesce(strlen(c{n}), 0)" for n in range(len(names))])
        source = f"(SELECT *, {texts_size} AS size FROM rows) ANTI JOIN losers USING (ordinal)"
        partitions = sort_by_levels(connection, source, values, plan)
    _drop_rows(connection)
    rows_out = rows_in - duplicates
    whole = Partition((str(task.bucket),), 0, rows_out, 0)
    return Report(
        rows_in=rows_in,
        rows_out=rows_out,
        duplicates=duplicates,
        bad_rows=0,
        bad=(),
        files=[_write(connection, whole, output, len(values))] if rows_out else [],
        columns=(),
        partitions=counts(partitions),
        cpu_ms=0.0,
        peak_memory_bytes=0,
    )


def run_write(
    connection: DuckDBPyConnection,
    task: WriteTask,
    plan: Plan,
    resources: Resources,
    output: Path,
    meter: Meter,
) -> Report:
    """Write the files of some partitions. `plan.columns` have types, those of `UnitedColumns`.

    Raises TaskFailed.
    """
    columns = tuple(_stated(plan))
    list_partitions(connection, "wanted", task.partitions, plan.partition_by)
    stated = kept(columns, plan)
    texts = [plan.columns[n].name for n in texts_of(plan.columns)]
    _view_rows(connection, task.held, plan, _wanted(plan), names=texts)
    connection.execute(f"CREATE VIEW typed AS {typed(stated, plan)}")
    with meter.step(0.6):
        partitions = sort_typed(connection, "typed", stated, plan)
    _drop_rows(connection)
    total = sum(partition.rows for partition in partitions)
    done = write_partitions(
        connection,
        partitions,
        form_of(stated, columns, plan.partition_by, output),
        file_bytes=plan.file_bytes,
        threads=threads_of(resources),
        on_rows=lambda rows: meter.add(0.4 * rows / total),
    )
    return Report(
        rows_in=total,
        rows_out=total,
        duplicates=0,
        bad_rows=0,
        bad=(),
        files=done.files,
        columns=[column for _, column in stated],
        partitions=counts(partitions),
        nulls=done.nulls,
        cpu_ms=0.0,
        peak_memory_bytes=0,
    )


def _shared(plan: Plan) -> list[str]:
    """Return what all files between stages have, besides ordinals and columns."""
    # Parquet has no integers of 128 bits.
    return [
        *(f"k{n}" for n in range(len(plan.key))),
        "rank",
        "CAST(major AS DECIMAL(38, 0)) AS major",
        "minor",
        *level_names(plan.partition_by),
    ]


def _bucket(plan: Plan, buckets: int) -> str:
    """Return the bucket of a row; equal on all hosts, whatever the version of DuckDB."""
    if not plan.key:
        return f"ordinal % {buckets}"
    keys = ", ".join(f"k{n}" for n in range(len(plan.key)))
    return f"CAST(md5_number(concat_ws(chr(0), {keys})) % {buckets} AS BIGINT)"


def _view_rows(
    connection: DuckDBPyConnection,
    held: Sequence[HeldFile],
    plan: Plan,
    wanted: str = "",
    *,
    names: Sequence[str] | None = None,
) -> Sequence[str]:
    """Make the view `rows` of files between stages; return the names of its texts.

    They are those of the files, or `names`, which can repeat. Those that no file has are null:
    only bad rows had these members.
    """
    if not held:
        raise TaskFailed("input_deleted", "the task has no files of the stage before")
    source = _united(connection, [each.local for each in held], wanted)
    held_names = [
        name.removeprefix(_TEXT)
        for name in columns_in(connection, source)
        if name.startswith(_TEXT)
    ]
    names = held_names if names is None else names
    present = set(held_names)
    texts = (quoted(_TEXT + name) if name in present else "CAST(NULL AS VARCHAR)" for name in names)
    shared = (
        *(f"k{n}" for n in range(len(plan.key))),
        *level_names(plan.partition_by),
        *(f"{text} AS c{n}" for n, text in enumerate(texts)),
    )
    connection.execute(
        "CREATE VIEW rows AS SELECT ordinal, rank, CAST(major AS HUGEINT) AS major, minor,"
        f" {', '.join(shared)} FROM {source}"
    )
    return names


def _united(connection: DuckDBPyConnection, locals_: Sequence[str], wanted: str) -> str:
    """Return the source of the rows of all files that are `wanted`.

    Where their columns differ, as members of records do, that is a table.
    """
    if have_equal_columns(connection, locals_):
        return read_parquet(locals_) + wanted
    sources = [
        read_parquet(locals_[first : first + _FILES_AT_ONCE], are_equal=False) + wanted
        for first in range(0, len(locals_), _FILES_AT_ONCE)
    ]
    columns: dict[str, str] = {}
    for source in sources:
        columns |= columns_in(connection, source)
    described = ", ".join(f"{quoted(name)} {of}" for name, of in columns.items())
    connection.execute(f"CREATE TABLE united ({described})")
    for source in sources:
        connection.execute(f"INSERT INTO united BY NAME SELECT * FROM {source}")
    return "united"


def _drop_rows(connection: DuckDBPyConnection) -> None:
    """Give up the room of rows that have been sorted."""
    connection.execute("DROP TABLE IF EXISTS united")


def _wanted(plan: Plan) -> str:
    """Return the condition of rows that are in a partition of the task."""
    same = (
        f"held.{name} IS NOT DISTINCT FROM wanted.{name}" for name in level_names(plan.partition_by)
    )
    return f" AS held SEMI JOIN wanted ON {' AND '.join(same) or 'true'}"


def _stated(plan: Plan) -> Iterator[Column]:
    for column in plan.columns:
        if column.type is None:
            message = f"the type of {column.name!r} is not known before the last stage"
            raise TaskFailed("columns_differ", message)
        yield Column(
            name=column.name, type=column.type, source=column.source, mixed_at=column.mixed_at
        )


def _write(
    connection: DuckDBPyConnection, part: Partition, output: Path, columns: int
) -> WrittenFile:
    """Write rows of `sorted` to the file of a bucket."""
    bucket = int(part.values[0] or 0)
    name = f"bucket-{bucket:05d}.parquet"
    options = stage_options(columns)
    (rows,) = copy_sorted(connection, "*", part.first, part.rows, output / name, options)
    require_rows(rows, part.rows)
    return written(output / name, name, part.rows, bucket=bucket)
