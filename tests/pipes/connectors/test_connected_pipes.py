"""Pipes from Redis to SQS and back, while Redis is killed: no event is lost or changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.redis_server import Client, RedisServer, run_redis
from tests.support.servers_sqs import Sqs, run_stand_in_sqs
from tests.support.system import System, until

EVENTS = 200
IN, OUT = "crivo:pipes:default:in", "crivo:pipes:default:out"


@pytest.fixture
def stand_in_sqs() -> Iterator[Sqs]:
    with run_stand_in_sqs() as sqs:
        sqs.create("default-middle")
        yield sqs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with run_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def system(stopped_system: System, stand_in_sqs: Sqs, server: RedisServer) -> System:
    stopped_system.environ |= {
        **stand_in_sqs.environ,
        "CRIVO_PIPE_REDIS_URL": server.url,
        "CRIVO_PIPE_SQS_QUEUES": "{tenant}-*",
        "CRIVO_PIPE_SQS_ENDPOINT": stand_in_sqs.url,
    }
    return stopped_system.start()


def put(system: System, name: str, source: dict[str, Any], sink: dict[str, Any]) -> httpx.Response:
    return system.client.put(f"/pipes/{name}", json={"from": source, "to": sink})


def add(redis: Client, numbers: range) -> None:
    for number in numbers:
        redis.xadd(IN, {"event": b'{"n": %d.0, "\xc3\xa9": [ ]}\t' % number})
        if number % 40 == 0:
            # What is no event, once larger than a dead letter.
            redis.xadd(IN, {"other": f"{number}"} if number else {"event": b"x" * (2 << 20)})


def test_all_events_arrive_though_redis_is_killed(system: System, server: RedisServer) -> None:
    queue = {"sqs": {"queue": "default-middle"}}
    assert put(system, "there", {"redis_stream": {"stream": "in"}}, queue).status_code == 201
    assert put(system, "back", queue, {"redis_stream": {"stream": "out"}}).status_code == 201
    refused = put(system, "other", {"sqs": {"queue": "acme-in"}}, queue)
    assert (refused.status_code, refused.json()["errors"]) == (
        422,
        [
            {
                "pointer": "/from/sqs/queue",
                "message": "is no queue of the tenant default: {tenant}-*",
            }
        ],
    )
    with server.client() as redis:
        add(redis, range(EVENTS // 2))
    for _ in until("events arrive"):
        with server.client() as redis:
            if redis.xlen(OUT) > 5:
                break
    server.kill()
    for _ in until("the pipe waits"):
        if system.client.get("/pipes/there").json()["trouble"] == "Redis does not answer":
            break
    server.start()
    with server.client() as redis:
        add(redis, range(EVENTS // 2, EVENTS))

        expected = [b'{"n": %d.0, "\xc3\xa9": [ ]}\t' % number for number in range(EVENTS)]
        arrived: list[dict[bytes, bytes]] = []
        for _ in until("all events have arrived"):
            arrived = [fields for _, fields in redis.xrange(OUT)]
            if len({each[b"event"] for each in arrived}) == EVENTS:
                break

        assert {each[b"event"] for each in arrived} == set(expected)
        there: dict[str, Any] = {}
        for _ in until("the pipes are at rest"):
            there = system.client.get("/pipes/there").json()
            if there["lag"]["events"] == 0 and redis.xlen(IN) == 0:
                break
        assert there["dead_letters"] == 5

    # Its pipe stays as long as a stream cannot be erased.
    server.kill()
    kept = system.client.delete("/pipes/back", params={"erase": "true"})
    shown = system.client.get("/pipes/back").json()
    server.start()
    erased = system.client.delete("/pipes/back", params={"erase": "true"})

    assert (kept.status_code, shown["state"], erased.status_code) == (503, "paused", 204)
    assert kept.json()["detail"] == (
        "the stream 'out' cannot be erased, as Redis does not answer; the pipe is paused, "
        "delete it again"
    )
    with server.client() as redis:
        assert redis.keys("crivo:pipes:*") == [IN.encode()]
