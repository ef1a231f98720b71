"""Describe batches in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.batches.model import DEFAULT_PRIORITY, Batch, QueuedBatch
from app.batches.problems import (
    BatchFinished,
    BatchNotFound,
    BatchOfBytes,
    EmptyBatch,
    TooManyItems,
    UploadLost,
)
from app.errors import invalid_parameter
from app.executions.model import Status
from app.executions.query_options import RawSubmissionQuery
from app.executions.reference import (
    PARAMETERS as EXECUTION_PARAMETERS,
    SUBMISSION_PROBLEMS,
)
from app.http.openapi import JsonSchema, ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.limits import Priority
from app.pagination import Page, PageQuery
from app.progress.reference import (
    NO_DATABASE,
    ResourceKind,
    accepted,
    cancelling,
    creating_token,
    following,
    preferring,
    seconds_for,
    showing,
)

NDJSON: Final = "application/x-ndjson"
EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
PARAMETERS: Final = {**EXECUTION_PARAMETERS, "batch": "id of the batch"}
SCRIPT_MISSING: Final = invalid_parameter(
    "script", "is missing: name the script and version that all inputs run, such as cards@prod"
)
_NO_BATCH: Final = BatchNotFound("no batch 01a1fbeb-e362-742d-9594-29c5a8afd450")
_KIND: Final = ResourceKind(
    noun="batch", shape=Batch, missing=_NO_BATCH, parameters=PARAMETERS, examples=EXAMPLES
)
_INPUTS: Final[JsonSchema] = {
    "description": "one input on each line; not only JSON is accepted, but only JSON can succeed",
    "type": "string",
}
_ARRAY: Final[JsonSchema] = {"type": "array", "items": {}, "minItems": 1}
_RESULTS: Final[JsonSchema] = {
    "description": "as a string, all lines; as an object, one line",
    "type": ["string", "object"],
    "properties": {"line": {"type": "integer"}},
}


class BatchQuery(RawSubmissionQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a batch, which all of its items share."""

    script: (
        Annotated[str, Meta(description="the script and version: `cards`, `cards@3`, `cards@prod`")]
        | UnsetType
    ) = UNSET
    priority: (
        Annotated[
            Priority,
            Meta(
                description="higher ones run first among the tenant's own; by default "
                f"{DEFAULT_PRIORITY}, behind all others"
            ),
        ]
        | UnsetType
    ) = UNSET


class BatchListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list of batches."""


class WaitQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one batch."""

    wait: Annotated[float, seconds_for("an unfinished batch")] | UnsetType = UNSET


class ResultsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of the results of a batch."""

    after: Annotated[int, Meta(ge=0, le=2**31 - 1, description="only items after this line")] = 0

    status: (
        Annotated[
            list[Status], Meta(description="only items of this status; repeated: of any of them")
        ]
        | UnsetType
    ) = UNSET


SUBMIT_BATCH: Final = documented(
    request_bodies={NDJSON: _INPUTS, "application/json": _ARRAY},
    query=BatchQuery,
    responses={
        202: accepted("batch", QueuedBatch, links=("showBatch", "showBatchResults")),
    },
    problems=(
        *SUBMISSION_PROBLEMS,
        SCRIPT_MISSING,
        BatchOfBytes(),
        EmptyBatch("the body has no input: send one on each line, or in a JSON array"),
        TooManyItems("line 100001: the batch has more than 100000 inputs"),
        UploadLost(),
    ),
    idempotent=True,
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_BATCHES: Final = documented(
    query=BatchListQuery,
    responses={200: ResponseSpec(description="A page of batches, newest first", shape=Page[Batch])},
    problems=(NO_DATABASE,),
    examples=EXAMPLES,
)

SHOW_BATCH: Final = showing(_KIND, query=WaitQuery, prefer=preferring("batch"))

SHOW_RESULTS: Final = documented(
    query=ResultsQuery,
    responses={
        200: ResponseSpec(
            description="A line for each item, in the order of the inputs",
            shape=_RESULTS,
            media_type=NDJSON,
        )
    },
    problems=(_NO_BATCH, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CANCEL_BATCH: Final = cancelling(_KIND, BatchFinished("all 3 items had finished"))

SHOW_BATCH_EVENTS: Final = following(_KIND)

CREATE_BATCH_EVENTS_TOKEN: Final = creating_token(_KIND)
