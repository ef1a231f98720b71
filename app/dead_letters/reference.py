"""Describe dead letters in the OpenAPI document: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.datasets.reference import NO_DATABASE
from app.dead_letters.filters import (
    Kind,
    LetterConditions,
    Pipe,
    Pointer,
    SchemaChoice,
    ScriptChoice,
)
from app.dead_letters.model import (
    DeadLetter,
    DeadLetterWithEvent,
    ErasedLetters,
    LetterCounts,
    LetterState,
)
from app.dead_letters.problems import EventErased, event_with_line_feed, letter_not_found
from app.errors import invalid
from app.http.bodies import parse_datetime
from app.http.openapi import BINARY, RAW_TEXT, ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.ranges import DESCRIBED as DESCRIBED_RANGES, RangeNotSatisfiable
from app.http.undeclared import not_evaluated
from app.pagination import DEFAULT_PAGE, Cursor, Page, PageLimit
from app.schemas.problems import schema_not_found, schema_version_not_found
from app.scripts.problems import script_not_found, version_not_found

EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
BYTES: Final = "application/octet-stream"
NDJSON: Final = "application/x-ndjson"
PARAMETERS: Final = {"letter": "id of the dead letter"}
_DATE_TIME: Final = {"format": "date-time"}
_ID: Final = UUID("01a1fbeb-e362-742d-9594-29c5a8afd450")
_NO_LETTER: Final = letter_not_found(_ID)
_NO_PIPE: Final = invalid("/pipe", "there is no pipe 'orders'; GET /pipes lists them")
_UNKNOWN: Final = (
    _NO_PIPE,
    schema_not_found("events"),
    schema_version_not_found("events", 9),
    script_not_found("clean"),
    version_not_found("clean", 9),
)


class _Conditions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters that select dead letters in any state; all must match."""

    pipe: Pipe | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    schema: SchemaChoice | UnsetType = UNSET
    script: ScriptChoice | UnsetType = UNSET
    from_: (
        Annotated[
            str,
            Meta(description="failed first at this time or later", extra_json_schema=_DATE_TIME),
        ]
        | UnsetType
    ) = field(name="from", default=UNSET)
    to: (
        Annotated[
            str, Meta(description="failed first before this time", extra_json_schema=_DATE_TIME)
        ]
        | UnsetType
    ) = UNSET
    pointer: Pointer | UnsetType = UNSET

    def in_state(self, state: LetterState | UnsetType) -> LetterConditions:
        """Return what is asked for. Raises InvalidRequest for text that is no time."""
        return LetterConditions(
            pipe=self.pipe,
            kind=self.kind,
            state=state,
            schema=self.schema,
            script=self.script,
            created_from=parse_datetime("from", self.from_) or UNSET,
            created_before=parse_datetime("to", self.to) or UNSET,
            pointer=self.pointer,
        )


class LetterQuery(_Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters that select dead letters; all must match."""

    state: Annotated[LetterState, Meta(description="only letters in this state")] | UnsetType = (
        UNSET
    )

    def conditions(self) -> LetterConditions:
        """Return what is asked for. Raises InvalidRequest for text that is no time."""
        return self.in_state(self.state)


class LetterListQuery(LetterQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list of dead letters: conditions, and those of PageQuery."""

    cursor: Cursor | UnsetType = UNSET
    limit: PageLimit = DEFAULT_PAGE


class DownloadQuery(_Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a download."""

    state: Annotated[
        Literal["dead", "moved", "dropped", "erased", "all"],
        Meta(description="only letters in this state; `all`: in any"),
    ] = "dead"
    form: Annotated[
        Literal["event", "full"],
        Meta(description="`event`: the bytes of each event; `full`: each letter, with its event"),
    ] = "event"
    after: Annotated[UUID, Meta(description="go on after this letter")] | UnsetType = UNSET

    def conditions(self) -> LetterConditions:
        """Return what is asked for. Raises InvalidRequest for text that is no time."""
        return self.in_state(UNSET if self.state == "all" else LetterState(self.state))


class CountsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of the counts."""

    pipe: Pipe | UnsetType = UNSET


LIST_LETTERS: Final = documented(
    query=LetterListQuery,
    responses={
        200: ResponseSpec(
            description="A page of dead letters, newest first; it can be short while there is a "
            "next one",
            shape=Page[DeadLetter],
        )
    },
    problems=(*_UNKNOWN, NO_DATABASE),
    examples=EXAMPLES,
)

COUNT_LETTERS: Final = documented(
    query=CountsQuery,
    responses={200: ResponseSpec(description="The counts", shape=LetterCounts)},
    problems=(_NO_PIPE, NO_DATABASE),
    examples=EXAMPLES,
)

DOWNLOAD_LETTERS: Final = documented(
    query=DownloadQuery,
    responses={
        200: ResponseSpec(
            description="A line for each event or letter, the oldest first",
            shape=RAW_TEXT,
            media_type=NDJSON,
        )
    },
    problems=(*_UNKNOWN, event_with_line_feed(_ID), NO_DATABASE),
    examples=EXAMPLES,
)

SHOW_LETTER: Final = documented(
    responses={200: ResponseSpec(description="The dead letter", shape=DeadLetterWithEvent)},
    problems=(_NO_LETTER, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_EVENT: Final = documented(
    headers=DESCRIBED_RANGES,
    responses={
        200: ResponseSpec(
            description="The event, byte for byte",
            shape=BINARY,
            media_type=BYTES,
            headers={
                "Content-Length": "size in bytes",
                "ETag": "quoted SHA-256 of the event",
                "Accept-Ranges": "`bytes`",
            },
        ),
        206: ResponseSpec(
            description="With `Range`: one range of it",
            shape=BINARY,
            media_type=BYTES,
            headers={"Content-Range": "the range of this part, and the total size"},
        ),
        304: ResponseSpec(description="With `If-None-Match`: the client already has these bytes"),
    },
    problems=(
        _NO_LETTER,
        EventErased(
            "the event was erased at 2026-11-28T09:30:00Z; the letter is kept",
            members={"erased_at": "2026-11-28T09:30:00.000000Z"},
        ),
        RangeNotSatisfiable("there are 904 bytes"),
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

ERASE_LETTER: Final = documented(
    responses={204: ResponseSpec(description="The event is erased")},
    problems=(not_evaluated("If-Match"), _NO_LETTER, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

ERASE_LETTERS: Final = documented(
    query=LetterQuery,
    responses={200: ResponseSpec(description="What was erased", shape=ErasedLetters)},
    problems=(
        not_evaluated("If-Match"),
        invalid("", "needs a condition, such as `pipe`"),
        *_UNKNOWN,
        NO_DATABASE,
    ),
    examples=EXAMPLES,
)
