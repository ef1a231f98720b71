"""Describe re-drives in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.dead_letters.filters import Pipe
from app.errors import located
from app.executions.reference import SUBMISSION_PROBLEMS
from app.http.openapi import ResponseSpec, documented, include_schema
from app.http.openapi_parameters import load_examples
from app.http.undeclared import not_evaluated
from app.pagination import Page, PageQuery
from app.pipes.problems import ScriptForBytes, pipe_not_found
from app.progress.filters import AcceptedBefore, AcceptedFrom
from app.progress.reference import NO_DATABASE, ResourceKind, preferring, seconds_for, showing
from app.redrives.model import (
    MAX_LETTERS,
    CreateRedrive,
    Redrive,
    RedrivePlan,
    RedriveStatus,
    RetryFailure,
)
from app.redrives.problems import (
    CannotRedrive,
    RedriveFinished,
    RedriveNotFound,
    nothing_to_redrive,
    too_many_letters,
)
from app.replays.problems import TooManyToReplay
from app.runs.problems import RunNotFinished, RunNotFound

include_schema(RetryFailure)

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_PARAMETERS: Final = {"redrive": "id of the re-drive"}
_ID: Final = "01a1fbeb-e362-742d-9594-29c5a8afd450"
_NO_REDRIVE: Final = RedriveNotFound(f"no re-drive {_ID}; GET /redrives lists them")
_KIND: Final = ResourceKind(
    noun="re-drive", shape=Redrive, missing=_NO_REDRIVE, parameters=_PARAMETERS, examples=_EXAMPLES
)
_SCOPES: Final = (
    MissingScope(Scope.WRITE_PIPES),
    MissingScope(Scope.WRITE_EXECUTIONS),
    MissingScope(Scope.WRITE_DATASETS),
)


class RedriveListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list of re-drives."""

    status: (
        Annotated[RedriveStatus, Meta(description="only re-drives of this status")] | UnsetType
    ) = UNSET
    pipe: Pipe | UnsetType = UNSET
    run: Annotated[str, Meta(description="id of a run: of its records")] | UnsetType = UNSET
    created_from: AcceptedFrom | UnsetType = UNSET
    created_before: AcceptedBefore | UnsetType = UNSET


class RedriveQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one re-drive."""

    wait: Annotated[float, seconds_for("an open re-drive")] | UnsetType = UNSET


CREATE_REDRIVE: Final = documented(
    request_bodies={"application/json": CreateRedrive},
    idempotent=True,
    responses={
        200: ResponseSpec(description="With `dry_run`: what would be tried", shape=RedrivePlan),
        202: ResponseSpec(
            description="The re-drive, accepted and committed",
            shape=Redrive,
            headers={
                "Location": "address of the re-drive",
                "Retry-After": "when to ask again, in seconds",
            },
            links={"showRedrive": {"redrive": "id"}},
        ),
    },
    problems=(
        *SUBMISSION_PROBLEMS,
        *_SCOPES,
        located("/filter/pipe", pipe_not_found("orders")),
        located("/filter/run", RunNotFound(f"no run {_ID}; GET /runs lists them")),
        located("/filter/run", RunNotFinished("the run is running")),
        located("/filter/run", CannotRedrive("the run is over text, which has no records")),
        located("/script", ScriptForBytes("version 7 of 'clean' has neither `map` nor `process`")),
        nothing_to_redrive("dead letter"),
        too_many_letters(MAX_LETTERS),
        TooManyToReplay("/filter/execution: more than 100000 executions match"),
        # Of a repetition, if the re-drive has been deleted since.
        _NO_REDRIVE,
    ),
    examples=_EXAMPLES,
)

LIST_REDRIVES: Final = documented(
    query=RedriveListQuery,
    responses={200: ResponseSpec(description="A page of re-drives", shape=Page[Redrive])},
    problems=(NO_DATABASE,),
    examples=_EXAMPLES,
)

SHOW_REDRIVE: Final = showing(
    _KIND,
    query=RedriveQuery,
    prefer=preferring("re-drive", ended="ended"),
    unended="open",
)

CANCEL_REDRIVE: Final = documented(
    responses={200: ResponseSpec(description="The cancelled re-drive", shape=Redrive)},
    problems=(
        *_SCOPES,
        _NO_REDRIVE,
        RedriveFinished("the re-drive has finished"),
        not_evaluated("If-Match"),
        NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)
