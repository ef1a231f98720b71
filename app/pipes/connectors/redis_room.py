"""Bound the memory that the streams of a tenant's pipes have in Redis together."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from redis.asyncio.client import Pipeline

from app.limits import MIB, MIN_COUNTED_STREAM_BYTES
from app.pipes.connectors.model import ConnectorUnavailable
from app.pipes.connectors.redis_client import COMMAND_SECONDS, RedisLink, by_name, stream_key

# A sink measures its stream again after so many bytes, since they are an estimate: what groups have
# pending is not in it. All nodes are counted, since a sample can be wrong by any factor.
_MEASURED_BYTES: Final = 8 * MIB
_MEASURED_AT_ONCE: Final = 500
_NAMED: Final = 3

# Of the tenants whose pipes this process holds: what finds room is added before others look for it.
_LOCKS: Final[WeakValueDictionary[str, asyncio.Lock]] = WeakValueDictionary()


def room_key(tenant: str) -> str:
    """Return the key of a hash: the names of the streams that pipes have written, and their bytes.

    It is the key of no stream, which has a colon more.
    """
    return f"crivo:pipes:{tenant}"


class StreamRoom:
    """What is left for the streams of a tenant, as the sink of one of them sees it.

    Each transaction adds an estimate of its bytes to the hash; streams are measured when that says
    that there is no room left, so what consumers have deleted counts no more.
    """

    def __init__(self, link: RedisLink, *, max_bytes: int) -> None:
        """Take the stream of the sink, and the memory of all of the tenant's; 0: any."""
        self._link = link
        self._key = room_key(link.tenant)
        self._max_bytes = max_bytes
        self._measured_bytes = min(_MEASURED_BYTES, max_bytes // 16)
        self._unmeasured = self._measured_bytes
        self._lock = _LOCKS.setdefault(link.tenant, asyncio.Lock())

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Require room for what the block adds to the stream. Raises ConnectorUnavailable."""
        if not self._max_bytes:
            yield
            return
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            raise ConnectorUnavailable("other pipes of the tenant wait for Redis") from None
        try:
            await self._require()
            yield
        finally:
            self._lock.release()

    def count(self, transaction: Pipeline, size: int) -> None:
        """Count an estimate of the bytes that a transaction adds, as a part of it."""
        if self._max_bytes:
            transaction.execute_command("HINCRBY", self._key, self._link.stream, size)
            self._unmeasured += size

    async def _require(self) -> None:
        if self._unmeasured >= self._measured_bytes:
            await self._measure([self._link.stream])
            self._unmeasured = 0
        counted = by_name(await self._link.call("HGETALL", self._key))
        sizes = {name.decode(): int(size) for name, size in counted.items()}
        if _total(sizes) <= self._max_bytes:
            return
        sizes = await self._measure(list(sizes))
        if (total := _total(sizes)) > self._max_bytes:
            raise ConnectorUnavailable(
                f"the tenant's streams have {total} bytes in Redis, more than "
                f"CRIVO_MAX_PIPE_STREAM_BYTES={self._max_bytes}; read and trim them, or erase "
                f"them with their pipes: {_largest(sizes)}"
            )

    async def _measure(self, streams: Sequence[str]) -> dict[str, int]:
        """Measure streams, and forget those that are gone; return the others."""
        measured: dict[str, int] = {}
        for start in range(0, len(streams), _MEASURED_AT_ONCE):
            some = streams[start : start + _MEASURED_AT_ONCE]
            question = self._link.client.pipeline(transaction=False)
            for each in some:
                key = stream_key(self._link.tenant, each)
                question.execute_command("MEMORY", "USAGE", key, "SAMPLES", 0)
            note = self._link.client.pipeline(transaction=False)
            sizes = await self._link.reply_of(question.execute())
            for each, size in zip(some, sizes, strict=True):
                if size is None:
                    note.execute_command("HDEL", self._key, each)
                else:
                    note.execute_command("HSET", self._key, each, size)
                    measured[each] = size
            await self._link.reply_of(note.execute())
        return measured


async def erase_stream(link: RedisLink) -> None:
    """Delete a stream with its groups. Raises ConnectorUnavailable."""
    transaction = link.client.pipeline(transaction=True)
    transaction.execute_command("UNLINK", link.key)
    transaction.execute_command("HDEL", room_key(link.tenant), link.stream)
    await link.reply_of(transaction.execute())


def _total(sizes: Mapping[str, int]) -> int:
    """Add sizes; small streams count more than they have, so that there are not too many."""
    return sum(max(each, MIN_COUNTED_STREAM_BYTES) for each in sizes.values())


def _largest(sizes: Mapping[str, int]) -> str:
    names = sorted(sizes, key=lambda each: -sizes[each])
    named = [f"{each} ({sizes[each]})" for each in names[:_NAMED]]
    if others := len(names) - len(named):
        named.append(f"{others} more")
    return ", ".join(named)
