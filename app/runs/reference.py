"""Describe runs in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.datasets.problems import DatasetDiffers
from app.datasets.reference import LOST, NO_DATASET, NO_SNAPSHOT
from app.errors import located
from app.executions.payload_reference import NO_RANGE, payload_responses
from app.executions.reference import (
    NO_BLOBS,
    NO_PROCESS,
    NO_SCRIPT,
    NO_VERSION,
    SUBMISSION_PROBLEMS,
)
from app.http.openapi import ANY_JSON, ResponseSpec, documented, include_schema
from app.http.openapi_parameters import load_examples
from app.http.ranges import DESCRIBED
from app.http.undeclared import not_evaluated
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
_NO_RUN: Final = RunNotFound("no run 01a1fbeb-e362-742d-9594-29c5a8afd450; GET /runs lists them")
_NOT_FINISHED: Final = RunNotFinished("the run is running")
_QUEUED: Final = queued("run", QueuedRun, links=("showRun",))
_ENDED: Final = ended("run", Run)
_KIND: Final = ResourceKind(
    noun="run", shape=Run, missing=_NO_RUN, parameters=PARAMETERS, examples=EXAMPLES
)
_PREFER: Final = preferring("run")


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
    label: LabelTexts | UnsetType = UNSET
    created_from: AcceptedFrom | UnsetType = UNSET
    created_before: AcceptedBefore | UnsetType = UNSET


class RunQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one run."""

    wait: Annotated[float, seconds_for("an unfinished run")] | UnsetType = UNSET


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

SHOW_RUN: Final = showing(_KIND, query=RunQuery, prefer=_PREFER)

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

CANCEL_RUN: Final = cancelling(_KIND, RunFinished("the run has succeeded"))

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

SHOW_RUN_EVENTS: Final = following(_KIND)

CREATE_RUN_EVENTS_TOKEN: Final = creating_token(_KIND)
