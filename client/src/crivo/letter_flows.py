"""Flows of dead letters: events that pipes could not forward."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from msgspec import DecodeError, ValidationError

from crivo.errors import CrivoError, UnexpectedResponse, Unreachable
from crivo.json_text import decode
from crivo.letter_models import (
    DeadLetter,
    DeadLetterWithEvent,
    ErasedLetters,
    LetterCount,
    LetterCounts,
)
from crivo.models import Page
from crivo.options import LetterFilter, as_query, conditions_on_letters
from crivo.retries import Flow, Retry, patient, pause_before_resuming
from crivo.session import Session
from crivo.wire import Reply, Request, path_to

_PATH: Final = "/dead-letters"
_ANY_STATE: Final = "all"


def letters_page(
    session: Session, cursor: str | None, *, size: int, filters: LetterFilter
) -> Flow[Page[DeadLetter]]:
    """Show one page of dead letters, newest first; it can be empty while there is a next one."""
    conditions = conditions_on_letters(filters)
    if conditions.get("state") == _ANY_STATE:
        # As without a state; the word is that of downloads, which are of dead letters without one.
        del conditions["state"]
    query = as_query({"cursor": cursor, "limit": size, **conditions})
    return (yield from session.get(_PATH, Page[DeadLetter], query))


def show(session: Session, letter: UUID | str) -> Flow[DeadLetterWithEvent]:
    """Show a dead letter with its event."""
    return (yield from session.get(path_of(letter), DeadLetterWithEvent))


def event(session: Session, letter: UUID | str) -> Flow[bytes]:
    """Read the exact bytes of an event. Raises Gone if they were erased."""
    request = Request(method="GET", path=path_of(letter, "event"))
    return (yield from session.deliver(request)).content


def counts(session: Session, pipe: str | None) -> Flow[list[LetterCount]]:
    """Count letters by pipe and kind."""
    path = f"{_PATH}/counts"
    return (yield from session.get(path, LetterCounts, as_query({"pipe": pipe}))).items


def erase(session: Session, letter: UUID | str) -> Flow[None]:
    """Erase the event of a letter; again changes nothing."""
    yield from session.deliver(Request(method="DELETE", path=path_of(letter)))


def erase_all(session: Session, filters: LetterFilter) -> Flow[int]:
    """Erase the events of all letters that match; return how many. Raises InvalidRequest."""
    query = as_query(conditions_on_letters(filters))
    erased = 0
    while True:
        request = Request(method="DELETE", path=_PATH, query=query)
        step = yield from session.fetch(request, ErasedLetters)
        erased += step.erased
        if step.complete:
            return erased


def path_of(letter: UUID | str, part: str = "") -> str:
    """Return the path of a letter, or of a part of it."""
    return path_to("dead-letters", letter, part)


class LetterLines:
    """The lines of a download, each a letter with its event; a lost connection is resumed."""

    def __init__(self, filters: LetterFilter, *, retry: Retry) -> None:
        """Start before the first letter."""
        self.finished = False
        self._query = [*as_query(conditions_on_letters(filters)), ("form", "full")]
        self._retry = self._usual = retry
        self._failures = 0
        self._last: UUID | None = None
        self._parts: list[bytes] = []

    def request(self) -> Request:
        """Return the request for the letters after the last one that has arrived."""
        after = [] if self._last is None else [("after", str(self._last))]
        return Request(method="GET", path=f"{_PATH}/download", query=[*self._query, *after])

    def begin(self, reply: Reply) -> None:
        """Take the head of a response. Raises CrivoError."""
        self._parts = []
        if reply.error is not None:
            raise reply.error
        self._retry = patient(self._usual)

    def items(self, chunk: bytes) -> Iterator[tuple[bytes, DeadLetterWithEvent]]:
        """Yield the lines that a chunk completes, and the letters in them."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            line = b"".join((*self._parts, part))
            self._parts = []
            letter = _letter_in(line)
            self._last = letter.id
            self._failures = 0
            yield line + b"\n", letter
        if rest:
            self._parts.append(rest)

    def end(self) -> None:
        """Take the end of a response. Raises UnexpectedResponse within a line."""
        if self._parts:
            raise UnexpectedResponse("the letters end within a line", status=200)
        self.finished = True

    def failed(self, error: CrivoError | None) -> float:
        """Return the seconds to wait before the next request. Raises the error."""
        self._failures += 1
        error = error or Unreachable("the letters end before their last line")
        return pause_before_resuming(error, self._failures, retry=self._retry)


def _letter_in(line: bytes) -> DeadLetterWithEvent:
    try:
        return decode(line, DeadLetterWithEvent)
    except (DecodeError, ValidationError):
        message = "a line of the letters is not Crivo's JSON"
        raise UnexpectedResponse(message, status=200) from None
