"""Define what an export does to rows, its tasks, and what a task reports."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

from app.schemas.ddl.types import Kind, Scalar, Type

# A column of values as JSON text, strings in quotes. Of `Scalar(Kind.STRING)` they have none.
JSON_TEXT: Final = Scalar(Kind.STRING, note="JSON as text")
# What a folder is named for no value: a reader cannot tell this text from none.
DEFAULT_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"


class Grain(StrEnum):
    """What a column of a partition holds: a part of a moment in UTC, or a value as it is."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    VALUE = "value"


class OnBadRow(StrEnum):
    """What becomes of a row that cannot be exported."""

    FAIL = "fail"
    DEAD_LETTER = "dead_letter"


class PartitionColumn(Struct, frozen=True, kw_only=True):
    """A level of the folders, `name=value`."""

    name: str
    grain: Grain
    pointer: str


class ValuePlace(Struct, frozen=True, kw_only=True):
    """The line of the sources that has a value."""

    path: str
    line: int


class SeenKind(Struct, frozen=True, kw_only=True):
    """The first value of a kind, which is a bit of those of `conversion.kind_of`, in a column."""

    kind: int
    at: ValuePlace


class ExportColumn(Struct, frozen=True, kw_only=True):
    """A column of the files: the value at a JSON pointer, with its type.

    `type` None: inferred from the rows, and stated in the report. `source` is where the type is
    from, and `mixed_at` where it became JSON, as of Column.
    """

    name: str
    pointer: str
    type: Type | None = None
    source: str = "inferred"
    mixed_at: ValuePlace | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """What an export does; equal plans over equal lines give equal rows in equal partitions.

    Without `key` nothing is deduplicated. Without `latest_by` the last row of a key in file order
    counts; of rows with equal values the later in file order counts, too. Without `columns` they
    are all members of the records, those of bad rows included, inferred. `max_folder_bytes` is
    what a key at the destination has room for; None: paths of folders are not bounded.
    `of_script`: the lines are records that a script has returned, not those of the dataset.
    """

    key: Sequence[str] = ()
    latest_by: str | None = None
    partition_by: Sequence[PartitionColumn] = ()
    columns: Sequence[ExportColumn] = ()
    on_bad_row: OnBadRow = OnBadRow.FAIL
    max_bad_rows: int = 0
    file_bytes: int = 256 * 1024 * 1024
    max_folder_bytes: int | None = None
    of_script: bool = False


class Room(Struct, frozen=True, kw_only=True):
    """What a task may write: the folders of its spilling and of its output together.

    `is_scarce`: it may have more, but its disk has not. `reserve_bytes` stay free for others.
    """

    max_bytes: int
    is_scarce: bool
    reserve_bytes: int


class Resources(Struct, frozen=True, kw_only=True):
    """What a task may use; `spill` is an empty folder of its own. Without `room`: all of a disk."""

    memory_bytes: int
    threads: int
    spill: str
    room: Room | None = None


class SourceFile(Struct, frozen=True, kw_only=True):
    """A local file of whole JSON lines: a dataset's part, as it is stored (Zstandard) or plain.

    Sources are given in file order. `path` and `first_line` name the rows in errors.
    """

    local: str
    path: str
    first_line: int = 0


class HeldFile(Struct, frozen=True, kw_only=True):
    """A local Parquet file that an earlier task, or an earlier export, has written.

    `bucket` is set for files between stages. `partition` has the values of `partition_by`, in
    their order, as text before they are escaped; None is Hive's default partition.
    """

    local: str
    bucket: int | None = None
    partition: Sequence[str | None] = ()


class Whole(Struct, frozen=True, kw_only=True, tag="whole"):
    """Everything in one task: lines to files of partitions.

    With `base`, files of an earlier export with an equal plan whose rows are older than `sources`:
    only partitions that `sources` change are written; the report names those files of `base` that
    are replaced, and the others stay valid.
    """

    sources: Sequence[SourceFile]
    base: Sequence[HeldFile] = ()


class MapTask(Struct, frozen=True, kw_only=True, tag="map"):
    """Lines to buckets by hash of the key; `number` orders the tasks as their sources."""

    sources: Sequence[SourceFile]
    number: int
    buckets: int


class BucketTask(Struct, frozen=True, kw_only=True, tag="bucket"):
    """The files of one bucket to its survivors, one file with a row of counts by partition."""

    held: Sequence[HeldFile]
    bucket: int


class WriteTask(Struct, frozen=True, kw_only=True, tag="write"):
    """Survivors of all buckets to the files of some partitions."""

    held: Sequence[HeldFile]
    partitions: Sequence[Sequence[str | None]]


Task: TypeAlias = Whole | MapTask | BucketTask | WriteTask


class WrittenFile(Struct, frozen=True, kw_only=True):
    """A Parquet file that a task has written into its output folder.

    `partition` as of HeldFile. `name` is relative to the output folder, without folders of Hive's
    for files between stages.
    """

    name: str
    rows: int
    size_bytes: int
    sha256: bytes
    bucket: int | None = None
    partition: Sequence[str | None] = ()


class BadRow(Struct, frozen=True, kw_only=True):
    """A row that cannot be exported: its place, why, and the beginning of its bytes.

    `record` is empty once those of the task have taken 8 MiB.
    """

    path: str
    line: int
    kind: str
    pointer: str
    message: str
    record: bytes


class Column(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column as it was written; `source` is `schema`, `request` or `inferred`.

    `mixed_at`, of an inferred column, is the first value that had no place in the type of those
    before: since then they are JSON. `kinds` are those of a map task, in the order of their values.
    """

    name: str
    type: Type
    source: str
    mixed_at: ValuePlace | None = None
    kinds: Sequence[SeenKind] = ()


class PartitionRows(Struct, frozen=True, kw_only=True):
    """The number of rows that a task has for a partition, and about what they take as texts."""

    partition: Sequence[str | None]
    rows: int
    size_bytes: int = 0


class Report(Struct, frozen=True, kw_only=True):
    """What a task has done. `replaced` are the numbers in `Whole.base` of files to leave out.

    `bad_rows` counts all, of which `bad` has the first, up to 16 MiB.
    `duplicates` counts the rows that another one replaces, rows of `base` included. Of a map task,
    `columns` are brought together by `columns.UnitedColumns`. `nulls` counts the rows without a
    value, for each of the columns, in the files that were written, less those in the replaced ones.
    `duckdb` is the version that has done it.
    """

    rows_in: int
    rows_out: int
    duplicates: int
    bad_rows: int
    bad: Sequence[BadRow]
    files: Sequence[WrittenFile]
    columns: Sequence[Column]
    partitions: Sequence[PartitionRows] = ()
    replaced: Sequence[int] = ()
    nulls: Sequence[int] = ()
    duckdb: str | None = None
    cpu_ms: float
    peak_memory_bytes: int


class Progress(Struct, frozen=True, kw_only=True):
    """How far a task has come: raw bytes of its sources that were read."""

    bytes_read: int
    total_bytes: int


class TaskFailed(Exception):
    """A task cannot succeed, whoever repeats it; `kind` is that of the export's error."""

    def __init__(self, kind: str, message: str, details: dict[str, object] | None = None) -> None:
        """Name kind and reason."""
        super().__init__(message)
        self.kind = kind
        self.details = details or {}


class TaskLost(Exception):
    """The process of a task has died, or its host has trouble: another attempt may succeed."""
