"""Read the events of POST /pipes/{pipe}/events from the pipe's inbox in the database."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from app.db import Connection
from app.pipes import inbox_store
from app.pipes.connectors.model import Event, Lag
from app.pipes.inbox_store import InboxRow
from app.pipes.model import LoadedPipe
from app.resources import Resources

# How often an empty inbox is looked at: first, and after a while without events.
_FIRST_PAUSE_SECONDS: Final = 0.02
_LAST_PAUSE_SECONDS: Final = 0.5
# Rows of one look; most have many events each, or are of single ones.
_MAX_ROWS: Final = 5_000


@asynccontextmanager
async def open_inbox(resources: Resources, pipe: LoadedPipe) -> AsyncIterator["InboxSource"]:
    """Open the inbox of a pipe."""
    yield InboxSource(resources, pipe)


class InboxSource:
    """The inbox of one pipe, oldest rows first; those of one client in the order of its requests.

    An event's id is the one that its client chose, or `http:` with its row and its line there.
    """

    def __init__(self, resources: Resources, pipe: LoadedPipe) -> None:
        """Begin with what no batch has committed."""
        self._pool = resources.pool
        self._pipe = pipe
        # Events that are in memory, and the rows that they, or those that were received, are of.
        self._waiting: deque[Event] = deque()
        self._waiting_bytes = 0
        self._rows: dict[int, int] = {}
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    async def receive(
        self, *, max_events: int, max_bytes: int, wait_seconds: float
    ) -> Sequence[Event]:
        """Return the oldest events that were not returned yet."""
        until = monotonic() + wait_seconds
        while True:
            if len(self._waiting) < max_events and self._waiting_bytes < max_bytes:
                await self._fetch(max_events, max_bytes - self._waiting_bytes)
            if self._waiting:
                self._pause_seconds = _FIRST_PAUSE_SECONDS
                return self._take(max_events, max_bytes)
            left = until - monotonic()
            if left <= 0:
                return ()
            await asyncio.sleep(min(self._pause_seconds, left))
            self._pause_seconds = min(2 * self._pause_seconds, _LAST_PAUSE_SECONDS)

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """Forget what is committed."""
        whole, _ = self._finished(events)
        for row in whole:
            del self._rows[row]

    async def commit(self, conn: Connection, events: Sequence[Event]) -> None:
        """Delete the rows of these events, or note how many of a row's events are done."""
        whole, part = self._finished(events)
        await inbox_store.forget_events(
            conn, self._pipe.tenant_id, self._pipe.id, whole=whole, part=part
        )

    async def lag(self) -> Lag:
        """Count what is not committed."""
        async with self._pool.acquire() as conn:
            lag = await inbox_store.select_inbox_lag(conn, self._pipe.tenant_id, self._pipe.id)
        return Lag(events=lag.events, oldest_seconds=lag.oldest_seconds)

    async def _fetch(self, max_events: int, max_bytes: int) -> None:
        async with self._pool.acquire() as conn:
            rows = await inbox_store.select_rows(
                conn,
                self._pipe.tenant_id,
                self._pipe.id,
                without=list(self._rows),
                max_rows=min(max_events, _MAX_ROWS),
                max_bytes=max_bytes,
            )
        for row in rows:
            self._rows[row.id] = row.events
            events = _events_of(row)
            self._waiting.extend(events)
            self._waiting_bytes += sum(len(each.data) for each in events)

    def _take(self, max_events: int, max_bytes: int) -> list[Event]:
        taken: list[Event] = []
        size = 0
        while self._waiting and len(taken) < max_events and size < max_bytes:
            event = self._waiting.popleft()
            size += len(event.data)
            taken.append(event)
        self._waiting_bytes -= size
        return taken

    def _finished(self, events: Sequence[Event]) -> tuple[list[int], tuple[int, int] | None]:
        """Return the rows that end with these events, and how far another one is done."""
        done = dict(event.receipt for event in events)
        whole = [row for row, count in done.items() if count == self._rows[row]]
        parts = [(row, count) for row, count in done.items() if count != self._rows[row]]
        return whole, parts[-1] if parts else None


def _events_of(row: InboxRow) -> list[Event]:
    """Return the events of a row; a receipt has the row's id and how many are done with it."""
    if row.events == 1:
        event_id = row.event_id or f"http:{row.id}:1"
        receipt = (row.id, 1)
        return [Event(id=event_id, data=row.body, receipt=receipt)]
    lines = row.body.split(b"\n")
    return [
        Event(
            id=f"http:{row.id}:{number}",
            data=line,
            receipt=(row.id, number),
        )
        for number, line in enumerate(lines, start=1)
        if number > row.events_done
    ]
