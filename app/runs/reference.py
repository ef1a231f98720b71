"""Describe runs in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.auth.errors import InvalidToken, MissingScope
from app.auth.event_tokens import EventsToken
from app.auth.model import Scope
from app.datasets.problems import DatasetDiffers
from app.datasets.reference import LOST, NO_DATASET, NO_SNAPSHOT
from app.errors import invalid, located
from app.executions.events_reference import EventsQuery, events_of
from app.executions.payload_reference import NO_RANGE, payload_responses
from app.executions.reference import (
    NO_BLOBS,
    NO_DATABASE,
    NO_PROCESS,
    NO_SCRIPT,
    NO_VERSION,
    SUBMISSION_PROBLEMS,
    WAIT_REFUSALS,
)
from app.http.openapi import ANY_JSON, ResponseSpec, documented, include_schema
from app.http.openapi_parameters import load_examples
from app.http.ranges import DESCRIBED
from app.http.undeclared import not_evaluated
from app.pagination import Page, PageQuery
from app.progress.waiters import MAX_WAIT_SECONDS
from app.runs.model import CreateRun, FailedRecord, QueuedRun, Run, RunError, RunStatus
from app.runs.problems import (
    NoRunResult,
    RunDataGone,
    RunFinished,
    RunNotFinished,
    RunNotFound,
)

include_schema(RunError)

EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
PARAMETERS: Final = {"run": "id of the run"}
_DATE_TIME: Final = {"format": "date-time"}
_NO_RUN: Final = RunNotFound("no run 01a1fbeb-e362-742d-9594-29c5a8afd450; GET /runs lists them")
_NOT_FINISHED: Final = RunNotFinished("the run is running")
_QUEUED: Final = ResponseSpec(
    description="Accepted and committed; poll its address",
    shape=QueuedRun,
    headers={
        "Location": "address of the run",
        "Retry-After": "seconds until the first poll",
        "Preference-Applied": "with `Prefer: wait`, unless too many already wait",
    },
    links={"showRun": {"run": "id"}},
)
_ENDED: Final = ResponseSpec(
    description="Accepted, committed and, with `Prefer: wait`, finished in time",
    shape=Run,
    headers={
        "Location": "address of the run",
        "Preference-Applied": "`wait` and the longest wait in seconds",
    },
)
_PREFER: Final = {
    "Prefer": "`wait=30`: respond when the run has finished, after this many seconds at the "
    f"latest, {MAX_WAIT_SECONDS} at most (RFC 7240)"
}


class RunListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list of runs."""

    script: (
        Annotated[str, Meta(description="only runs of this script or version: `cards`, `cards@3`")]
        | UnsetType
    ) = UNSET
    dataset: (
        Annotated[
            str, Meta(description="only runs over this dataset or snapshot: `orders`, `orders@7`")
        ]
        | UnsetType
    ) = UNSET
    status: Annotated[RunStatus, Meta(description="only runs of this status")] | UnsetType = UNSET
    label: (
        Annotated[list[str], Meta(description="`name:value`; repeated: all must match")] | UnsetType
    ) = UNSET
    created_from: (
        Annotated[
            str, Meta(description="accepted at this time or later", extra_json_schema=_DATE_TIME)
        ]
        | UnsetType
    ) = UNSET
    created_before: (
        Annotated[str, Meta(description="accepted before this time", extra_json_schema=_DATE_TIME)]
        | UnsetType
    ) = UNSET


class RunQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one run."""

    wait: (
        Annotated[
            float,
            Meta(
                ge=0,
                description=f"seconds to wait for an unfinished run, {MAX_WAIT_SECONDS} at most",
            ),
        ]
        | UnsetType
    ) = UNSET


class RunErrorsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of the failed records of a run."""

    excerpt: Annotated[
        bool, Meta(description="with the beginning of each record's line, 1 KiB at most")
    ] = False


CREATE_RUN: Final = documented(
    request_bodies={"application/json": CreateRun},
    headers=_PREFER,
    responses={200: _ENDED, 202: _QUEUED},
    idempotent=True,
    problems=(
        *(each for each in SUBMISSION_PROBLEMS if each is not NO_PROCESS),
        located("/dataset", NO_DATASET),
        located("/dataset", NO_SNAPSHOT),
        located(
            "/output",
            DatasetDiffers(
                "the dataset 'clean' has the format jsonl and no key, which do not change; the run "
                "writes jsonl"
            ),
        ),
        MissingScope(Scope.WRITE_DATASETS),
        # Of a repetition, if the run has been deleted since.
        _NO_RUN,
    ),
    examples=EXAMPLES,
)

LIST_RUNS: Final = documented(
    query=RunListQuery,
    responses={200: ResponseSpec(description="A page of runs, newest first", shape=Page[Run])},
    problems=(NO_SCRIPT, NO_VERSION, NO_DATASET, NO_SNAPSHOT, NO_DATABASE),
    examples=EXAMPLES,
)

SHOW_RUN: Final = documented(
    query=RunQuery,
    headers=_PREFER,
    responses={
        200: ResponseSpec(
            description="The run in its current state",
            shape=Run,
            headers={
                "Retry-After": "seconds until the next poll, while it is unfinished",
                "Preference-Applied": "with `Prefer: wait`, unless too many already wait",
            },
        )
    },
    problems=(_NO_RUN, *WAIT_REFUSALS, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_RUN_RESULT: Final = documented(
    headers=DESCRIBED,
    responses=payload_responses("The bytes that `JSON.stringify` produced", ANY_JSON),
    problems=(
        _NO_RUN,
        NoRunResult("the run has failed"),
        _NOT_FINISHED,
        RunDataGone("the result of the run has been erased"),
        NO_RANGE,
        NO_DATABASE,
        NO_BLOBS,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_RUN_ERRORS: Final = documented(
    query=RunErrorsQuery,
    responses={
        200: ResponseSpec(
            description="A page of failed records, in the order of the input",
            shape=Page[FailedRecord],
        )
    },
    problems=(_NO_RUN, LOST, NO_DATABASE, NO_BLOBS),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CANCEL_RUN: Final = documented(
    responses={200: ResponseSpec(description="The run, cancelled", shape=Run)},
    problems=(
        _NO_RUN,
        RunFinished("the run has succeeded"),
        not_evaluated("If-Match"),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

REPLAY_RUN: Final = documented(
    headers=_PREFER,
    responses={200: _ENDED, 202: _QUEUED},
    idempotent=True,
    problems=(
        _NO_RUN,
        _NOT_FINISHED,
        RunDataGone("snapshot 7 of 'orders', which the run has read, is deleted"),
        not_evaluated("If-Match"),
        *(each for each in SUBMISSION_PROBLEMS if each not in (NO_SCRIPT, NO_VERSION, NO_PROCESS)),
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_RUN_EVENTS: Final = documented(
    query=EventsQuery,
    headers={"Last-Event-ID": "the `id` of the last event that the client has received"},
    responses={
        200: ResponseSpec(
            description="The events as they occur, with a comment after every 15 s without one",
            shape=events_of("Run", "the run"),
            media_type="text/event-stream",
        ),
        204: ResponseSpec(description="The client already has the final event"),
    },
    problems=(
        invalid("/wait", "is not a parameter of this address"),
        InvalidToken("the token has expired; POST …/events-token creates another"),
        _NO_RUN,
        *WAIT_REFUSALS,
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CREATE_RUN_EVENTS_TOKEN: Final = documented(
    responses={201: ResponseSpec(description="The token and its expiry time", shape=EventsToken)},
    problems=(not_evaluated("If-Match"), _NO_RUN, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
