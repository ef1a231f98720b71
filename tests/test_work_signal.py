"""The work signal: what goes to Redis for any number of wake-ups, and what is counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import pytest
from arq.connections import ArqRedis, RedisSettings, create_pool

from app.metrics import REGISTRY
from app.settings import Settings
from app.work_signal import WAKE_LIST, open_work_signal

RESULTS: Final = ("sent", "coalesced", "failed")


def _counts() -> dict[str, float]:
    wanted = REGISTRY.get_sample_value("crivo_rings_wanted_total")
    counted = {
        result: REGISTRY.get_sample_value("crivo_rings_total", {"result": result})
        for result in RESULTS
    }
    return {name: value or 0 for name, value in {"wanted": wanted, **counted}.items()}


async def _ring(settings: Settings, *bursts: int) -> dict[str, float]:
    """Ring so often at once, wait until all of it has become something, ring again."""
    before = news = _counts()
    async with open_work_signal(settings) as work_signal:
        for number, burst in enumerate(bursts, start=1):
            for _ in range(burst):
                work_signal.notify()
            async with asyncio.timeout(30):
                while True:
                    news = {name: count - before[name] for name, count in _counts().items()}
                    # Of a burst one is sent, or fails.
                    if news["sent"] + news["failed"] == number:
                        break
                    await asyncio.sleep(0.005)
    return news


async def test_rings_that_come_at_once_become_one(settings: Settings) -> None:
    news = await _ring(settings, 5)

    assert news == {"wanted": 5, "sent": 1, "coalesced": 4, "failed": 0}


async def test_rings_one_after_the_other_are_each_sent(settings: Settings) -> None:
    news = await _ring(settings, 1, 1, 1)

    assert news == {"wanted": 3, "sent": 3, "coalesced": 0, "failed": 0}


@pytest.mark.parametrize("bursts", [(1,), (3, 2)])
async def test_without_redis_they_fail_and_nobody_is_told(
    settings: Settings, bursts: tuple[int, ...]
) -> None:
    nowhere = msgspec.structs.replace(settings, redis_url="unix:///nonexistent/redis.sock")

    news = await _ring(nowhere, *bursts)

    rings, count = sum(bursts), len(bursts)
    assert news == {"wanted": rings, "sent": 0, "coalesced": rings - count, "failed": count}


async def test_knocks_that_nobody_takes_leave_one_and_one_job_a_second(settings: Settings) -> None:
    async with _redis(settings) as redis:
        await redis.delete(WAKE_LIST, redis.default_queue_name)

        await _ring(settings, 1, 1, 1)

        assert await redis.llen(WAKE_LIST) == 1  # type: ignore[misc] # typed for a blocking client, too
        assert await redis.zcard(redis.default_queue_name) == 1


async def test_each_knock_wakes_one_who_waits(settings: Settings) -> None:
    async with (
        _redis(settings) as redis,
        _redis(settings) as other,
        open_work_signal(settings) as work_signal,
    ):
        waiting: set[asyncio.Task[object]]
        # redis-py types one signature for its blocking and its asynchronous client.
        waiting = {
            asyncio.create_task(each.blpop([WAKE_LIST], timeout=30))  # type: ignore[arg-type]
            for each in (redis, other)
        }
        while waiting:
            work_signal.notify()
            heard, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert len(heard) == 1


async def test_what_is_rung_as_the_process_ends_is_sent(settings: Settings) -> None:
    async with _redis(settings) as redis:
        await redis.delete(WAKE_LIST)

        async with open_work_signal(settings) as work_signal:
            work_signal.notify()

        assert await redis.llen(WAKE_LIST) == 1  # type: ignore[misc] # as above


@asynccontextmanager
async def _redis(settings: Settings) -> AsyncIterator[ArqRedis]:
    redis = await create_pool(RedisSettings.from_dsn(settings.redis_url))
    try:
        yield redis
    finally:
        await redis.aclose()
