"""Document the routes of files and uploads for OpenAPI."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from app.datasets.model import (
    CommitUpload,
    CreateUpload,
    File,
    HeldUpload,
    PublishedFile,
    Snapshot,
    Upload,
    UploadPart,
)
from app.datasets.problems import CommitDiffers, PartDiffers, UploadFull
from app.datasets.reference import (
    BAD_PATH,
    BYTES,
    COMMITTED,
    EXAMPLES,
    LOCATION,
    LOST,
    NO_BLOBS,
    NO_DATABASE,
    NO_DATASET,
    NO_FILE,
    NO_SNAPSHOT,
    NO_UPLOAD,
    PARAMETERS,
    REF,
    STORING,
    TOO_MANY_UPLOADS,
    SnapshotQuery,
)
from app.http.content_digest import DESCRIBED as DESCRIBED_DIGEST
from app.http.openapi import BINARY, ResponseSpec, documented
from app.http.ranges import DESCRIBED as DESCRIBED_RANGES, RangeNotSatisfiable
from app.http.undeclared import not_evaluated
from app.pagination import Page, PageQuery


class FileListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters that select and page files."""

    snapshot: (
        Annotated[int, Meta(ge=1, le=999_999_999, description="a snapshot; the newest by default")]
        | UnsetType
    ) = UNSET


PUT_FILE: Final = documented(
    request_bodies={BYTES: BINARY},
    headers=DESCRIBED_DIGEST,
    responses={
        201: ResponseSpec(
            description="The file, and the snapshot that it is part of from now on",
            shape=PublishedFile,
            headers=LOCATION,
        )
    },
    problems=(NO_DATASET, NO_UPLOAD, BAD_PATH, TOO_MANY_UPLOADS, *STORING),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_FILES: Final = documented(
    query=FileListQuery,
    responses={200: ResponseSpec(description="A page of files, by path", shape=Page[File])},
    problems=(NO_DATASET, NO_SNAPSHOT, NO_DATABASE),
    parameters=REF,
    examples=EXAMPLES,
)

SHOW_FILE: Final = documented(
    query=SnapshotQuery,
    headers=DESCRIBED_RANGES,
    responses={
        200: ResponseSpec(
            description="The file, byte for byte",
            shape=BINARY,
            media_type=BYTES,
            headers={"ETag": "changes with the file's parts", "Accept-Ranges": "`bytes`"},
        ),
        206: ResponseSpec(description="The requested range of it", shape=BINARY, media_type=BYTES),
        304: ResponseSpec(description="The client has the file, by `If-None-Match`"),
    },
    problems=(
        NO_DATASET,
        NO_SNAPSHOT,
        NO_FILE,
        BAD_PATH,
        RangeNotSatisfiable("the resource has 12 bytes"),
        NO_BLOBS,
        LOST,
        NO_DATABASE,
    ),
    parameters=REF,
    examples=EXAMPLES,
)

CREATE_UPLOAD: Final = documented(
    request_bodies={"application/json": CreateUpload},
    idempotent=True,
    responses={
        201: ResponseSpec(
            description="The open upload",
            shape=Upload,
            headers=LOCATION,
            links={"showUpload": {"upload": "id"}, "commitUpload": {"upload": "id"}},
        )
    },
    # Of a repetition, if the upload has been deleted since: that it is not found.
    problems=(NO_DATASET, NO_UPLOAD, TOO_MANY_UPLOADS, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_UPLOADS: Final = documented(
    query=PageQuery,
    responses={200: ResponseSpec(description="A page of open uploads", shape=Page[Upload])},
    problems=(NO_DATASET, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_UPLOAD: Final = documented(
    responses={200: ResponseSpec(description="The upload and what it holds", shape=HeldUpload)},
    problems=(NO_UPLOAD, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

PUT_PART: Final = documented(
    request_bodies={BYTES: BINARY},
    headers=DESCRIBED_DIGEST,
    responses={
        201: ResponseSpec(description="The part", shape=UploadPart),
        200: ResponseSpec(description="The part, which the upload held already", shape=UploadPart),
    },
    problems=(
        NO_UPLOAD,
        COMMITTED,
        UploadFull("an upload takes up to 20000 files"),
        PartDiffers("the upload holds part 3 of 'a.jsonl' with another SHA-256"),
        BAD_PATH,
        *STORING,
    ),
    parameters={**PARAMETERS, "path": "the file's path, then `/parts/` and the part's number"},
    examples=EXAMPLES,
)

REMOVE_FILE: Final = documented(
    responses={204: ResponseSpec(description="The upload holds nothing of the file")},
    problems=(
        not_evaluated("If-Match"),
        NO_UPLOAD,
        NO_FILE,
        COMMITTED,
        BAD_PATH,
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

COMMIT_UPLOAD: Final = documented(
    request_bodies={"application/json": CommitUpload},
    responses={
        201: ResponseSpec(description="The new snapshot", shape=Snapshot, headers=LOCATION),
        200: ResponseSpec(
            description="The snapshot that the commit has published before",
            shape=Snapshot,
            headers=LOCATION,
        ),
    },
    problems=(
        NO_UPLOAD,
        CommitDiffers(
            "/files/0/parts: is 3; 2 are held, up to number 2",
            errors=[{"pointer": "/files/0/parts", "message": "is 3; 2 are held"}],
        ),
        COMMITTED,
        NO_SNAPSHOT,
        BAD_PATH,
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

ABANDON_UPLOAD: Final = documented(
    responses={204: ResponseSpec(description="The upload is deleted")},
    problems=(not_evaluated("If-Match"), NO_UPLOAD, COMMITTED, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
