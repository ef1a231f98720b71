"""A pipe that is erased takes its stream with it, unless another pipe uses that."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from redis import Redis

from tests.pipes.http_pipes import event, pipe_when, put_dataset, put_pipe, send, to_dataset
from tests.support.redis_server import run_redis
from tests.support.system import System

ROOM = "crivo:pipes:default"


def erase(system: System, pipe: str) -> httpx.Response:
    return system.client.delete(f"/pipes/{pipe}", params={"erase": "true"})


def to_stream(stream: str) -> dict[str, Any]:
    return {"redis_stream": {"stream": stream}}


def test_the_last_pipe_of_a_stream_erases_it(system: System) -> None:
    stream = f"stream-{uuid4()}"
    key = f"{ROOM}:{stream}"
    reader = put_pipe(system, **{"from": to_stream(stream)}, to=to_dataset(put_dataset(system)))
    pipes = [put_pipe(system, to=to_stream(stream)) for _ in range(2)]
    with Redis.from_url(system.environ["REDIS_URL"]) as redis:
        for each in pipes:
            send(system, each, [event(number) for number in range(10)])
            pipe_when(system, each, forwarded=10)

        assert erase(system, pipes[0]).status_code == 204
        assert redis.exists(key)
        assert erase(system, reader).status_code == 204
        assert redis.exists(key)
        # Its worker is amid these.
        send(system, pipes[1], [event(number, text="x" * 2_000) for number in range(4_000)])
        assert erase(system, pipes[1]).status_code == 204

        assert not redis.exists(key)
        assert not redis.hexists(ROOM, stream)


def test_a_pipe_stays_as_long_as_its_stream_cannot_be_erased(
    stopped_system: System, tmp_path: Path
) -> None:
    with run_redis(tmp_path / "redis") as server:
        stopped_system.environ["CRIVO_PIPE_REDIS_URL"] = server.url
        system = stopped_system.start()
        pipe = put_pipe(system, to=to_stream("mine"))
        send(system, pipe, [event(1)])
        pipe_when(system, pipe, forwarded=1)
        server.kill()

        refused = erase(system, pipe)

        assert (refused.status_code, refused.json()["type"]) == (
            503,
            "urn:crivo:problem:streams-unavailable",
        )
        assert refused.json()["detail"] == (
            "the stream 'mine' cannot be erased, as Redis does not answer; the pipe is paused, "
            "delete it again"
        )
        assert pipe_when(system, pipe, state="paused")["name"] == pipe
        server.start()
        assert erase(system, pipe).status_code == 204
        with server.client() as redis:
            assert redis.keys() == []
