"""Define exports, what is asked for, and the bodies of requests and responses."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.executions.callback_urls import CallbackUrl
from app.executions.model import Labels
from app.exports.plan.model import OnBadRow, ValuePlace
from app.limits import MAX_EXPORT_COLUMNS, MAX_EXPORT_LEVELS, MAX_LISTED_PARTITIONS
from app.progress.model import EndingStatus
from app.runs.model import SnapshotRef

MAX_BAD_ROWS: Final = 100_000
Reference = Annotated[str, Meta(max_length=200)]
# Without a pattern of msgspec's: beside a list or an object it frees that once too often (0.22).
Pointer = Annotated[str, Meta(max_length=1_000, extra_json_schema={"pattern": "^/"})]
ColumnName = Annotated[str, Meta(min_length=1, max_length=128)]


class ExportStatus(EndingStatus):
    """The status of an export; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExportStage(StrEnum):
    """What the tasks do that are run now."""

    SCRIPT = "script"
    WHOLE = "whole"
    MAP = "map"
    BUCKET = "bucket"
    WRITE = "write"
    PUBLISH = "publish"


class ExportErrorKind(StrEnum):
    """Why an export failed."""

    BAD_ROW = "bad_row"
    TOO_MANY_BAD_ROWS = "too_many_bad_rows"
    COLUMNS_DIFFER = "columns_differ"
    TOO_MANY_PARTITIONS = "too_many_partitions"
    OUT_OF_SPACE = "out_of_space"
    OVER_DISK_LIMIT = "over_disk_limit"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    INPUT_DELETED = "input_deleted"
    DESTINATION_REFUSED = "destination_refused"
    OVER_QUOTA = "over_quota"
    WORKER_LOST = "worker_lost"
    SCRIPT_FAILED = "script_failed"
    INTERNAL = "internal"


class Deduplicate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the records with one key, keep the one with the highest value at `latest_by`.

    Of equal values, and without `latest_by`, the later in file order is kept. `key` is a pointer,
    or several.
    """

    key: Pointer | Annotated[list[Pointer], Meta(min_length=1, max_length=8)]
    latest_by: Pointer | None = None


class ColumnChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column by name, and its type: that of the schema or inferred, if it is omitted.

    `type` is one of `boolean`, `bigint`, `double`, `decimal(p,s)`, `date`, `timestamp`, `string`,
    `json`, which is the value's JSON as text, and `struct`, which is the structure that the schema
    has there.
    """

    pointer: Pointer
    type: str | None = None


Columns = Annotated[
    dict[ColumnName, Pointer | ColumnChoice],
    Meta(
        max_length=MAX_EXPORT_COLUMNS,
        examples=[{"id": "/id", "amount": {"pointer": "/data/amount", "type": "decimal(18,2)"}}],
    ),
]
Level = Annotated[dict[ColumnName, Pointer], Meta(max_length=1)]


class CreateExport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /exports`.

    `dataset` is a reference to a snapshot, as `events@4`. `partition_by` has one object with one
    member for each level, as `{"year": "/timestamp"}`, of `year`, `month`, `day`, `hour` and
    names for values; a pointer alone, as `"/domain"`, is a value under its last name. `columns`
    are all members, if omitted. `to` is a destination that the operator allows; null: the files
    stay here, and are downloaded. `since` is a snapshot that an earlier export with the same
    choices has exported: only partitions that newer records change are written. `script` maps each
    record first, and what it returns is exported.
    """

    dataset: Reference
    format: Literal["parquet"] = "parquet"
    deduplicate: Deduplicate | None = None
    partition_by: Annotated[
        list[Level | Pointer],
        Meta(
            max_length=MAX_EXPORT_LEVELS,
            examples=[[{"year": "/timestamp"}, {"kind": "/data/kind"}, "/domain"]],
        ),
    ] = []
    columns: Columns | None = None
    to: Annotated[str, Meta(max_length=1_000)] | None = None
    since: Annotated[int, Meta(ge=1)] | None = None
    script: Reference | None = None
    on_bad_row: OnBadRow = OnBadRow.FAIL
    max_bad_rows: Annotated[int, Meta(ge=0, le=MAX_BAD_ROWS)] = 1_000
    labels: Labels = {}
    callback_url: CallbackUrl | None = None


class ExportError(Struct, frozen=True, kw_only=True):
    """Why an export has failed; `path`, `line`, `pointer` are of the row or record that did it."""

    kind: ExportErrorKind
    message: str
    path: str | UnsetType = UNSET
    line: int | UnsetType = UNSET
    pointer: str | UnsetType = UNSET
    max_bad_rows: int | UnsetType = UNSET


class BadRowError(Struct, frozen=True, kw_only=True):
    """Why a row was not exported; `pointer` names the member, or is empty for the whole row."""

    kind: str
    message: str
    pointer: str


# As they are stored.
WrittenExportError = Annotated[
    Raw, Meta(extra_json_schema={"$ref": f"#/components/schemas/{ExportError.__name__}"})
]
WrittenBadRowError = Annotated[
    Raw, Meta(extra_json_schema={"$ref": f"#/components/schemas/{BadRowError.__name__}"})
]
WrittenRequest = Annotated[
    Raw, Meta(extra_json_schema={"$ref": f"#/components/schemas/{CreateExport.__name__}"})
]


class ExportProgress(Struct, frozen=True, kw_only=True):
    """How far an export has come."""

    stage: ExportStage
    tasks: int
    tasks_done: int
    bytes: int
    bytes_done: int


class ExportColumnInfo(Struct, frozen=True, kw_only=True):
    """A column of the files: its name, its type in Hive's words, and where the type is from.

    `nulls` are the rows without a value, once the export has succeeded; manifests do not say it.
    `json`: values are kept as their JSON, strings in quotation marks. An inferred column is that
    since the value at `mixed_at`, if those before it had one type.
    """

    name: str
    type: str
    source: Literal["schema", "request", "inferred", "partition"]
    json: bool
    mixed_at: ValuePlace | UnsetType = UNSET
    nulls: int | UnsetType = UNSET


class ExportPartition(Struct, frozen=True, kw_only=True):
    """A partition, `path` as in the folders, with its rows, files and bytes."""

    path: str
    rows: int
    files: int
    bytes: int


class ExportReceipt(Struct, frozen=True, kw_only=True):
    """Input, output and resource usage of a finished export.

    `input_sha256` is of the paths and digests of the snapshot's files, `output_sha256` of the
    paths and digests of the files of the export, in the order of their paths. `engine` is what ran
    tasks: `dask` if it ran any of them, otherwise `local`. `duckdb_versions` are those that did,
    more than one only if workers differed: another version may write equal rows as other bytes.
    Files that are kept of the export that this one continues can be of older ones, and say so.
    """

    input: SnapshotRef
    input_sha256: str
    output_sha256: str | None
    engine: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    duckdb_versions: Sequence[str]
    tasks: int
    attempts: int
    cpu_ms: float
    peak_memory_bytes: int | None


class QueuedExport(Struct, frozen=True, kw_only=True):
    """An accepted export; poll `url`."""

    id: UUID
    status: ExportStatus
    url: str


class ExportState(Struct, frozen=True, kw_only=True):
    """What distinguishes one state of an export from the next."""

    id: UUID
    status: ExportStatus
    tasks_done: int

    @property
    def final(self) -> bool:
        """Whether the state can never change again."""
        return self.status.final


class Export(Struct, frozen=True, kw_only=True):
    """An export of a snapshot as Parquet files.

    `request` is what was asked for. `files`, `bytes` and `rows_out` are those of the export as
    published, files kept of the export that it continues included. `rows_failed` are bad rows:
    `errors_url` lists them, and `run_errors_url` those of the script, whose run is `run`.
    `files_url` lists the files, until `files_deleted_at`. `trouble` says since `trouble_since` why
    a task is tried again. Only a single export, not one of a list or an event, has `callback_url`,
    and at its end `partitions`, if they are no more than 1,000, and the `receipt`.
    """

    id: UUID
    status: ExportStatus
    input: SnapshotRef
    since: int | None
    request: WrittenRequest
    labels: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: ExportProgress
    trouble: str | None
    trouble_since: datetime | None
    rows_in: int
    duplicates: int
    rows_failed: int
    rows_out: int | None
    files: int | None
    bytes: int | None
    errors_url: str
    files_url: str
    columns: Sequence[ExportColumnInfo] | UnsetType = UNSET
    run: UUID | UnsetType = UNSET
    files_deleted_at: datetime | UnsetType = UNSET
    run_errors_url: str | UnsetType = UNSET
    partitions: (
        Annotated[Sequence[ExportPartition], Meta(max_length=MAX_LISTED_PARTITIONS)] | UnsetType
    ) = UNSET
    error: WrittenExportError | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET
    receipt: ExportReceipt | UnsetType = UNSET


class ExportFilter(Struct, frozen=True, kw_only=True):
    """The filter of a list of exports; None matches all."""

    dataset: str | None = None
    snapshot: int | None = None
    status: ExportStatus | None = None
    labels: dict[str, str] = {}
    created_from: datetime | None = None
    created_before: datetime | None = None


class ExportFile(Struct, frozen=True, kw_only=True):
    """A published file: its path below the destination, and where it is downloaded.

    `url` is null where its bytes are only at the destination.
    """

    path: str
    partition: str
    rows: int
    bytes: int
    sha256: str
    url: str | None


class BadRowInfo(Struct, frozen=True, kw_only=True):
    """A row that was not exported, by file and line of the dataset.

    `excerpt`, on request, is its beginning, 1 KiB at most, where bytes that are not UTF-8 are
    U+FFFD.
    """

    path: str
    line: int
    error: WrittenBadRowError
    excerpt: str | UnsetType = UNSET


class ManifestFile(Struct, frozen=True, kw_only=True):
    """A file of a manifest; `path` is below the destination."""

    path: str
    rows: int
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """All files of an export, and what they were made of.

    At a destination it is `_crivo/<export>.json`. Times are in UTC. `partition_by` are the names
    of the folders' levels, in their order.
    """

    export: UUID
    format: Literal["parquet"]
    input: SnapshotRef
    input_sha256: str
    output_sha256: str | None
    rows_in: int
    duplicates: int
    rows_failed: int
    rows_out: int
    columns: Sequence[ExportColumnInfo]
    partition_by: Sequence[str]
    files: Sequence[ManifestFile]
