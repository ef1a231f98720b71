"""Describe exports in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.check_turns import CheckBusy, TooManyChecks
from app.datasets.reference import NO_DATASET, NO_SNAPSHOT
from app.errors import located
from app.executions.payload_reference import NO_RANGE, payload_responses
from app.executions.reference import (
    NO_BLOBS,
    NO_SCRIPT,
    NO_VERSION,
)
from app.exports.model import (
    BadRowError,
    BadRowInfo,
    Export,
    ExportError,
    ExportFile,
    ExportStatus,
    Manifest,
    QueuedExport,
)
from app.exports.problems import (
    CannotContinue,
    ExportErrorsDeleted,
    ExportFileNotFound,
    ExportFilesDeleted,
    ExportFinished,
    ExportNotFinished,
    ExportNotFound,
    ExportPublishing,
    NoExportOutput,
    NoExportTable,
    ReplacesOtherExport,
)
from app.exports.requests import CreateExport
from app.http.openapi import BINARY, RAW_TEXT, ResponseSpec, documented, include_schema
from app.http.openapi_parameters import load_examples
from app.http.quota_problems import quota_problem
from app.http.ranges import DESCRIBED
from app.outages import DatabaseFull
from app.pagination import Page, PageQuery
from app.progress.filters import AcceptedBefore, AcceptedFrom, LabelTexts
from app.progress.reference import (
    NO_DATABASE,
    ResourceKind,
    cancelling,
    creating_token,
    ended,
    following,
    preferring,
    queued,
    seconds_for,
    showing,
)
from app.quotas.errors import QuotaExceeded
from app.scripts.problems import ScriptArchived

include_schema(ExportError)
include_schema(BadRowError)

# As the Internet Assigned Numbers Authority has registered it.
PARQUET: Final = "application/vnd.apache.parquet"
SQL: Final = "application/sql"
EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
PARAMETERS: Final = {"export": "id of the export", "path": "path of the file, as it is listed"}
_NO_EXPORT: Final = ExportNotFound(
    "no export 01a1fbeb-e362-742d-9594-29c5a8afd450; GET /exports lists them"
)
_NOT_FINISHED: Final = ExportNotFinished("the export is running")
_NO_OUTPUT: Final = NoExportOutput("the export has failed")
_DELETED: Final = ExportFilesDeleted("files of the export were deleted at 2026-01-31T12:00:00Z")
_QUEUED: Final = queued("export", QueuedExport, links=("showExport",))
_ENDED: Final = ended("export", Export)
_KIND: Final = ResourceKind(
    noun="export", shape=Export, missing=_NO_EXPORT, parameters=PARAMETERS, examples=EXAMPLES
)
_PREFER: Final = preferring("export")


class ExportListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list of exports."""

    dataset: (
        Annotated[
            str,
            Meta(description="only exports of this dataset or snapshot: `events`, `events@4`"),
        ]
        | UnsetType
    ) = UNSET
    status: Annotated[ExportStatus, Meta(description="only exports of this status")] | UnsetType = (
        UNSET
    )
    label: LabelTexts | UnsetType = UNSET
    created_from: AcceptedFrom | UnsetType = UNSET
    created_before: AcceptedBefore | UnsetType = UNSET


class ExportQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one export."""

    wait: Annotated[float, seconds_for("an unfinished export")] | UnsetType = UNSET


class BadRowsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of the bad rows of an export."""

    excerpt: Annotated[bool, Meta(description="with the beginning of each row, 1 KiB at most")] = (
        False
    )


class ExportTableQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a table over an export."""

    dialect: Annotated[Literal["athena", "hive", "duckdb"], Meta(description="whose SQL")] = (
        "athena"
    )
    name: (
        Annotated[
            str, Meta(description="`table` or `database.table`; the dataset's name if omitted")
        ]
        | UnsetType
    ) = UNSET
    location: (
        Annotated[
            str,
            Meta(description="URL of the folder with the files; the destination if omitted"),
        ]
        | UnsetType
    ) = UNSET


CREATE_EXPORT: Final = documented(
    request_bodies={"application/json": CreateExport},
    headers=_PREFER,
    responses={200: _ENDED, 202: _QUEUED},
    idempotent=True,
    problems=(
        located("/dataset", NO_DATASET),
        located("/dataset", NO_SNAPSHOT),
        located("/script", NO_SCRIPT),
        located("/script", NO_VERSION),
        located("/script", ScriptArchived("the script 'cards' is archived")),
        MissingScope(Scope.WRITE_DATASETS),
        located("/since", CannotContinue("no export of events@3 with the same choices")),
        located("/to", ReplacesOtherExport("s3://lake/events has an export of orders@7")),
        quota_problem(QuotaExceeded("active-exports", limit=20, used=20)),
        # Of a repetition, if the export has been deleted since.
        _NO_EXPORT,
        NO_DATABASE,
        DatabaseFull(),
    ),
    examples=EXAMPLES,
)

LIST_EXPORTS: Final = documented(
    query=ExportListQuery,
    responses={
        200: ResponseSpec(description="A page of exports, newest first", shape=Page[Export])
    },
    problems=(NO_DATASET, NO_SNAPSHOT, NO_DATABASE),
    examples=EXAMPLES,
)

SHOW_EXPORT: Final = showing(_KIND, query=ExportQuery, prefer=_PREFER)

CANCEL_EXPORT: Final = cancelling(
    _KIND,
    ExportFinished("the export has succeeded"),
    ExportPublishing("its destination is being changed"),
)

LIST_EXPORT_FILES: Final = documented(
    query=PageQuery,
    responses={200: ResponseSpec(description="A page of files, by path", shape=Page[ExportFile])},
    problems=(_NO_EXPORT, _DELETED, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_EXPORT_FILE: Final = documented(
    headers=DESCRIBED,
    responses=payload_responses("The file", BINARY, PARQUET),
    problems=(
        _NO_EXPORT,
        ExportFileNotFound("the export has no file 'a.parquet'"),
        _DELETED,
        NO_RANGE,
        NO_DATABASE,
        NO_BLOBS,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_EXPORT_ERRORS: Final = documented(
    query=BadRowsQuery,
    responses={
        200: ResponseSpec(
            description="A page of bad rows, in the order of the input", shape=Page[BadRowInfo]
        )
    },
    problems=(
        _NO_EXPORT,
        ExportErrorsDeleted("the bad rows of the export were deleted at 2026-01-31T12:00:00Z"),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_EXPORT_MANIFEST: Final = documented(
    responses={200: ResponseSpec(description="The manifest", shape=Manifest)},
    problems=(_NO_EXPORT, _NOT_FINISHED, _NO_OUTPUT, _DELETED, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_EXPORT_TABLE: Final = documented(
    query=ExportTableQuery,
    responses={
        200: ResponseSpec(description="The statements, as UTF-8", shape=RAW_TEXT, media_type=SQL)
    },
    problems=(
        _NO_EXPORT,
        _NOT_FINISHED,
        _NO_OUTPUT,
        _DELETED,
        NoExportTable("/event-id: a column's name is made of letters, digits and underscores"),
        CheckBusy("128 requests wait for it already"),
        TooManyChecks("16 requests of this tenant wait for it already"),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_EXPORT_EVENTS: Final = following(_KIND)

CREATE_EXPORT_EVENTS_TOKEN: Final = creating_token(_KIND)
