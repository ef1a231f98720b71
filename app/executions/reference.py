"""Describe executions in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.executions.callback_urls import CallbackUrl
from app.executions.envelope import Envelope
from app.executions.model import LABEL_NAME, Execution, Queued, ReplayRequest, Status
from app.executions.problems import (
    AlreadyFinished,
    ExecutionNotFound,
    NotFinished,
    PartOfRun,
    PayloadGone,
    QueueFull,
)
from app.http.openapi import (
    ANY_JSON,
    ResponseSpec,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)
from app.http.quota_problems import quota_problem
from app.http.undeclared import not_evaluated
from app.limits import (
    MAX_LABEL_VALUE_CHARACTERS,
    MAX_LABELS,
    CpuMs,
    MemoryBytes,
    OutputBytes,
    Priority,
    Seed,
    WallMs,
)
from app.outages import BlobsFull, BlobsUnavailable, DatabaseFull, DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.progress.problems import NoRoomToWait, TooManyWaiting
from app.progress.waiters import MAX_WAIT_SECONDS
from app.quotas.errors import QuotaExceeded
from app.scripts.problems import ScriptArchived, ScriptNotFound, VersionNotFound, no_process
from app.workers.model import NoWorkerLargeEnough

EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
PARAMETERS: Final = {
    "script": "name or id of the script, optionally with `@` and a version or an alias: "
    "`cards`, `cards@3`, `cards@prod`, `cards@latest`",
    "execution": "id of the execution",
}
_DATE_TIME: Final = {"format": "date-time"}
_LABEL: Final = rf"^{LABEL_NAME}:[^\x00]{{0,{MAX_LABEL_VALUE_CHARACTERS}}}$(?!\n)"

NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
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
WAIT_REFUSALS: Final = (
    TooManyWaiting("1000 requests of this tenant are already waiting"),
    NoRoomToWait("2000 requests are already waiting"),
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


class RawSubmissionQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a submission whose body is the data itself."""

    wall_ms: Annotated[WallMs, Meta(description="time limit, in ms")] | UnsetType = UNSET
    max_cpu_ms: Annotated[CpuMs, Meta(description="CPU time limit, in ms")] | UnsetType = UNSET
    memory_bytes: Annotated[MemoryBytes, Meta(description="memory limit")] | UnsetType = UNSET
    max_output_bytes: Annotated[OutputBytes, Meta(description="output limit")] | UnsetType = UNSET
    seed: Annotated[Seed, Meta(description="seed of `Math.random`")] | UnsetType = UNSET
    priority: (
        Annotated[
            Priority,
            Meta(description="higher ones run first among the tenant's own; 0 by default"),
        ]
        | UnsetType
    ) = UNSET
    params: (
        Annotated[
            str,
            Meta(
                description="JSON text for the second argument of `process`; use the envelope if "
                "it is too long for a URL",
                extra_json_schema={"contentMediaType": "application/json"},
            ),
        ]
        | UnsetType
    ) = UNSET
    label: (
        Annotated[
            list[Annotated[str, Meta(pattern=_LABEL)]],
            Meta(
                description="`name:value`, to find the execution by; repeat it for more",
                max_length=MAX_LABELS,
            ),
        ]
        | UnsetType
    ) = UNSET
    callback_url: (
        Annotated[
            CallbackUrl,
            Meta(description="`https://` URL that receives a signed request at the end"),
        ]
        | UnsetType
    ) = UNSET


class ExecutionListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list of executions."""

    script: (
        Annotated[str, Meta(description="a script, or one of its versions: `cards@3`")] | UnsetType
    ) = UNSET
    status: Annotated[Status, Meta(description="status of the executions")] | UnsetType = UNSET
    batch: Annotated[str, Meta(description="id of a batch: its items")] | UnsetType = UNSET
    run: Annotated[str, Meta(description="id of a run: its parts")] | UnsetType = UNSET
    label: (
        Annotated[list[str], Meta(description="`name:value`; repeated: all must match")] | UnsetType
    ) = UNSET
    # Strings: lenient decoding would accept a number as a time.
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


class ExecutionQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of one execution."""

    wait: (
        Annotated[
            float,
            Meta(
                ge=0,
                description="seconds to wait for an unfinished execution, "
                f"{MAX_WAIT_SECONDS} at most",
            ),
        ]
        | UnsetType
    ) = UNSET


_QUEUED: Final = ResponseSpec(
    description="Accepted and committed; poll its address",
    shape=Queued,
    headers={
        "Location": "address of the execution",
        "Retry-After": "seconds until the first poll",
        "Preference-Applied": "with `Prefer: wait`, unless too many already wait",
    },
    links={"showExecution": {"execution": "id"}},
)

_ENDED: Final = ResponseSpec(
    description="Accepted, committed and finished: with `Prefer: wait` in time, or by the time of "
    "a request that repeats an earlier one with its key",
    shape=Execution,
    headers={
        "Location": "address of the execution",
        "Preference-Applied": "`wait` and the longest wait in seconds",
    },
)
_PREFER: Final = {
    "Prefer": "`wait=30`: respond when the execution has finished, after this many seconds at the "
    f"latest, {MAX_WAIT_SECONDS} at most; other preferences are ignored (RFC 7240)"
}

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

SHOW_EXECUTION: Final = documented(
    query=ExecutionQuery,
    headers=_PREFER,
    responses={
        200: ResponseSpec(
            description="The execution in its current state",
            shape=Execution,
            headers={
                "Retry-After": "seconds until the next poll, while it is unfinished",
                "Preference-Applied": "with `Prefer: wait`, unless too many already wait",
            },
        )
    },
    problems=(NO_EXECUTION, *WAIT_REFUSALS, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CANCEL_EXECUTION: Final = documented(
    responses={200: ResponseSpec(description="The execution, cancelled", shape=Execution)},
    problems=(
        NO_EXECUTION,
        AlreadyFinished("the execution has succeeded"),
        not_evaluated("If-Match"),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
