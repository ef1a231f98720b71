"""Structs of the API's responses about exports."""

from datetime import datetime
from uuid import UUID

from msgspec import Raw

from crivo.models import FINAL_STATUSES, Response, ScriptVersionRef
from crivo.run_models import SnapshotRef


def place_of(path: str, line: int | None, record: int | None) -> str:
    """Return the place of a row, such as `a.ndjson, line 7`."""
    if record is not None:
        return f"{path}, record {record} of what the script returned"
    return f"{path}, line {line}"


class QueuedExport(Response, frozen=True, kw_only=True):
    """An accepted export."""

    id: UUID
    status: str
    url: str


class ExportProgress(Response, frozen=True, kw_only=True):
    """The tasks of a stage that are done, of all, and the raw bytes that they have read."""

    stage: str
    tasks: int
    tasks_done: int
    bytes: int
    bytes_done: int


class ValuePlace(Response, frozen=True, kw_only=True):
    """The file and the line of a value.

    Of an export with a script `record` instead: the first record that the script returned for the
    file is 1, and those that it dropped or failed at are not counted.
    """

    path: str
    line: int | None = None
    record: int | None = None


class ExportColumnInfo(Response, frozen=True, kw_only=True):
    """A column of the files: its type in Hive's words.

    `source` is where the type is from: `schema`, `request`, `inferred`, or `partition` of a level
    of the folders. `json`: values are kept as their JSON, strings in quotation marks; `mixed_at` is
    the value for which an inferred column is that. `nulls` are the rows without a value, of a
    column of an export that has succeeded.
    """

    name: str
    type: str
    source: str
    json: bool
    mixed_at: ValuePlace | None = None
    nulls: int | None = None


class ExportPartition(Response, frozen=True, kw_only=True):
    """A partition, its `path` as in the folders."""

    path: str
    rows: int
    files: int
    bytes: int


class ExportReceipt(Response, frozen=True, kw_only=True):
    """Input, output and resource usage of a finished export."""

    input: SnapshotRef
    input_sha256: str
    output_sha256: str | None
    engine: str
    duckdb_versions: list[str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    tasks: int
    attempts: int
    cpu_ms: float
    peak_memory_bytes: int | None


class ExportError(Response, frozen=True, kw_only=True):
    """Why an export has failed; `kind` is stable.

    `path`, `line` and `pointer` are of the row that ended it. With a script, a bad row has `record`
    instead of `line`, as of ValuePlace.
    """

    kind: str
    message: str
    path: str | None = None
    line: int | None = None
    record: int | None = None
    pointer: str | None = None
    max_bad_rows: int | None = None


class Export(Response, frozen=True, kw_only=True):
    """An export of a snapshot as Parquet files; `request` is what was asked for.

    `files`, `bytes` and `rows_out` are those of the export as published, files kept of the export
    that it continues included. `trouble` says why the last attempt of a task was given up, which is
    tried again; None: the task goes on. At `files_deleted_at` the files were deleted, here or at
    the destination. `script` is the version that was resolved, `run` its run; `rows_dropped` are
    the records for which it returned nothing, and `script_rows_failed`, of `rows_failed`, those
    that it failed at. Only where one export is asked for, there are `callback_url`, `receipt`, and
    `partitions` unless there are very many.
    """

    id: UUID
    status: str
    input: SnapshotRef
    since: int | None
    request: Raw
    labels: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: ExportProgress
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
    trouble: str | None
    trouble_since: datetime | None
    columns: list[ExportColumnInfo] | None = None
    script: ScriptVersionRef | None = None
    run: UUID | None = None
    run_errors_url: str | None = None
    partitions: list[ExportPartition] | None = None
    error: ExportError | None = None
    files_deleted_at: datetime | None = None
    callback_url: str | None = None
    receipt: ExportReceipt | None = None

    @property
    def is_final(self) -> bool:
        """Whether the status can never change again."""
        return self.status in FINAL_STATUSES


class ExportFile(Response, frozen=True, kw_only=True):
    """A file of an export; `path` starts at the destination.

    `url` is None where its bytes are only at the destination.
    """

    path: str
    partition: str
    rows: int
    bytes: int
    sha256: str
    url: str | None


class BadRowError(Response, frozen=True, kw_only=True):
    """Why a row was not exported; `pointer` is empty for the whole row."""

    kind: str
    message: str
    pointer: str


class BadRowInfo(Response, frozen=True, kw_only=True):
    """A row that was not exported, by file and line, or record, as of ValuePlace.

    `excerpt`, its beginning, is there if it was asked for.
    """

    path: str
    line: int | None = None
    record: int | None = None
    error: BadRowError
    excerpt: str | None = None


class ManifestFile(Response, frozen=True, kw_only=True):
    """A file of a manifest; `path` starts at the destination."""

    path: str
    rows: int
    bytes: int
    sha256: str


class Manifest(Response, frozen=True, kw_only=True):
    """All files of an export, and what they were made of.

    `partition_by` are the names of the folders' levels, in their order.
    """

    export: UUID
    format: str
    input: SnapshotRef
    input_sha256: str
    output_sha256: str | None
    rows_in: int
    duplicates: int
    rows_failed: int
    rows_out: int
    columns: list[ExportColumnInfo]
    partition_by: list[str]
    files: list[ManifestFile]
