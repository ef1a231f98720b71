"""Document the routes of records for OpenAPI."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from app.datasets.model import FindRecords
from app.datasets.problems import RecordNotFound
from app.datasets.reference import (
    EXAMPLES,
    LOST,
    NDJSON,
    NO_BLOBS,
    NO_DATABASE,
    NO_DATASET,
    NO_RECORDS,
    NO_SNAPSHOT,
    REF,
    SnapshotQuery,
)
from app.http.openapi import ANY_JSON, RAW_TEXT, ResponseSpec, documented
from app.limits import MAX_RECORDS


class RecordQuery(SnapshotQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one record."""

    type: Annotated[
        Literal["string", "number"], Meta(description="whether the key is a string or a number")
    ] = "string"
    history: Annotated[bool, Meta(description="return older values as well, newest first")] = False
    limit: Annotated[
        int, Meta(ge=1, le=MAX_RECORDS, description="values that a history has at most")
    ] = 100


class RecordListQuery(
    SnapshotQuery,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"from_": "from"},
):
    """Query parameters that select lines of a snapshot."""

    from_: Annotated[int, Meta(ge=0, description="the first line, counted from 0")] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_RECORDS, description="lines in the response")] = 100


READ: Final = {"Crivo-Snapshot": "the snapshot that was read"}

SHOW_RECORD: Final = documented(
    query=RecordQuery,
    headers={"If-None-Match": "ETags that the client has, or `*`: 304 if one matches"},
    responses={
        200: ResponseSpec(
            description="The record; with `history`, a list of values",
            shape=ANY_JSON,
            headers={"ETag": "the SHA-256 of one record, without `history`", **READ},
        ),
        304: ResponseSpec(description="The client has the record, by `If-None-Match`"),
    },
    problems=(
        NO_DATASET,
        NO_SNAPSHOT,
        RecordNotFound(
            "snapshot 7 of 'scores' has 3 records, none of them with this key",
            members={"snapshot": 7, "records": 3},
        ),
        NO_RECORDS,
        NO_BLOBS,
        LOST,
        NO_DATABASE,
    ),
    parameters=REF,
    examples=EXAMPLES,
)

FIND_RECORDS: Final = documented(
    request_bodies={"application/json": FindRecords},
    query=SnapshotQuery,
    responses={
        200: ResponseSpec(
            description="A line for each key", shape=RAW_TEXT, media_type=NDJSON, headers=READ
        )
    },
    problems=(NO_DATASET, NO_SNAPSHOT, NO_RECORDS, NO_BLOBS, LOST, NO_DATABASE),
    parameters=REF,
    examples=EXAMPLES,
)

LIST_RECORDS: Final = documented(
    query=RecordListQuery,
    responses={
        200: ResponseSpec(
            description="Lines of the snapshot's files",
            shape=RAW_TEXT,
            media_type=NDJSON,
            headers={"Link": 'the address of the next page, as `rel="next"`', **READ},
        )
    },
    problems=(NO_DATASET, NO_SNAPSHOT, NO_RECORDS, NO_BLOBS, LOST, NO_DATABASE),
    parameters=REF,
    examples=EXAMPLES,
)
