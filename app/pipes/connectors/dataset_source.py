"""Read what each snapshot of a dataset adds, line by line, as the events of a pipe."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.blobs import BlobMissing
from app.datasets.parts import Format, ObjectCache, read_lines
from app.db import Connection
from app.limits import MIB
from app.pipes.connectors import dataset_store
from app.pipes.connectors.dataset_store import FoundDataset, NextFile
from app.pipes.connectors.model import MAX_EVENT_ID_BYTES, ConnectorUnavailable, Event, Lag
from app.pipes.model import DatasetSource as Definition, LoadedPipe
from app.resources import Resources

_POLL_SECONDS: Final = 0.5
_CACHE_BYTES: Final = 8 * MIB
_LISTED_PARTS: Final = 4
# Of a dataset's id, which ends with what is random.
_ID_CHARACTERS: Final = 8


class Position(Struct, frozen=True, kw_only=True):
    """The next line to read: of the file at a place among those that a snapshot added, from 0.

    `dataset` is its id, since another one may get the name.
    """

    dataset: UUID | None = None
    snapshot: int = 0
    file: int = 0
    line: int = 0


@asynccontextmanager
async def open_dataset_source(
    resources: Resources, pipe: LoadedPipe, definition: Definition
) -> AsyncIterator["DatasetSource"]:
    """Open a dataset where the pipe has read up to. Raises ConnectorUnavailable."""
    async with resources.pool.acquire() as conn:
        dataset = await dataset_store.find_dataset(conn, pipe.tenant_id, definition.dataset)
    if dataset is None:
        raise ConnectorUnavailable(f"there is no dataset {definition.dataset!r}")
    if dataset.format is not Format.JSONL:
        message = f"the dataset {definition.dataset!r} has the format {dataset.format}, not jsonl"
        raise ConnectorUnavailable(message)
    yield DatasetSource(resources, pipe, definition.dataset, dataset)


class DatasetSource:
    """The records of a dataset in the order of snapshots, files and lines.

    A file that is deleted before it was read is passed over. An event's id is
    `dataset:<name>:<dataset>@<snapshot>:<path>:<line>`, with the end of the dataset's own id, and a
    digest for a long path.
    """

    def __init__(
        self, resources: Resources, pipe: LoadedPipe, name: str, dataset: FoundDataset
    ) -> None:
        """Begin after what is committed."""
        self._pool = resources.pool
        self._cache = ObjectCache(resources.blobs, max_bytes=_CACHE_BYTES)
        self._pipe = pipe
        self._name = name
        self._dataset = dataset
        committed = msgspec.json.decode(pipe.position or b"{}", type=Position)
        if committed.dataset != dataset.id:
            committed = Position(dataset=dataset.id)
        self._committed = committed
        self._next = self._committed

    async def receive(
        self, *, max_events: int, max_bytes: int, wait_seconds: float
    ) -> Sequence[Event]:
        """Return the next lines that are not blank.

        Raises ConnectorUnavailable once the dataset is deleted, BlobsUnavailable, BlobMissing.
        """
        until = monotonic() + wait_seconds
        while True:
            file = await self._next_file()
            if file is not None:
                if events := await self._read(file, max_events, max_bytes):
                    return events
                continue
            await self._require_dataset()
            left = until - monotonic()
            if left <= 0:
                return ()
            await asyncio.sleep(min(_POLL_SECONDS, left))

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """Note what is committed."""
        self._committed = events[-1].receipt

    async def commit(self, conn: Connection, events: Sequence[Event]) -> None:
        """Store the place after these events beside the pipe."""
        await dataset_store.note_position(
            conn,
            self._pipe.tenant_id,
            self._pipe.id,
            source_revision=self._pipe.source_revision,
            position=msgspec.json.encode(events[-1].receipt),
        )

    async def lag(self) -> Lag:
        """Count the lines after what is committed, blank ones, too."""
        at = self._committed
        async with self._pool.acquire() as conn:
            unread = await dataset_store.select_unread(
                conn, self._pipe.tenant_id, self._dataset.id, snapshot=at.snapshot, place=at.file
            )
        lines = max(0, unread.lines - at.line)
        waited = None
        if lines and unread.since is not None:
            waited = max(0.0, (datetime.now(UTC) - unread.since).total_seconds())
        return Lag(events=lines, oldest_seconds=waited)

    async def _require_dataset(self) -> None:
        async with self._pool.acquire() as conn:
            found = await dataset_store.find_dataset(conn, self._pipe.tenant_id, self._name)
        if found is None or found.id != self._dataset.id:
            raise ConnectorUnavailable(f"the dataset {self._name!r} has been deleted")

    async def _next_file(self) -> NextFile | None:
        """Find the file with lines to read, and go to its beginning if that is a later one."""
        while True:
            at = self._next
            async with self._pool.acquire() as conn:
                file = await dataset_store.select_next_file(
                    conn,
                    self._pipe.tenant_id,
                    self._dataset.id,
                    snapshot=at.snapshot,
                    place=at.file,
                )
            if file is None:
                return None
            if (file.snapshot, file.place) != (at.snapshot, at.file):
                self._next = self._at(file.snapshot, file.place)
            if self._next.line < file.lines:
                return file
            self._next = self._at(file.snapshot, file.place + 1)

    async def _read(self, file: NextFile, max_events: int, max_bytes: int) -> list[Event]:
        async with self._pool.acquire() as conn:
            parts = await dataset_store.select_parts(
                conn,
                self._pipe.tenant_id,
                file.id,
                first_line=self._next.line,
                limit=_LISTED_PARTS,
            )
        events: list[Event] = []
        size = 0
        try:
            for part in parts:
                first = self._next.line - part.first_line
                async with aclosing(read_lines(self._cache, part, first, part.lines)) as lines:
                    async for line in lines:
                        self._next = replace(self._next, line=self._next.line + 1)
                        if line.strip():
                            events.append(self._event(file, line))
                            size += len(line)
                        if len(events) >= max_events or size >= max_bytes:
                            return events
        except BlobMissing:
            if events:
                # The next look begins at what is missing.
                return events
            async with self._pool.acquire() as conn:
                if await dataset_store.has_file(conn, self._pipe.tenant_id, file.id):
                    raise
            parts = []
        if not parts:
            # Deleted meanwhile.
            self._next = self._at(file.snapshot, file.place + 1)
        return events

    def _at(self, snapshot: int, file: int) -> Position:
        return Position(dataset=self._dataset.id, snapshot=snapshot, file=file)

    def _event(self, file: NextFile, line: bytes) -> Event:
        dataset = f"{self._name}:{self._dataset.id.hex[-_ID_CHARACTERS:]}"
        prefix, suffix = f"dataset:{dataset}@{file.snapshot}:", f":{self._next.line}"
        event_id = f"{prefix}{file.path}{suffix}"
        if len(event_id.encode()) > MAX_EVENT_ID_BYTES:
            event_id = f"{prefix}{hashlib.sha256(file.path.encode()).hexdigest()}{suffix}"
        return Event(id=event_id, data=line, receipt=self._next)
