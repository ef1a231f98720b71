"""Add the events of a pipe to a Redis stream, each batch as a whole."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from app.limits import MAX_LINE_BYTES, MIB
from app.pipes.connectors.model import Outgoing, Placed, Sent
from app.pipes.connectors.redis_client import RedisLink, open_redis
from app.pipes.connectors.redis_room import StreamRoom
from app.pipes.connectors.sending import Sending
from app.pipes.model import LoadedPipe, RedisStreamSink
from app.settings import Settings

# Of one transaction, for which the server does nothing else meanwhile.
_MAX_EVENTS: Final = 1_000
_MAX_BYTES: Final = 4 * MIB
_MAX_EVENT_BYTES: Final = MAX_LINE_BYTES
_ENTRY_BYTES: Final = 64


@asynccontextmanager
async def open_redis_sink(
    settings: Settings, pipe: LoadedPipe, sink: RedisStreamSink
) -> AsyncIterator["RedisSink"]:
    """Open a stream for the length of the block; the first event creates it."""
    async with open_redis(settings, tenant=pipe.tenant, stream=sink.stream) as link:
        room = StreamRoom(link, max_bytes=settings.max_pipe_stream_bytes)
        yield RedisSink(link, sink, room)


class RedisSink:
    """A stream, to whose end entries with the fields `event` and `id` are added."""

    def __init__(self, link: RedisLink, sink: RedisStreamSink, room: StreamRoom) -> None:
        """Take the stream, and what room there is for it."""
        self._link = link
        self._room = room
        self._trim: tuple[str | int, ...] = ()
        if sink.maxlen is not None:
            self._trim = ("MAXLEN", "~", sink.maxlen)

    async def send(self, events: Sequence[Outgoing]) -> Sent:
        """Add the events, but for those that are too large. Raises ConnectorUnavailable."""
        sending = Sending(events)
        left: list[Placed] = []
        for place, each in enumerate(events):
            if len(each.data) > _MAX_EVENT_BYTES:
                sending.refuse(place, f"larger than {_MAX_EVENT_BYTES} bytes")
            else:
                left.append((place, each))

        async def add(some: Sequence[Placed]) -> None:
            async with self._room.turn():
                await self._add([each for _, each in some])
            sending.confirm(some)

        return await sending.run(_divided(left), add)

    async def _add(self, events: Sequence[Outgoing]) -> None:
        """Add all events or none, so that a refusal amid them changes no order."""
        pipeline = self._link.client.pipeline(transaction=True)
        for each in events:
            pipeline.execute_command(
                "XADD", self._link.key, *self._trim, "*", "event", each.data, "id", each.id
            )
        size = sum(len(each.data) + len(each.id) + _ENTRY_BYTES for each in events)
        self._room.count(pipeline, size)
        for reply in await self._link.reply_of(pipeline.execute(raise_on_error=False)):
            if isinstance(reply, Exception):
                raise await self._link.unavailable(reply)


def _divided(events: Sequence[Placed]) -> Iterator[list[Placed]]:
    some: list[Placed] = []
    size = 0
    for place, each in events:
        if some and (len(some) == _MAX_EVENTS or size + len(each.data) > _MAX_BYTES):
            yield some
            some, size = [], 0
        some.append((place, each))
        size += len(each.data)
    if some:
        yield some
