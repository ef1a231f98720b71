"""Define dead letters: events that a pipe could not forward, with the reason."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

from app.execution_errors import WrittenError


class LetterState(StrEnum):
    """Where a dead letter is on its way.

    `moved`: a re-drive has forwarded the event; the letter keeps when, by which one, and the bytes.
    `dropped`: in a re-drive, a script has returned null for it; the bytes stay, too.
    `erased`: the event's bytes are gone for good.
    """

    DEAD = "dead"
    MOVED = "moved"
    DROPPED = "dropped"
    ERASED = "erased"


class Reason(Struct, frozen=True, kw_only=True):
    """Why an event could not be forwarded, and the versions that it was tried with.

    `error` is the error document as ASCII JSON (app/execution_errors.py), `kind` the one in it.
    `schema` and `script` are ids with version numbers.
    """

    kind: str
    error: bytes
    schema: tuple[UUID, int] | None = None
    script: tuple[UUID, int] | None = None


class NewDeadLetter(Reason, frozen=True, kw_only=True):
    """An event that could not be forwarded: its stable id (1 to 200 bytes) and its bytes."""

    event_id: str
    event: bytes


class FailedAgain(Reason, frozen=True, kw_only=True):
    """A dead letter that a re-drive could not forward either."""

    id: UUID


class LetterFilter(Struct, frozen=True, kw_only=True):
    """Conditions on dead letters; None matches every letter.

    `kind`, `schema`, `script` and `pointer` are about one failure, the first or the last. `schema`
    and `script` are ids with a version number, or None for all versions. `pointer` is that of one
    of the failure's schema errors. Times are those of the first failure. `kept_only` leaves erased
    letters out; `has_line_feed` is about the event's bytes.
    """

    pipe_id: UUID | None = None
    kind: str | None = None
    state: LetterState | None = None
    schema: tuple[UUID, int | None] | None = None
    script: tuple[UUID, int | None] | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    pointer: str | None = None
    kept_only: bool = False
    has_line_feed: bool | None = None


class LastFailure(Struct, frozen=True, kw_only=True):
    """How the last re-drive that has failed at a dead letter did so."""

    kind: str
    error: WrittenError
    schema: str | UnsetType = UNSET
    script: str | UnsetType = UNSET


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that a pipe could not forward, and why.

    `pipe` is its name, or its id once it is deleted; `event_id` the stable id that the sink would
    have got. `kind` and `error` say why the pipe has failed, with the versions of `schema` and
    `script` that it had; `last_failure` says it of the last re-drive that has failed. `attempts`
    counts the pipe's and those of re-drives. `event_url` has the bytes, which stay when the letter
    is `moved` or `dropped`, and are gone when it is `erased`: then errors have their kinds only.
    """

    id: UUID
    pipe: str
    event_id: str
    event_sha256: str
    event_bytes: int
    event_url: str
    state: LetterState
    kind: str
    error: WrittenError
    schema: str | UnsetType = UNSET
    script: str | UnsetType = UNSET
    last_failure: LastFailure | UnsetType = UNSET
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    redrive: UUID | UnsetType = UNSET
    moved_at: datetime | UnsetType = UNSET
    dropped_at: datetime | UnsetType = UNSET
    erased_at: datetime | UnsetType = UNSET


class DeadLetterWithEvent(DeadLetter, frozen=True, kw_only=True):
    """A dead letter with its event; an erased one has neither member.

    `event` is it byte for byte, if it is JSON without blanks around it; else `event_base64`.
    """

    event: Raw | UnsetType = UNSET
    event_base64: str | UnsetType = UNSET


class LetterCount(Struct, frozen=True, kw_only=True):
    """The dead letters of a pipe that have failed first with one kind of error, by state."""

    pipe: str
    kind: str
    dead: int
    moved: int
    dropped: int
    erased: int


class LetterCounts(Struct, frozen=True, kw_only=True):
    """Counts by pipe and kind."""

    items: list[LetterCount]


class ErasedLetters(Struct, frozen=True, kw_only=True):
    """How many letters were erased; not `complete`: more match, and wait for the next request."""

    erased: int
    complete: bool
