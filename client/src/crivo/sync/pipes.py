"""Pipes, synchronously."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crivo import pipe_flows as flows
from crivo.bodies import Data
from crivo.event_lines import SentLines, send_lines
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

    def send_lines(
        self,
        name: str,
        lines: Iterable[bytes],
        *,
        from_line: int = 1,
        idempotency_key: str | None = None,
        sent: SentLines | None = None,
    ) -> int:
        """Send events, one a line, in their order; return how many are stored.

        `sent` is kept up to date and says, also after an error or an interruption, with which line
        to go on, and with which `idempotency_key`, so that nothing is stored twice.
        """
        flow = send_lines(
            self._session,
            name,
            lines,
            from_line=from_line,
            idempotency_key=idempotency_key,
            sent=sent,
        )
        return (self._driver.do(flow)).accepted

    def pause(self, name: str) -> Pipe:
        """Pause a pipe after its batch; again changes nothing."""
        return self._driver.do(flows.pause(self._session, name))

    def resume(self, name: str) -> Pipe:
        """Let a pipe go on; again changes nothing."""
        return self._driver.do(flows.resume(self._session, name))

    def delete(self, name: str, *, erase: bool = False) -> None:
        """Delete a pipe; `erase`: with its events, dead letters and stream. Raises Conflict."""
        self._driver.do(flows.delete(self._session, name, erase=erase))
