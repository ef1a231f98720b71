"""Define exports, and the bodies of responses about them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.executions.model import ScriptVersionRef
from app.exports.requests import CreateExport
from app.limits import MAX_LISTED_PARTITIONS
from app.progress.model import EndingStatus
from app.runs.model import SnapshotRef


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


class ExportError(Struct, frozen=True, kw_only=True):
    """Why an export has failed; `path`, `line`, `pointer` are of the row or record that did it.

    With a script, a bad row has `record` instead of `line`, as of BadRowInfo.
    """

    kind: ExportErrorKind
    message: str
    path: str | UnsetType = UNSET
    line: int | UnsetType = UNSET
    record: int | UnsetType = UNSET
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


class ValuePlace(Struct, frozen=True, kw_only=True):
    """The line of the dataset that has a value.

    With a script it is `record` instead of `line`, which counts what the script returned for the
    file.
    """

    path: str
    line: int | UnsetType = UNSET
    record: int | UnsetType = UNSET


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
    published, files kept of the export that it continues included. `rows_failed` are bad rows,
    which `errors_url` lists. Of a `script`, the version that was resolved, `run` is its run;
    `rows_dropped` are the records for which it returned nothing, and `script_rows_failed`, of
    `rows_failed`, those that it failed at: `run_errors_url` lists these.
    `files_url` lists the files, until `files_deleted_at`. `trouble` says since `trouble_since` why
    a task is tried again. Only a single export, not one of a list or an event, has `columns` and
    `callback_url`, and at its end `partitions`, if they are no more than 1,000, and the `receipt`.
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
    rows_dropped: int
    script_rows_failed: int
    rows_out: int | None
    files: int | None
    bytes: int | None
    errors_url: str
    files_url: str
    script: ScriptVersionRef | UnsetType = UNSET
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

    With a script it is `record` instead of `line`: the first record that the script returned for
    the file is 1, and those that it dropped or failed at are not counted. `excerpt`, on request, is
    the row's beginning, 1 KiB at most, where bytes that are not UTF-8 are U+FFFD.
    """

    path: str
    line: int | UnsetType = UNSET
    record: int | UnsetType = UNSET
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
