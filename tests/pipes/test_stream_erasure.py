"""A pipe that is erased takes its stream with it, unless another pipe uses that."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from redis import Redis

from tests.pipes.http_pipes import event, pipe_when, put_dataset, put_pipe, send, to_dataset
from tests.support.redis_server import Client
from tests.support.system import System

ROOM = "crivo:pipes:default"
_RESTS = "SELECT worker_id IS NULL FROM pipes WHERE name = $1"
_HOLD = """
UPDATE pipes
SET worker_id = id, lease_token = 1, lease_expires_at = now() + interval '1 minute'
WHERE name = $1
"""
_RELEASE = "UPDATE pipes SET worker_id = NULL, lease_token = NULL WHERE name = $1"


@pytest.fixture
def redis(system: System) -> Iterator[Client]:
    with Redis.from_url(system.environ["REDIS_URL"]) as client:
        yield client


def erase(system: System, pipe: str) -> httpx.Response:
    return system.client.delete(f"/pipes/{pipe}", params={"erase": "true"})


def to_stream(stream: str) -> dict[str, Any]:
    return {"redis_stream": {"stream": stream}}


def test_the_last_pipe_of_a_stream_erases_it(system: System, redis: Client) -> None:
    stream = f"stream-{uuid4()}"
    reads: dict[str, Any] = {"from": to_stream(stream), "to": to_dataset(put_dataset(system))}
    pipes = [put_pipe(system, to=to_stream(stream)) for _ in range(2)]
    pipes.insert(1, put_pipe(system, **reads))
    for each in (pipes[0], pipes[2]):
        send(system, each, [event(number) for number in range(10)])
        pipe_when(system, each, forwarded=10)

    for each in pipes:
        assert redis.exists(f"{ROOM}:{stream}")
        assert redis.hexists(ROOM, stream)
        assert erase(system, each).status_code == 204

    assert not redis.exists(f"{ROOM}:{stream}")
    assert not redis.hexists(ROOM, stream)


async def test_what_a_worker_is_adding_is_erased_too(system: System, redis: Client) -> None:
    stream = f"stream-{uuid4()}"
    pipe = put_pipe(system, to=to_stream(stream))
    system.client.post(f"/pipes/{pipe}/pause")
    conn = await asyncpg.connect(system.environ["DATABASE_URL"])
    try:
        async with asyncio.timeout(30):
            while not await conn.fetchval(_RESTS, pipe):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        await conn.execute(_HOLD, pipe)
        deletion = asyncio.create_task(asyncio.to_thread(erase, system, pipe))
        # It waits, so it can be given time to go wrong.
        ended, _ = await asyncio.wait([deletion], timeout=0.3)
        assert not ended
        # As the worker that holds the pipe does to the end of its batch.
        redis.xadd(f"{ROOM}:{stream}", {"event": "1"})
        await conn.execute(_RELEASE, pipe)
        assert (await deletion).status_code == 204
    finally:
        await conn.close()

    assert not redis.exists(f"{ROOM}:{stream}")
