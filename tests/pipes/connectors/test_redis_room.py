"""The streams of a tenant's pipes share a bound, which holds up no other tenant's pipes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from app.limits import MIN_COUNTED_STREAM_BYTES
from app.pipes.connectors.model import ConnectorUnavailable, Outgoing
from app.pipes.connectors.redis_sink import RedisSink, open_redis_sink
from app.pipes.model import HttpSource, LoadedPipe, PipeFrom, PipeTo, PutPipe, RedisStreamSink
from app.settings import Settings
from tests.pipes.connectors.sinks import send_all
from tests.support.redis_server import Client, RedisServer, run_redis

BOUND = 1_000_000
BIG, SMALL, OTHER = "crivo:pipes:acme:big", "crivo:pipes:acme:small", "crivo:pipes:acme:other"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with run_redis(tmp_path) as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Client]:
    with server.client() as client:
        yield client


class Opener:
    """Opens sinks of tenants, until the test ends."""

    def __init__(self, server: RedisServer, stack: AsyncExitStack) -> None:
        self.url = server.url
        self._stack = stack

    async def sink(self, stream: str, *, tenant: str = "acme", bound: int = BOUND) -> RedisSink:
        sink = RedisStreamSink(stream=stream)
        pipe = LoadedPipe(
            id=UUID(int=1),
            tenant_id=UUID(int=2),
            tenant=tenant,
            name="pipe",
            revision=1,
            definition=PutPipe(source=PipeFrom(http=HttpSource()), sink=PipeTo(redis_stream=sink)),
        )
        settings = Settings(redis_url=self.url, max_pipe_stream_bytes=bound)
        return await self._stack.enter_async_context(open_redis_sink(settings, pipe, sink))


@pytest.fixture
async def opener(server: RedisServer) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:
        yield Opener(server, stack)


def events(count: int, *, size: int = 1_000) -> list[Outgoing]:
    return [Outgoing(id=f"{number}", data=b"1" * size) for number in range(count)]


async def fill(sink: RedisSink) -> str:
    """Add until there is no room, and return the trouble."""
    for _ in range(30):
        try:
            await send_all(sink, events(100))
        except ConnectorUnavailable as trouble:
            return trouble.message
    pytest.fail("there is always room")


async def test_a_stream_that_took_the_room_holds_up_the_tenant_s_others_alone(
    opener: Opener, redis: Client
) -> None:
    # Nobody writes it any more.
    await fill(await opener.sink("big"))
    small = await opener.sink("small")
    with pytest.raises(ConnectorUnavailable) as full:
        await send_all(small, events(1))
    await send_all(await opener.sink("big", tenant="other"), events(100))
    used = redis.memory_usage(BIG, samples=0)

    redis.xtrim(BIG, maxlen=10, approximate=False)

    assert await send_all(small, events(1)) == {}
    assert full.value.message == (
        f"the tenant's streams have {used} bytes in Redis, more than "
        f"CRIVO_MAX_PIPE_STREAM_BYTES={BOUND}; read and trim them, or erase them with their "
        f"pipes: big ({used})"
    )
    assert BOUND < used < BOUND + 200_000
    assert (redis.xlen(SMALL), redis.xlen("crivo:pipes:other:big")) == (1, 100)


async def test_what_one_pipe_adds_is_seen_by_another_that_is_open(
    opener: Opener, redis: Client
) -> None:
    sinks = [await opener.sink(name) for name in ("big", "small", "other", "last")]
    for each in sinks:
        await send_all(each, events(1))
    await fill(sinks[0])

    troubles = [await fill(each) for each in sinks[1:]]

    assert all(f"big ({redis.memory_usage(BIG, samples=0)}), " in each for each in troubles)
    assert all(each.endswith(", 1 more") for each in troubles)
    redis.delete(BIG)
    assert await send_all(sinks[2], events(1)) == {}
    assert redis.hkeys("crivo:pipes:acme") == [b"small", b"other", b"last"]
    assert redis.xlen(OTHER) == 2


async def test_pipes_that_write_at_once_go_over_the_bound_by_one_transaction(
    opener: Opener, redis: Client
) -> None:
    sinks = [await opener.sink(f"{number}") for number in range(20)]

    done = await asyncio.gather(
        *(send_all(each, events(3, size=100_000)) for each in sinks), return_exceptions=True
    )

    assert any(isinstance(each, ConnectorUnavailable) for each in done)
    used = sum(redis.memory_usage(key, samples=0) for key in redis.keys("crivo:pipes:acme:*"))
    assert BOUND - 350_000 < used < BOUND + 350_000


async def test_empty_streams_take_room_so_that_a_tenant_has_a_bounded_number(
    opener: Opener, redis: Client
) -> None:
    bound = 5 * MIN_COUNTED_STREAM_BYTES
    for number in range(6):
        await send_all(await opener.sink(f"{number}", bound=bound), events(1))

    with pytest.raises(ConnectorUnavailable):
        await send_all(await opener.sink("6", bound=bound), events(1))

    assert len(redis.keys("crivo:pipes:acme:*")) == 6
