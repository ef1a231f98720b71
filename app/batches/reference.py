"""Describe batches in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.auth.errors import InvalidToken
from app.auth.event_tokens import EventsToken
from app.batches.model import DEFAULT_PRIORITY, Batch, QueuedBatch
from app.batches.problems import (
    BatchFinished,
    BatchNotFound,
    BatchOfBytes,
    EmptyBatch,
    TooManyItems,
    UploadLost,
)
from app.errors import invalid, invalid_parameter
from app.executions.events_reference import EventsQuery, events_of
from app.executions.model import Status
from app.executions.reference import (
    NO_DATABASE,
    PARAMETERS as EXECUTION_PARAMETERS,
    SUBMISSION_PROBLEMS,
    WAIT_REFUSALS,
    RawSubmissionQuery,
)
from app.http.openapi import JsonSchema, ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.undeclared import not_evaluated
from app.limits import Priority
from app.pagination import Page, PageQuery
from app.progress.waiters import MAX_WAIT_SECONDS

NDJSON: Final = "application/x-ndjson"
EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
PARAMETERS: Final = {**EXECUTION_PARAMETERS, "batch": "id of the batch"}
SCRIPT_MISSING: Final = invalid_parameter(
    "script", "is missing: name the script and version that all inputs run, such as cards@prod"
)
_NO_BATCH: Final = BatchNotFound("no batch 01a1fbeb-e362-742d-9594-29c5a8afd450")
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

    wait: (
        Annotated[
            float,
            Meta(
                ge=0,
                description=f"seconds to wait for an unfinished batch, {MAX_WAIT_SECONDS} at most",
            ),
        ]
        | UnsetType
    ) = UNSET


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
        202: ResponseSpec(
            description="Accepted and committed; poll its address",
            shape=QueuedBatch,
            headers={
                "Location": "address of the batch",
                "Retry-After": "seconds until the first poll",
            },
            links={"showBatch": {"batch": "id"}, "showBatchResults": {"batch": "id"}},
        )
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

SHOW_BATCH: Final = documented(
    query=WaitQuery,
    headers={
        "Prefer": "`wait=30`: respond when the batch has finished, after this many seconds at the "
        f"latest, {MAX_WAIT_SECONDS} at most (RFC 7240)"
    },
    responses={
        200: ResponseSpec(
            description="The batch in its current state",
            shape=Batch,
            headers={
                "Retry-After": "seconds until the next poll, while it is unfinished",
                "Preference-Applied": "with `Prefer: wait`, unless too many already wait",
            },
        )
    },
    problems=(_NO_BATCH, *WAIT_REFUSALS, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

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

CANCEL_BATCH: Final = documented(
    responses={200: ResponseSpec(description="The batch, cancelled", shape=Batch)},
    problems=(
        _NO_BATCH,
        BatchFinished("all 3 items had finished"),
        not_evaluated("If-Match"),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_BATCH_EVENTS: Final = documented(
    query=EventsQuery,
    headers={"Last-Event-ID": "the `id` of the last event that the client has received"},
    responses={
        200: ResponseSpec(
            description="The events as they occur, with a comment after every 15 s without one",
            shape=events_of("Batch", "the batch"),
            media_type="text/event-stream",
        ),
        204: ResponseSpec(description="The client already has the final event"),
    },
    problems=(
        invalid("/wait", "is not a parameter of this address"),
        InvalidToken("the token has expired; POST …/events-token creates another"),
        _NO_BATCH,
        *WAIT_REFUSALS,
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CREATE_BATCH_EVENTS_TOKEN: Final = documented(
    responses={201: ResponseSpec(description="The token and its expiry time", shape=EventsToken)},
    problems=(not_evaluated("If-Match"), _NO_BATCH, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
