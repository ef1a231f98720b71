"""Dead letters, asynchronously."""

from collections.abc import AsyncIterator, Sequence
from typing import Unpack
from uuid import UUID

from crivo import letter_flows as flows
from crivo.aio.calls import AsyncCalls
from crivo.letter_flows import LetterLines
from crivo.letter_models import DeadLetter, DeadLetterWithEvent, LetterCount
from crivo.options import LetterFilter

Id = UUID | str


class AsyncDeadLetters(AsyncCalls):
    """Events that pipes could not forward, with the reasons."""

    def list(
        self, *, page_size: int = 200, **filters: Unpack[LetterFilter]
    ) -> AsyncIterator[DeadLetter]:
        """List letters, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.letters_page(
                self._session, cursor, size=page_size, filters=filters
            )
        )

    async def show(self, letter: Id) -> DeadLetterWithEvent:
        """Show a letter with its event, whose exact bytes are its `content`."""
        return await self._driver.do(flows.show(self._session, letter))

    async def event(self, letter: Id) -> bytes:
        """Read the exact bytes of an event. Raises Gone if they were erased."""
        return await self._driver.do(flows.event(self._session, letter))

    async def counts(self, pipe: str | None = None) -> Sequence[LetterCount]:
        """Count letters by pipe and kind."""
        return await self._driver.do(flows.counts(self._session, pipe))

    async def download(self, **filters: Unpack[LetterFilter]) -> AsyncIterator[DeadLetterWithEvent]:
        """Read the dead letters that match with their events, the oldest first.

        `state="all"` reads moved, dropped and erased ones, too.
        """
        async for _, letter in self._lines(filters):
            yield letter

    async def download_lines(self, **filters: Unpack[LetterFilter]) -> AsyncIterator[bytes]:
        """Read what `download` reads as the exact lines of NDJSON."""
        async for line, _ in self._lines(filters):
            yield line

    async def erase(self, letter: Id) -> None:
        """Erase an event, and what its error says, for good; again changes nothing."""
        await self._driver.do(flows.erase(self._session, letter))

    async def erase_all(self, **filters: Unpack[LetterFilter]) -> int:
        """Erase all that match; return how many. Raises InvalidRequest without a filter."""
        return await self._driver.do(flows.erase_all(self._session, filters))

    def _lines(self, filters: LetterFilter) -> AsyncIterator[tuple[bytes, DeadLetterWithEvent]]:
        return self._driver.stream(LetterLines(filters, retry=self._session.retry))
