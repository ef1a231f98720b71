"""Pipes, synchronously."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crivo import pipe_flows as flows
from crivo.bodies import Data
from crivo.pipe_models import AcceptedEvents, Pipe
from crivo.sync.calls import Calls


class Pipes(Calls):
    """Pipes, through which events go from a source to a sink."""

    def put(self, name: str, definition: Mapping[str, Any]) -> Pipe:
        """Create a pipe, or change its definition: `from`, `schema`, `script`, `to`, `batch`."""
        return self._driver.do(flows.put(self._session, name, definition))

    def show(self, name: str) -> Pipe:
        """Show a pipe, and how it is doing."""
        return self._driver.do(flows.show(self._session, name))

    def list(self, *, page_size: int = 200) -> Iterator[Pipe]:
        """List pipes, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.pipes_page(self._session, cursor, size=page_size)
        )

    def send(self, name: str, event: Data, *, event_id: str | None = None) -> AcceptedEvents:
        """Send one event: bytes as they are, or a value as JSON; on return it is stored."""
        return self._driver.do(flows.send(self._session, name, event, event_id))

    def send_lines(self, name: str, lines: Iterable[bytes]) -> int:
        """Send events, one a line, in their order; return how many are stored."""
        sent = 0
        for part in flows.parts_of(lines):
            sent += self._driver.do(flows.send_part(self._session, name, part)).accepted
        return sent

    def pause(self, name: str) -> Pipe:
        """Pause a pipe after its batch; again changes nothing."""
        return self._driver.do(flows.pause(self._session, name))

    def resume(self, name: str) -> Pipe:
        """Let a pipe go on; again changes nothing."""
        return self._driver.do(flows.resume(self._session, name))

    def delete(self, name: str, *, erase: bool = False) -> None:
        """Delete a pipe; `erase`: with its events and dead letters. Raises Conflict without."""
        self._driver.do(flows.delete(self._session, name, erase=erase))
