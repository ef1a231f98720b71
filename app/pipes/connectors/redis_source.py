"""Read the events of a pipe from a Redis stream, as the only consumer of its group."""

import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from time import monotonic, time
from typing import Final

import structlog

from app.pipes.connectors.model import Event, Lag
from app.pipes.connectors.redis_client import GroupIsGone, RedisLink, by_name, open_redis
from app.pipes.model import MAX_EVENT_BYTES, LoadedPipe, RedisStreamSource
from app.settings import Settings

log = structlog.get_logger(__name__)

# A worker holds the pipe, so one name is enough; the group belongs to the pipe.
_CONSUMER: Final = "crivo"
_START: Final = b"0-0"
_MAX_WAIT_SECONDS: Final = 5.0
_CLAIM_COUNT: Final = 1_000
# Entries of the first reply; later ones grow as long as they are small.
_FIRST_COUNT: Final = 8
_TRIM_SECONDS: Final = 1.0
# How often what a former holder may have left is looked for, if there is always something new.
_LOOK_SECONDS: Final = 10.0
# Ids of entries are times in milliseconds, unless a producer chooses others.
_FIRST_TIME_MS: Final = 1_000_000_000_000


@asynccontextmanager
async def open_redis_source(
    settings: Settings, pipe: LoadedPipe, source: RedisStreamSource
) -> AsyncIterator["RedisSource"]:
    """Open a stream for the length of the block. Raises ConnectorUnavailable."""
    async with open_redis(settings, tenant=pipe.tenant, stream=source.stream) as link:
        opened = RedisSource(link, source, group=source.group or pipe.name)
        await opened.create_group()
        yield opened


class RedisSource:
    """The entries of a stream: first those that are pending, by id, then new ones."""

    def __init__(self, link: RedisLink, source: RedisStreamSource, *, group: str) -> None:
        """Take the stream, and what is to be read of it."""
        self._link = link
        self._group = group
        self._field = source.field.encode()
        self._trims = source.trim
        self._ready: deque[Event] = deque()
        # Ids of entries that were read and are not acknowledged.
        self._held: set[bytes] = set()
        # Pending entries after this one are read before new ones; None: there are no more.
        self._pending_after: bytes | None = _START
        self._count = _FIRST_COUNT
        self._looked_at = self._trimmed_at = monotonic()

    async def create_group(self) -> None:
        """Create the group, and the stream, unless they exist. Raises ConnectorUnavailable."""
        link = self._link
        groups: list[object] = []
        if await link.call("EXISTS", link.key):
            groups = await link.call("XINFO", "GROUPS", link.key)
        if self._group.encode() not in {by_name(each)[b"name"] for each in groups}:
            command = ("XGROUP", "CREATE", link.key, self._group, "0", "MKSTREAM")
            await link.call(*command)
        self._pending_after = _START

    async def receive(
        self, *, max_events: int, max_bytes: int, wait_seconds: float
    ) -> Sequence[Event]:
        """Return the next events. Raises ConnectorUnavailable."""
        if not self._ready:
            try:
                await self._read(max_events, max_bytes, wait_seconds)
            except GroupIsGone:
                log.warning("pipe.group_created_again", key=self._link.key, group=self._group)
                await self.create_group()
        taken: list[Event] = []
        size = 0
        while self._ready and len(taken) < max_events and size < max_bytes:
            taken.append(self._ready.popleft())
            size += len(taken[-1].data)
        return taken

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """Acknowledge entries of the group. Raises ConnectorUnavailable."""
        ids = [each.receipt for each in events]
        try:
            await self._acknowledge(ids)
            if self._trims and monotonic() - self._trimmed_at >= _TRIM_SECONDS:
                await self._trim()
        except GroupIsGone:
            # Whatever is still there is read again.
            await self.create_group()
        self._held.difference_update(ids)

    async def lag(self) -> Lag:
        """Return how many entries wait and since when. Raises ConnectorUnavailable."""
        try:
            return await self._lag()
        except GroupIsGone:
            # Deleted amid the look; the next receive creates it again.
            return Lag(events=None, oldest_seconds=None)

    async def _lag(self) -> Lag:
        link = self._link
        if not await link.call("EXISTS", link.key):
            return Lag(events=0, oldest_seconds=None)
        for each in await link.call("XINFO", "GROUPS", link.key):
            group = by_name(each)
            if group[b"name"] == self._group.encode():
                events, oldest = await self._waiting(group)
                return Lag(events=events, oldest_seconds=_age_seconds(oldest))
        return Lag(events=await link.call("XLEN", link.key), oldest_seconds=None)

    async def _read(self, max_events: int, max_bytes: int, wait_seconds: float) -> None:
        self._count = max(1, min(self._count, max_events))
        if self._pending_after is None and monotonic() - self._looked_at > _LOOK_SECONDS:
            await self._look_for_pending()
        if self._pending_after is not None:
            await self._read_pending()
        if not self._ready:
            await self._read_new(wait_seconds)
        size = sum(len(each.data) for each in self._ready)
        if size:
            fitting = max_bytes * len(self._ready) // size
            self._count = max(1, min(2 * self._count, fitting, max_events))
        elif self._pending_after is None:
            await self._look_for_pending()
            if self._trims:
                await self._trim()

    async def _read_new(self, wait_seconds: float) -> None:
        wait_ms = int(1_000 * min(wait_seconds, _MAX_WAIT_SECONDS))
        block = ("BLOCK", wait_ms) if wait_ms > 0 else ()
        self._keep(await self._read_group(block, b">"))

    async def _read_pending(self) -> None:
        """Read entries that were delivered before and never acknowledged, whoever had them."""
        if self._pending_after == _START:
            await self._claim_all()
        while self._pending_after is not None and not self._ready:
            entries = await self._read_group((), self._pending_after)
            self._pending_after = entries[-1][0] if entries else None
            # Before 7.0, Redis keeps what was deleted pending.
            if gone := [number for number, fields in entries if fields is None]:
                log.warning("pipe.entries_deleted", key=self._link.key, entries=len(gone))
                await self._acknowledge(gone)
            self._keep(entries)

    async def _claim_all(self) -> None:
        """Make every pending entry of the group one of this consumer."""
        cursor = _START
        while True:
            command = ("XAUTOCLAIM", self._link.key, self._group, _CONSUMER, 0, cursor)
            reply = await self._link.call(*command, "COUNT", _CLAIM_COUNT, "JUSTID")
            cursor = reply[0]
            if cursor == _START:
                return

    async def _look_for_pending(self) -> None:
        """Start over if more is pending than this source holds, as of a reply that was lost."""
        pending = await self._link.call("XPENDING", self._link.key, self._group)
        self._looked_at = monotonic()
        if pending[0] > len(self._held):
            self._pending_after = _START

    async def _read_group(
        self, options: Iterable[str | int], after: bytes
    ) -> list[tuple[bytes, list[bytes] | None]]:
        group = ("XREADGROUP", "GROUP", self._group, _CONSUMER, "COUNT", self._count)
        reply = await self._link.call(*group, *options, "STREAMS", self._link.key, after)
        return [(number, fields) for number, fields in reply[0][1]] if reply else []

    def _keep(self, entries: Iterable[tuple[bytes, list[bytes] | None]]) -> None:
        for number, fields in entries:
            if fields is not None and number not in self._held:
                self._held.add(number)
                self._ready.append(self._event(number, fields))

    def _event(self, number: bytes, fields: list[bytes]) -> Event:
        data, fault = self._data_of(fields)
        return Event(
            id=f"redis:{self._link.stream}:{number.decode()}",
            data=data,
            receipt=number,
            fault=fault,
        )

    def _data_of(self, fields: list[bytes]) -> tuple[bytes, str | None]:
        names, values = fields[::2], fields[1::2]
        name = self._field.decode()
        if names.count(self._field) != 1:
            # As JSON, since there is no other order to keep than that of the members.
            pairs = zip(map(_text, names), map(_text, values), strict=True)
            members = ", ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in pairs)
            times = "twice" if self._field in names else "not"
            fault = f"the entry has the field {name} {times}; these are its fields"
            return f"{{{members}}}".encode()[:MAX_EVENT_BYTES], fault
        data = values[names.index(self._field)]
        if len(data) <= MAX_EVENT_BYTES:
            return data, None
        # As much as a dead letter holds.
        fault = f"the event has {len(data)} bytes, and may have {MAX_EVENT_BYTES}"
        return data[:MAX_EVENT_BYTES], fault

    async def _acknowledge(self, ids: Sequence[bytes]) -> None:
        for start in range(0, len(ids), _CLAIM_COUNT):
            some = ids[start : start + _CLAIM_COUNT]
            await self._link.call("XACK", self._link.key, self._group, *some)

    async def _trim(self) -> None:
        """Delete the entries that no group waits for any more."""
        self._trimmed_at = monotonic()
        link = self._link
        first: tuple[int, int] | None = None
        for each in await link.call("XINFO", "GROUPS", link.key):
            group = by_name(each)
            wanted = _after(group[b"last-delivered-id"])
            if group[b"pending"]:
                pending = await link.call("XPENDING", link.key, group[b"name"])
                wanted = min(wanted, _numbers(pending[1])) if pending[0] else wanted
            first = wanted if first is None else min(first, wanted)
        if first is not None:
            await link.call("XTRIM", link.key, "MINID", f"{first[0]}-{first[1]}")

    async def _waiting(self, group: dict[bytes, bytes]) -> tuple[int | None, bytes | None]:
        """Return how many entries wait, None if Redis cannot say, and the oldest one's id."""
        link = self._link
        pending = await link.call("XPENDING", link.key, self._group)
        ms, sequence = _after(group[b"last-delivered-id"])
        new = await link.call("XRANGE", link.key, f"{ms}-{sequence}", "+", "COUNT", 1)
        oldest = pending[1] if pending[0] else new[0][0] if new else None
        # Before 7.0, and after deletions, Redis does not know; a trimmed stream has no others.
        unread = group.get(b"lag")
        if unread is None and not new:
            return int(pending[0]), oldest
        if unread is None:
            return (await link.call("XLEN", link.key) if self._trims else None), oldest
        return int(pending[0]) + int(unread), oldest


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _numbers(entry: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry.decode().partition("-")
    return int(milliseconds), int(sequence)


def _after(entry: bytes) -> tuple[int, int]:
    milliseconds, sequence = _numbers(entry)
    return milliseconds, sequence + 1


def _milliseconds(entry: bytes) -> int | None:
    """Return the time of an entry; None if its id is none."""
    milliseconds, _ = _numbers(entry)
    now_ms = time() * 1_000
    return milliseconds if _FIRST_TIME_MS <= milliseconds <= 2 * now_ms else None


def _age_seconds(entry: bytes | None) -> float | None:
    milliseconds = None if entry is None else _milliseconds(entry)
    return None if milliseconds is None else max(0.0, time() - milliseconds / 1_000)
