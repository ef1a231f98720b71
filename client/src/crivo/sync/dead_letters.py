"""Dead letters, synchronously."""

from collections.abc import Iterator, Sequence
from typing import Unpack
from uuid import UUID

from crivo import letter_flows as flows
from crivo.letter_flows import LetterLines
from crivo.letter_models import DeadLetter, DeadLetterWithEvent, LetterCount
from crivo.options import LetterFilter
from crivo.sync.calls import Calls

Id = UUID | str


class DeadLetters(Calls):
    """Events that pipes could not forward, with the reasons."""

    def list(
        self, *, page_size: int = 200, **filters: Unpack[LetterFilter]
    ) -> Iterator[DeadLetter]:
        """List letters, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.letters_page(
                self._session, cursor, size=page_size, filters=filters
            )
        )

    def show(self, letter: Id) -> DeadLetterWithEvent:
        """Show a letter with its event, whose exact bytes are its `content`."""
        return self._driver.do(flows.show(self._session, letter))

    def event(self, letter: Id) -> bytes:
        """Read the exact bytes of an event. Raises Gone if they were erased."""
        return self._driver.do(flows.event(self._session, letter))

    def counts(self, pipe: str | None = None) -> Sequence[LetterCount]:
        """Count letters by pipe and kind."""
        return self._driver.do(flows.counts(self._session, pipe))

    def download(self, **filters: Unpack[LetterFilter]) -> Iterator[DeadLetterWithEvent]:
        """Read the dead letters that match with their events, the oldest first.

        `state="all"` reads moved, dropped and erased ones, too.
        """
        for _, letter in self._lines(filters):
            yield letter

    def download_lines(self, **filters: Unpack[LetterFilter]) -> Iterator[bytes]:
        """Read what `download` reads as the exact lines of NDJSON."""
        for line, _ in self._lines(filters):
            yield line

    def erase(self, letter: Id) -> None:
        """Erase an event, and what its error says, for good; again changes nothing."""
        self._driver.do(flows.erase(self._session, letter))

    def erase_all(self, **filters: Unpack[LetterFilter]) -> int:
        """Erase all that match; return how many. Raises InvalidRequest without a filter."""
        return self._driver.do(flows.erase_all(self._session, filters))

    def _lines(self, filters: LetterFilter) -> Iterator[tuple[bytes, DeadLetterWithEvent]]:
        return self._driver.stream(LetterLines(filters, retry=self._session.retry))
