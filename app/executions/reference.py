"""What the API's reference says of executions: answers, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.executions.model import (
    MAX_LABELS,
    MAX_PRIORITY,
    MIN_PRIORITY,
    Envelope,
    Execution,
    Queued,
    Status,
)
from app.executions.problems import (
    AlreadyFinished,
    ExecutionNotFound,
    NoResult,
    NoRoomToWait,
    NotFinished,
    PayloadGone,
    QueueFull,
    TooManyWaiting,
)
from app.executions.waiting.waiters import LONGEST_SECONDS
from app.http.openapi import (
    ANY_JSON,
    BINARY,
    Answer,
    JsonSchema,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)
from app.http.quotas import QuotaExceeded
from app.http.ranges import DESCRIBED, RangeNotSatisfiable
from app.http.undeclared import IdempotencyUnsupported, not_evaluated
from app.outages import BlobsFull, BlobsUnavailable, DatabaseFull, DatabaseUnavailable
from app.pagination import Page, PageChoices
from app.scripts.model import MAX_SEED
from app.scripts.problems import ScriptArchived, ScriptNotFound, VersionNotFound
from app.settings import MAX_MEMORY_BYTES, MAX_PAYLOAD_BYTES, MAX_WALL_MS, MIB
from app.workers.model import NoWorkerLargeEnough

EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
PARAMETERS: Final = {
    "script": "the script's name or id, with `@` and a version or an alias where wanted: "
    "`cards`, `cards@3`, `cards@prod`, `cards@latest`",
    "execution": "the execution's id",
}
_MOMENT: Final = {"format": "date-time"}
_BYTES: Final = {
    "Content-Length": "the size in bytes",
    "ETag": "the SHA-256 of all the bytes, quoted",
    "Accept-Ranges": "`bytes`",
}

NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NO_BLOBS: Final = BlobsUnavailable()
_NO_SCRIPT: Final = ScriptNotFound("no script 'credit'")
_NO_VERSION: Final = VersionNotFound("the script 'cards' has no version 9")
NO_EXECUTION: Final = ExecutionNotFound("no execution 01a1fbeb-e362-742d-9594-29c5a8afd450")
_NOT_FINISHED: Final = NotFinished("the execution is running")
_GONE: Final = PayloadGone(
    "input, result and logs of the execution were erased at 2026-11-20T08:00:00Z; its receipt "
    "is kept",
    members={"erased_at": "2026-11-20T08:00:00.000000Z"},
)
_NO_RANGE: Final = RangeNotSatisfiable("there are 904 bytes")
NO_SEAT: Final = (
    TooManyWaiting("1000 requests of this tenant wait already"),
    NoRoomToWait("2000 requests wait already"),
)
_SUBMISSION: Final = (
    _NO_SCRIPT,
    _NO_VERSION,
    ScriptArchived("the script 'cards' is archived and takes no executions"),
    QuotaExceeded("queued", limit=1_000, used=1_000),
    QueueFull("1000000 executions are queued; no more than 1000000 are"),
    NoWorkerLargeEnough(
        "the memory limit is 4294967296 bytes; no living worker can keep more than 2387561078"
    ),
    NO_DATABASE,
    DatabaseFull(),
    _NO_BLOBS,
    BlobsFull(),
)


class RawChoices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes in the query when the body is the data itself."""

    wall_ms: (
        Annotated[int, Meta(ge=1, le=MAX_WALL_MS, description="time limit, in ms")] | UnsetType
    ) = UNSET
    max_cpu_ms: (
        Annotated[int, Meta(ge=1, le=MAX_WALL_MS, description="limit of CPU time, in ms")]
        | UnsetType
    ) = UNSET
    memory_bytes: (
        Annotated[int, Meta(ge=16 * MIB, le=MAX_MEMORY_BYTES, description="memory limit")]
        | UnsetType
    ) = UNSET
    max_output_bytes: (
        Annotated[int, Meta(ge=1, le=MAX_PAYLOAD_BYTES, description="output limit")] | UnsetType
    ) = UNSET
    seed: (
        Annotated[int, Meta(ge=0, le=MAX_SEED, description="what `Math.random` starts from")]
        | UnsetType
    ) = UNSET
    priority: (
        Annotated[
            int,
            Meta(
                ge=MIN_PRIORITY,
                le=MAX_PRIORITY,
                description="higher ones of the tenant's own run first; 0 where none is chosen",
            ),
        ]
        | UnsetType
    ) = UNSET
    params: (
        Annotated[
            str,
            Meta(
                description="JSON, as a text, for the second argument of `process`; what is too "
                "long for an address goes in the envelope",
                extra_json_schema={"contentMediaType": "application/json"},
            ),
        ]
        | UnsetType
    ) = UNSET
    label: (
        Annotated[
            list[
                Annotated[
                    str,
                    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}:[^\x00]{0,200}$(?!\n)"),
                ]
            ],
            Meta(
                description="`name:value`, to find the execution by; repeated for more",
                max_length=MAX_LABELS,
            ),
        ]
        | UnsetType
    ) = UNSET


class ListChoices(PageChoices, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which executions a list shows."""

    script: (
        Annotated[str, Meta(description="a script, or one version of it: `cards@3`")] | UnsetType
    ) = UNSET
    status: Annotated[Status, Meta(description="where they stand")] | UnsetType = UNSET
    label: (
        Annotated[list[str], Meta(description="`name:value`; repeated: all of them")] | UnsetType
    ) = UNSET
    # Texts: of a text that is a number, a lenient decoder would make a moment, too.
    created_from: (
        Annotated[str, Meta(description="accepted then or later", extra_json_schema=_MOMENT)]
        | UnsetType
    ) = UNSET
    created_before: (
        Annotated[str, Meta(description="accepted before then", extra_json_schema=_MOMENT)]
        | UnsetType
    ) = UNSET


class ShowChoices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to wait for the end."""

    wait: (
        Annotated[
            float,
            Meta(
                ge=0,
                description="seconds to wait for the end, if it has not come yet; no more than "
                f"{LONGEST_SECONDS} are waited",
            ),
        ]
        | UnsetType
    ) = UNSET


class ConsoleLine(Struct, frozen=True, kw_only=True):
    """One line that the script wrote to its console."""

    level: str
    text: str


class Console(Struct, frozen=True, kw_only=True):
    """The captured console; `lines_dropped` counts those over the caps."""

    lines: list[ConsoleLine]
    lines_dropped: int


_QUEUED: Final = Answer(
    description="Accepted and committed: poll its address",
    shape=Queued,
    headers={
        "Location": "the execution's address",
        "Retry-After": "when to ask, in seconds",
        "Preference-Applied": "with `Prefer: wait`, unless too many wait already",
    },
    links={"showExecution": {"execution": "id"}},
)

_ENDED: Final = Answer(
    description="With `Prefer: wait`: accepted, committed, and finished in time",
    shape=Execution,
    headers={
        "Location": "the execution's address",
        "Preference-Applied": "`wait` and the seconds that the answer would have waited",
    },
)
_PREFER: Final = {
    "Prefer": "`wait=30`: answer when the execution has finished, or after so many seconds, 60 at "
    "most; anything else is ignored (RFC 7240)"
}

SUBMIT_ENVELOPE: Final = documented(
    reads={"application/json": Envelope},
    headers=_PREFER,
    gives={200: _ENDED, 202: _QUEUED},
    problems=_SUBMISSION,
    examples=EXAMPLES,
)

SUBMIT_RAW: Final = documented(
    reads={"application/json": ANY_JSON},
    query=RawChoices,
    headers=_PREFER,
    gives={200: _ENDED, 202: _QUEUED},
    problems=_SUBMISSION,
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

LIST_EXECUTIONS: Final = documented(
    query=ListChoices,
    gives={200: Answer(description="A page of executions, newest first", shape=Page[Execution])},
    problems=(_NO_SCRIPT, _NO_VERSION, NO_DATABASE),
    examples=EXAMPLES,
)

SHOW_EXECUTION: Final = documented(
    query=ShowChoices,
    headers=_PREFER,
    gives={
        200: Answer(
            description="The execution as it stands",
            shape=Execution,
            headers={
                "Retry-After": "when to ask again, in seconds; until it has finished",
                "Preference-Applied": "with `Prefer: wait`, unless too many wait already",
            },
        )
    },
    problems=(NO_EXECUTION, *NO_SEAT, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CANCEL_EXECUTION: Final = documented(
    gives={200: Answer(description="The execution, cancelled", shape=Execution)},
    problems=(
        NO_EXECUTION,
        AlreadyFinished("the execution has succeeded"),
        IdempotencyUnsupported(),
        not_evaluated("If-Match"),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

# Of JSON it need not be JSON by itself.
_PART: Final[JsonSchema] = {"description": "some of the bytes"}


def _parts(
    description: str, shape: type | JsonSchema, media_type: str = "application/json"
) -> dict[int, Answer]:
    part = {**_BYTES, "Content-Range": "which of the bytes these are, and how many there are"}
    return {
        200: Answer(description=description, shape=shape, media_type=media_type, headers=_BYTES),
        206: Answer(
            description="With `Range`: one range of the bytes",
            shape=_PART,
            media_type=media_type,
            headers=part,
        ),
        304: Answer(description="With `If-None-Match`: the client has these bytes"),
    }


SHOW_RESULT: Final = documented(
    headers=DESCRIBED,
    gives=_parts("The bytes that `JSON.stringify` made", ANY_JSON),
    problems=(NO_EXECUTION, NoResult, _NOT_FINISHED, _GONE, _NO_RANGE, NO_DATABASE, _NO_BLOBS),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_INPUT: Final = documented(
    headers=DESCRIBED,
    gives=_parts("The bytes that came", BINARY, "application/octet-stream"),
    problems=(NO_EXECUTION, _GONE, _NO_RANGE, NO_DATABASE, _NO_BLOBS),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

ERASE_DATA: Final = documented(
    gives={204: Answer(description="There is no input, result or logs any more")},
    problems=(not_evaluated("If-Match"), NO_EXECUTION, _NOT_FINISHED, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_LOGS: Final = documented(
    headers=DESCRIBED,
    gives=_parts("The console's lines, in order", Console),
    problems=(NO_EXECUTION, _NOT_FINISHED, _GONE, _NO_RANGE, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
