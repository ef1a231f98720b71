"""Define dead letters: events that a pipe could not forward, with the reason."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

MAX_EVENT_BYTES: Final = 1 << 20


class LetterState(StrEnum):
    """Where a dead letter is on its way.

    `moved`: a re-drive has forwarded the event; the letter keeps when, by which one, and the bytes.
    `erased`: the event's bytes are gone for good.
    """

    DEAD = "dead"
    MOVED = "moved"
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
    """An event that could not be forwarded: its stable id (1 to 200 bytes), its bytes as it came."""

    event_id: str
    event: bytes


class FailedAgain(Reason, frozen=True, kw_only=True):
    """A dead letter that a re-drive could not forward either."""

    id: UUID


class KeptEvent(Struct, frozen=True, kw_only=True):
    """A dead letter's event, for a re-drive."""

    id: UUID
    pipe_id: UUID
    event_id: str
    event: bytes
    created_at: datetime


class LetterFilter(Struct, frozen=True, kw_only=True):
    """Conditions on dead letters; None matches every letter.

    `schema` and `script` are ids with a version number, or None for all versions. `pointer` is
    that of one of the letter's schema errors. Times are those of the first failure.
    """

    pipe_id: UUID | None = None
    kind: str | None = None
    state: LetterState | None = None
    schema: tuple[UUID, int | None] | None = None
    script: tuple[UUID, int | None] | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    pointer: str | None = None
