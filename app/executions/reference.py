"""Describe executions in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.executions.envelope import Envelope
from app.executions.model import Execution, Queued, ReplayRequest, Status
from app.executions.problems import (
    AlreadyFinished,
    ExecutionNotFound,
    NotFinished,
    PartOfRun,
    PayloadGone,
    QueueFull,
)
from app.executions.query_options import RawSubmissionQuery
from app.http.openapi import (
    ANY_JSON,
    ResponseSpec,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)
from app.http.quota_problems import quota_problem
from app.outages import BlobsFull, BlobsUnavailable, DatabaseFull
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
from app.scripts.problems import ScriptArchived, ScriptNotFound, VersionNotFound, no_process
from app.workers.model import NoWorkerLargeEnough

EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
PARAMETERS: Final = {
    "script": "name or id of the script, optionally with `@` and a version or an alias: "
    "`cards`, `cards@3`, `cards@prod`, `cards@latest`",
    "execution": "id of the execution",
}

NO_BLOBS: Final = BlobsUnavailable()
NO_SCRIPT: Final = ScriptNotFound("no script 'credit'")
NO_VERSION: Final = VersionNotFound("the script 'cards' has no version 9")
NO_PROCESS: Final = no_process("total-of", 1)
NO_EXECUTION: Final = ExecutionNotFound("no execution 01a1fbeb-e362-742d-9594-29c5a8afd450")
NOT_FINISHED: Final = NotFinished("the execution is running")
_OF_RUN: Final = PartOfRun("the execution is a part of a run, which can be repeated")
GONE: Final = PayloadGone(
    "input, result and logs of the execution were erased at 2026-11-20T08:00:00Z; its receipt "
    "is kept",
    members={"erased_at": "2026-11-20T08:00:00.000000Z"},
)
SUBMISSION_PROBLEMS: Final = (
    NO_SCRIPT,
    NO_VERSION,
    ScriptArchived("the script 'cards' is archived and takes no executions"),
    NO_PROCESS,
    quota_problem(QuotaExceeded("queued", limit=1_000, used=1_000)),
    QueueFull("1000000 executions are queued; the limit is 1000000"),
    NoWorkerLargeEnough(
        "the memory limit is 4294967296 bytes; no live worker can enforce more than 2387561078"
    ),
    NO_DATABASE,
    DatabaseFull(),
    NO_BLOBS,
    BlobsFull(),
)


class ExecutionListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list of executions."""

    script: (
        Annotated[str, Meta(description="a script, or one of its versions: `cards@3`")] | UnsetType
    ) = UNSET
    status: Annotated[Status, Meta(description="status of the executions")] | UnsetType = UNSET
    batch: Annotated[str, Meta(description="id of a batch: its items")] | UnsetType = UNSET
    run: Annotated[str, Meta(description="id of a run: its parts")] | UnsetType = UNSET
    label: LabelTexts | UnsetType = UNSET
    created_from: AcceptedFrom | UnsetType = UNSET
    created_before: AcceptedBefore | UnsetType = UNSET


class ExecutionQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one execution."""

    wait: Annotated[float, seconds_for("an unfinished execution")] | UnsetType = UNSET


_QUEUED: Final = queued("execution", Queued, links=("showExecution",))
_ENDED: Final = ended(
    "execution",
    Execution,
    description="Accepted, committed and finished: with `Prefer: wait` in time, or by the time of "
    "a request that repeats an earlier one with its key",
)
_KIND: Final = ResourceKind(
    noun="execution",
    shape=Execution,
    missing=NO_EXECUTION,
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
_PREFER: Final = preferring("execution", others="; other preferences are ignored")

SUBMIT_ENVELOPE: Final = documented(
    request_bodies={"application/json": Envelope},
    headers=_PREFER,
    idempotent=True,
    responses={200: _ENDED, 202: _QUEUED},
    # The last: of a repetition, if the execution has been deleted since.
    problems=(*SUBMISSION_PROBLEMS, NO_EXECUTION),
    examples=EXAMPLES,
)

SUBMIT_RAW: Final = documented(
    # Of other media types, too; generated clients find no type for a choice with "any JSON".
    request_bodies={"application/json": ANY_JSON},
    query=RawSubmissionQuery,
    headers=_PREFER,
    idempotent=True,
    responses={200: _ENDED, 202: _QUEUED},
    # The last: of a repetition, if the execution has been deleted since.
    problems=(*SUBMISSION_PROBLEMS, NO_EXECUTION),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

REPLAY_EXECUTION: Final = documented(
    request_bodies={"application/json": ReplayRequest},
    headers=_PREFER,
    idempotent=True,
    responses={200: _ENDED, 202: _QUEUED},
    problems=(NO_EXECUTION, _OF_RUN, NOT_FINISHED, GONE, *SUBMISSION_PROBLEMS),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_EXECUTIONS: Final = documented(
    query=ExecutionListQuery,
    responses={
        200: ResponseSpec(description="A page of executions, newest first", shape=Page[Execution])
    },
    problems=(NO_SCRIPT, NO_VERSION, NO_DATABASE),
    examples=EXAMPLES,
)

SHOW_EXECUTION: Final = showing(_KIND, query=ExecutionQuery, prefer=_PREFER)

CANCEL_EXECUTION: Final = cancelling(_KIND, AlreadyFinished("the execution has succeeded"))

SHOW_EVENTS: Final = following(_KIND, told="the execution without its result")

CREATE_EVENTS_TOKEN: Final = creating_token(_KIND)
