"""Send the events of a batch in requests, and count how far they have come."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import monotonic
from typing import Final

from app.pipes.connectors.model import ConnectorUnavailable, Outgoing, Placed, Sent

# After so long, what is confirmed is returned, so that it can be committed before the rest.
_SECONDS: Final = 1.0


class Sending:
    """Events that go to a sink in several requests, of which each may fail."""

    def __init__(self, events: Sequence[Outgoing]) -> None:
        """Begin with no answer to any event."""
        self._count = len(events)
        self._unanswered = set(range(len(events)))
        self._refused: dict[int, str] = {}
        self._trouble: ConnectorUnavailable | None = None

    def confirm(self, events: Iterable[Placed]) -> None:
        """Note that the sink has these events."""
        self._unanswered.difference_update(place for place, _ in events)

    def refuse(self, place: int, reason: str) -> None:
        """Note that the sink will never take an event."""
        self._refused[place] = reason
        self._unanswered.discard(place)

    async def run(
        self,
        requests: Iterable[Sequence[Placed]],
        send: Callable[[Sequence[Placed]], Awaitable[None]],
        *,
        at_once: int = 1,
    ) -> Sent:
        """Send requests in their order until there is trouble, or for a while.

        `send` sends one, and notes the answers to its events; `at_once` of them are under way at a
        time. Raises ConnectorUnavailable if the first event has no answer.
        """
        left, until = iter(requests), monotonic() + _SECONDS

        async def send_some() -> None:
            for some in left:
                try:
                    await send(some)
                except ConnectorUnavailable as trouble:
                    self._trouble = self._trouble or trouble
                if self._trouble is not None or monotonic() >= until:
                    return

        if at_once == 1:
            await send_some()
        else:
            workers = (send_some() for _ in range(at_once))
            for each in await asyncio.gather(*workers, return_exceptions=True):
                if isinstance(each, BaseException):
                    raise each
        return self._sent()

    def _sent(self) -> Sent:
        """Return how many of the first events have an answer; others are sent again."""
        count = min(self._unanswered, default=self._count)
        if count == 0 and self._trouble is not None:
            raise self._trouble
        refused = {place: reason for place, reason in self._refused.items() if place < count}
        return Sent(count=count, refused=refused, trouble=self._trouble)
