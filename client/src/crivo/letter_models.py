"""Structs of the API's responses about dead letters."""

from base64 import b64decode
from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Raw, UnsetType

from crivo.models import ExecutionError, Response


class LastFailure(Response, frozen=True, kw_only=True):
    """How the last re-drive that has failed at a dead letter did so."""

    kind: str
    error: ExecutionError
    schema: str | None = None
    script: str | None = None


class DeadLetter(Response, frozen=True, kw_only=True):
    """An event that a pipe could not forward, and why.

    `error` is that of the pipe, `last_failure` that of the last re-drive that has failed;
    `attempts` counts the pipe's and those of re-drives. The bytes stay when the letter is `moved`
    or `dropped`, and are gone when it is `erased`.
    """

    id: UUID
    pipe: str
    event_id: str
    event_sha256: str
    event_bytes: int
    event_url: str
    state: str
    kind: str
    error: ExecutionError
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    schema: str | None = None
    script: str | None = None
    last_failure: LastFailure | None = None
    redrive: UUID | None = None
    moved_at: datetime | None = None
    dropped_at: datetime | None = None
    erased_at: datetime | None = None


class DeadLetterWithEvent(DeadLetter, frozen=True, kw_only=True):
    """A dead letter with its event; `content` has the bytes."""

    event: Raw | UnsetType = UNSET
    event_base64: str | None = None

    @property
    def content(self) -> bytes | None:
        """The exact bytes of the event; None: they are erased."""
        if self.event_base64 is not None:
            return b64decode(self.event_base64)
        return None if self.event is UNSET else bytes(self.event)


class LetterCount(Response, frozen=True, kw_only=True):
    """The dead letters of a pipe that have failed first with one kind of error, by state."""

    pipe: str
    kind: str
    dead: int
    moved: int
    dropped: int
    erased: int


class LetterCounts(Response, frozen=True, kw_only=True):
    """Counts by pipe and kind."""

    items: list[LetterCount]


class ErasedLetters(Response, frozen=True, kw_only=True):
    """How many letters were erased; `complete`: no others match."""

    erased: int
    complete: bool
