"""Redis streams: what a group left comes first, and nothing that was acknowledged is lost."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from uuid import UUID

import pytest

from app.pipes.connectors.model import ConnectorUnavailable, Event, Outgoing
from app.pipes.connectors.redis_sink import RedisSink, open_redis_sink
from app.pipes.connectors.redis_source import RedisSource, open_redis_source
from app.pipes.model import (
    MAX_EVENT_BYTES,
    HttpSink,
    LoadedPipe,
    PipeFrom,
    PipeTo,
    PutPipe,
    RedisStreamSink,
    RedisStreamSource,
)
from app.settings import Settings
from tests.pipes.connectors.sinks import send_all
from tests.support.redis_server import Client, RedisServer, run_redis

KEY = "crivo:pipes:acme:orders"
ORDERS = RedisStreamSource(stream="orders")
PIPE = LoadedPipe(
    id=UUID(int=1),
    tenant_id=UUID(int=2),
    tenant="acme",
    name="crivo",
    revision=1,
    definition=PutPipe(
        source=PipeFrom(redis_stream=ORDERS), sink=PipeTo(http=HttpSink(url="https://x"))
    ),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with run_redis(tmp_path) as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Client]:
    with server.client() as client:
        yield client


class Opener:
    """Opens sources and sinks of a tenant, until the test ends."""

    def __init__(self, server: RedisServer, stack: AsyncExitStack) -> None:
        self.url = server.url
        self._stack = stack

    async def source(self, source: RedisStreamSource = ORDERS) -> RedisSource:
        settings = Settings(redis_url=self.url)
        opening = open_redis_source(settings, PIPE, source)
        return await self._stack.enter_async_context(opening)

    async def sink(self, *, maxlen: int | None = None, stream_bytes: int = 0) -> RedisSink:
        settings = Settings(redis_url=self.url, max_pipe_stream_bytes=stream_bytes)
        sink = RedisStreamSink(stream="orders", maxlen=maxlen)
        opening = open_redis_sink(settings, PIPE, sink)
        return await self._stack.enter_async_context(opening)


@pytest.fixture
async def opener(server: RedisServer) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:
        yield Opener(server, stack)


async def receive(source: RedisSource, events: int) -> list[Event]:
    """Receive until so many have come, or nothing more comes."""
    received: list[Event] = []
    while len(received) < events:
        some = await source.receive(max_events=events, max_bytes=1 << 20, wait_seconds=0.1)
        if not some:
            break
        received += some
    return received


def outgoing(numbers: Sequence[int]) -> list[Outgoing]:
    return [Outgoing(id=f"id-{number}", data=b'{"n": %d}' % number) for number in numbers]


async def test_what_a_killed_worker_left_comes_first_and_in_order(
    opener: Opener, redis: Client
) -> None:
    ids = [redis.xadd(KEY, {"event": f"{number}", "other": "x"}) for number in range(50)]
    killed = await opener.source()
    left = await receive(killed, 20)
    # Another consumer of the group, and one of the first worker's entries acknowledged.
    redis.xreadgroup("crivo", "other", {KEY: ">"}, count=5)
    await killed.acknowledge(left[3:4])

    source = await opener.source()
    received = await receive(source, 60)

    numbers = [number for number in range(50) if number != 3]
    assert [each.data for each in received] == [b"%d" % number for number in numbers]
    assert received[0].id == f"redis:orders:{ids[0].decode()}"
    assert (await source.lag()).events == 49
    await source.acknowledge(received)
    lag = await source.lag()
    assert (lag.events, lag.oldest_seconds) == (0, None)
    assert redis.xpending(KEY, "crivo")["pending"] == 0


async def test_entries_stay_until_every_group_has_acknowledged_them(
    opener: Opener, redis: Client
) -> None:
    for number in range(10):
        redis.xadd(KEY, {"event": f"{number}"})
    fast = await opener.source()
    slow = await opener.source(RedisStreamSource(stream="orders", group="slow"))
    await fast.acknowledge(await receive(fast, 10))
    behind = await receive(slow, 4)
    await slow.acknowledge(behind[:3])

    assert await receive(fast, 1) == []

    assert [each[1][b"event"] for each in redis.xrange(KEY)] == [b"%d" % n for n in range(3, 10)]
    await slow.acknowledge([*behind[3:], *await receive(slow, 10)])
    assert await receive(slow, 1) == []
    assert redis.xlen(KEY) == 0


async def test_what_is_no_event_has_a_fault_and_stops_nothing(
    opener: Opener, redis: Client
) -> None:
    redis.xadd(KEY, {"other": b"\xff", "name": "x"})
    redis.execute_command("XADD", KEY, "1900000000000-1", "event", "1", "event", "2")
    redis.execute_command("XADD", KEY, "*", "event", b"x" * (MAX_EVENT_BYTES + 1))
    redis.execute_command("XADD", KEY, "*", "event", b"")
    source = await opener.source()

    [without, twice, huge, empty] = await receive(source, 4)

    assert without.data == rb'{"other": "\\xff", "name": "x"}'
    assert without.fault == "the entry has the field event not; these are its fields"
    assert (twice.id, twice.fault) == (
        "redis:orders:1900000000000-1",
        "the entry has the field event twice; these are its fields",
    )
    assert twice.data == b'{"event": "1", "event": "2"}'
    assert len(huge.data) == MAX_EVENT_BYTES
    assert huge.fault == "the event has 1048577 bytes, and may have 1048576"
    assert (empty.data, empty.fault) == (b"", None)


async def test_an_entry_deleted_while_it_was_pending_is_forgotten(
    opener: Opener, redis: Client
) -> None:
    ids = [redis.xadd(KEY, {"event": f"{number}"}) for number in range(5)]
    await receive(await opener.source(), 5)
    redis.xdel(KEY, ids[0], ids[2])

    source = await opener.source()
    received = await receive(source, 5)

    assert [each.data for each in received] == [b"1", b"3", b"4"]
    await source.acknowledge(received)
    assert redis.xpending(KEY, "crivo")["pending"] == 0


async def test_acknowledged_entries_survive_a_killed_server(
    server: RedisServer, opener: Opener
) -> None:
    source, sink = await opener.source(), await opener.sink()
    await send_all(sink, outgoing(range(1_500)))
    [first, *_] = await receive(source, 100)
    await source.acknowledge([first])
    server.kill()
    with pytest.raises(ConnectorUnavailable, match="Redis does not answer"):
        await send_all(sink, outgoing([-1]))
    with pytest.raises(ConnectorUnavailable, match="Redis does not answer"):
        await source.acknowledge([first])
    server.start()

    await send_all(sink, outgoing([1_500]))
    received = await receive(await opener.source(), 1_500)

    assert [each.data for each in received] == [each.data for each in outgoing(range(1, 1_501))]


async def test_a_server_that_lost_its_data_is_used_again(opener: Opener, redis: Client) -> None:
    source = await opener.source()
    redis.xadd(KEY, {"event": "1"})
    before = await receive(source, 1)
    redis.flushall()
    redis.xadd(KEY, {"event": "2"})

    assert [each.data for each in await receive(source, 1)] == []
    await source.acknowledge(before)
    assert [each.data for each in await receive(source, 1)] == [b"2"]


async def test_a_reply_that_was_lost_is_read_again(opener: Opener, redis: Client) -> None:
    source = await opener.source()
    assert await receive(source, 1) == []
    redis.xadd(KEY, {"event": "1"})
    # What the server gave this consumer, and nobody has read.
    redis.xreadgroup("crivo", "crivo", {KEY: ">"})

    assert await receive(source, 1) == []

    assert [each.data for each in await receive(source, 1)] == [b"1"]


async def test_entries_have_the_id_and_the_newest_stay(opener: Opener, redis: Client) -> None:
    sink = await opener.sink(maxlen=100)
    await send_all(sink, outgoing(range(1_000)))

    huge = Outgoing(id="huge", data=b"x" * (16 * MAX_EVENT_BYTES + 1))
    assert await send_all(sink, [huge]) == {0: "larger than 16777216 bytes"}

    assert 100 <= redis.xlen(KEY) < 300
    [(_, fields)] = redis.xrevrange(KEY, count=1)
    assert fields == {b"event": b'{"n": 999}', b"id": b"id-999"}


def _fill_memory(redis: Client) -> None:
    redis.config_set("maxmemory", 1)


def _follow(redis: Client) -> None:
    redis.replicaof("127.0.0.1", 1)


def _want_password(redis: Client) -> None:
    redis.config_set("requirepass", "secret")
    redis.client_kill_filter(_type="normal", skipme=True)


def _lose_replicas(redis: Client) -> None:
    redis.config_set("min-replicas-to-write", 1)


def _take_key(redis: Client) -> None:
    redis.set(KEY, "x")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_fill_memory, "Redis has no memory left"),
        (_follow, "Redis is a replica, which takes no writes"),
        (_want_password, "Redis wants another password: see CRIVO_PIPE_REDIS_URL"),
        (_lose_replicas, "Redis refuses writes, as too few replicas follow it"),
        (_take_key, f"the key {KEY} of Redis holds something else"),
    ],
)
async def test_a_server_that_refuses_stops_the_pipe_with_the_reason(
    opener: Opener, redis: Client, spoil: Callable[[Client], None], reason: str
) -> None:
    sink = await opener.sink()
    # Connected before.
    with suppress(ConnectorUnavailable):
        await sink.send([])
    spoil(redis)

    with pytest.raises(ConnectorUnavailable) as refused:
        await send_all(sink, outgoing([1, 2]))

    assert refused.value.message == reason


async def test_a_stream_that_nobody_reads_holds_its_pipe_up(opener: Opener, redis: Client) -> None:
    sink = await opener.sink(stream_bytes=150_000)
    await send_all(sink, outgoing(range(5_000)))
    with pytest.raises(ConnectorUnavailable, match="more than CRIVO_MAX_PIPE_STREAM_BYTES"):
        await send_all(sink, outgoing([5_000]))

    redis.xtrim(KEY, maxlen=0, approximate=False)

    assert await send_all(sink, outgoing([1])) == {}


async def test_small_entries_before_large_ones_do_not_hide_these(
    opener: Opener, redis: Client
) -> None:
    sink = await opener.sink(stream_bytes=8_000_000)
    await send_all(sink, outgoing(range(1_000)))

    async def send_large() -> None:
        for each in range(16):
            await send_all(sink, [Outgoing(id=str(each), data=b"1" * 900_000)])

    with pytest.raises(ConnectorUnavailable, match="more than CRIVO_MAX_PIPE_STREAM_BYTES"):
        await send_large()

    assert redis.xlen(KEY) < 1_000 + 12


async def test_a_group_that_goes_amid_a_look_at_its_lag_stops_nothing(
    opener: Opener, redis: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await opener.source()
    redis.xadd(KEY, {"event": "1"})
    waiting = source._waiting

    async def gone(group: dict[bytes, bytes]) -> tuple[int | None, bytes | None]:
        redis.xgroup_destroy(KEY, "crivo")
        return await waiting(group)

    monkeypatch.setattr(source, "_waiting", gone)

    assert (await source.lag()).events is None
