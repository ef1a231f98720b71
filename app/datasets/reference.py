"""Document the routes of datasets for OpenAPI: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from app.check_turns import CheckBusy, TooManyChecks
from app.datasets.model import Dataset, PutDataset, Snapshot
from app.datasets.problems import (
    DatasetDiffers,
    DatasetNotFound,
    DatasetWithoutRecords,
    FileNotInSnapshot,
    InvalidPart,
    InvalidRecords,
    LongLineTooSlow,
    NewestSnapshot,
    PartOverLimit,
    ReadByExport,
    ReadByRun,
    SnapshotNotFound,
    UncheckedPart,
    UnusableKeys,
    UploadCommitted,
    UploadNotFound,
)
from app.errors import InvalidRequest, located
from app.http.conditions import DESCRIBED_ANY
from app.http.content_digest import DigestMismatch
from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.problems import DataLost
from app.http.quota_problems import quota_problem
from app.http.undeclared import not_evaluated
from app.outages import BlobsFull, BlobsUnavailable, DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.preconditions import PreconditionFailed
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota
from app.schemas.problems import (
    schema_archived,
    schema_not_found,
    schema_version_not_found,
)

EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
NDJSON: Final = "application/x-ndjson"
BYTES: Final = "application/octet-stream"
PARAMETERS: Final = {
    "dataset": "the dataset's name",
    "number": "the snapshot's number (1, 2, 3 …), or `latest`",
    "path": "the file's path: names between slashes",
    "upload": "the upload's id",
    "key": "the record's key",
}
REF: Final = {**PARAMETERS, "dataset": "the dataset's name, or a reference: `scores@7`"}
LOCATION: Final = {"Location": "the URL of what was created"}

NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
NO_BLOBS: Final = BlobsUnavailable()
LOST: Final = DataLost()
NO_DATASET: Final = DatasetNotFound("no dataset 'scores'; GET /datasets lists them")
NO_SNAPSHOT: Final = SnapshotNotFound("the dataset 'scores' has no snapshot 9")
NO_FILE: Final = FileNotInSnapshot("snapshot 7 of 'scores' has no file 'a.jsonl'")
NO_UPLOAD: Final = UploadNotFound("no upload 01900000-0000-7000-8000-000000000001")
COMMITTED: Final = UploadCommitted("the upload is committed as snapshot 7 of 'scores'")
NO_RECORDS: Final = DatasetWithoutRecords("the dataset 'scores' has no key")
BAD_PATH: Final = InvalidRequest(
    "/path: '../a.jsonl' has an empty name, `.` or `..`",
    errors=[{"pointer": "/path", "message": "'../a.jsonl' has an empty name, `.` or `..`"}],
)
TOO_MANY_UPLOADS: Final = quota_problem(QuotaExceeded(Quota.OPEN_UPLOADS, limit=1_000, used=1_000))
STORING: Final = (
    InvalidPart(
        "line 3, at byte 41: is not JSON",
        errors=[{"pointer": "", "line": 3, "byte": 41, "message": "is not JSON"}],
    ),
    InvalidRecords(
        "1 record does not satisfy events@3; line 3: /amount: is a string, not a number",
        errors=[
            {
                "pointer": "/amount",
                "line": 3,
                "keyword": "type",
                "schema_pointer": "/properties/amount/type",
                "message": "is a string, not a number",
            }
        ],
        members={"schema": "events@3", "invalid_records": 1},
    ),
    UncheckedPart("the script ran longer than its limit of 10000 ms"),
    CheckBusy("128 requests wait for it already"),
    TooManyChecks("16 requests of this tenant wait for it already"),
    PartOverLimit("a part has at most 2,097,152 records with a key"),
    UnusableKeys("more than 8 different keys of the part have the same hash"),
    DigestMismatch("the received body has another sha-256; send it again"),
    quota_problem(QuotaExceeded(Quota.STORED_BYTES, limit=2**30, used=2**30)),
    quota_problem(
        QuotaExceeded(Quota.BYTES_PER_DAY, limit=2**30, used=2**30, retry_after_seconds=3_600)
    ),
    LongLineTooSlow("a long line has arrived for more than 60 seconds; send it again"),
    BlobsFull(),
    NO_BLOBS,
    NO_DATABASE,
)


class SnapshotQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameter that selects a snapshot."""

    snapshot: (
        Annotated[int, Meta(ge=1, le=999_999_999, description="a snapshot; the newest by default")]
        | UnsetType
    ) = UNSET


PUT_DATASET: Final = documented(
    request_bodies={"application/json": PutDataset},
    headers=DESCRIBED_ANY,
    responses={
        201: ResponseSpec(
            description="The new dataset",
            shape=Dataset,
            headers=LOCATION,
            links={"showDataset": {"dataset": "name"}},
        ),
        200: ResponseSpec(
            description="The dataset, which existed", shape=Dataset, headers=LOCATION
        ),
    },
    problems=(
        DatasetDiffers("the dataset 'scores' has the format jsonl, the key /pk and no schema"),
        located("/schema", schema_not_found("events")),
        located("/schema", schema_version_not_found("events", 9)),
        located("/schema", schema_archived("events", "nothing new can refer to it")),
        PreconditionFailed("If-None-Match is *, but one exists already"),
        InvalidRequest(
            "/key: needs the format jsonl",
            errors=[{"pointer": "/key", "message": "needs the format jsonl"}],
        ),
        quota_problem(QuotaExceeded(Quota.DATASETS, limit=10_000, used=10_000)),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_DATASETS: Final = documented(
    query=PageQuery,
    responses={
        200: ResponseSpec(description="A page of datasets, newest first", shape=Page[Dataset])
    },
    problems=(NO_DATABASE,),
    examples=EXAMPLES,
)

SHOW_DATASET: Final = documented(
    responses={200: ResponseSpec(description="The dataset", shape=Dataset)},
    problems=(NO_DATASET, NO_SNAPSHOT, NO_DATABASE),
    parameters=REF,
    examples=EXAMPLES,
)

DELETE_DATASET: Final = documented(
    responses={204: ResponseSpec(description="The dataset is deleted")},
    problems=(not_evaluated("If-Match"), NO_DATASET, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_SNAPSHOTS: Final = documented(
    query=PageQuery,
    responses={
        200: ResponseSpec(description="A page of snapshots, newest first", shape=Page[Snapshot])
    },
    problems=(NO_DATASET, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_SNAPSHOT: Final = documented(
    responses={200: ResponseSpec(description="The snapshot", shape=Snapshot)},
    problems=(NO_DATASET, NO_SNAPSHOT, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

DELETE_SNAPSHOT: Final = documented(
    responses={204: ResponseSpec(description="The snapshot is deleted")},
    problems=(
        not_evaluated("If-Match"),
        NO_DATASET,
        NO_SNAPSHOT,
        NewestSnapshot("snapshot 7 is the newest of 'scores'"),
        ReadByRun(
            "a run reads snapshot 6 of 'scores'",
            run=UUID("01900000-0000-7000-8000-000000000001"),
        ),
        ReadByExport(
            "an export reads snapshot 6 of 'scores'",
            export=UUID("01900000-0000-7000-8000-000000000002"),
        ),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
