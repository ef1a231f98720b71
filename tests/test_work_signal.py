"""Requested wake-ups are coalesced, counted, and sent to Redis in both of their forms."""

import asyncio
import time
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
    requested = REGISTRY.get_sample_value("crivo_rings_wanted_total")
    counted = {
        result: REGISTRY.get_sample_value("crivo_rings_total", {"result": result})
        for result in RESULTS
    }
    return {name: value or 0 for name, value in {"requested": requested, **counted}.items()}


async def _notify(settings: Settings, *bursts: int) -> dict[str, float]:
    """Request each burst at once, after the one before was sent; return what was counted."""
    before = counted = _counts()
    async with open_work_signal(settings) as work_signal:
        for number, burst in enumerate(bursts, start=1):
            for _ in range(burst):
                work_signal.notify()
            async with asyncio.timeout(30):
                while True:
                    counted = {name: count - before[name] for name, count in _counts().items()}
                    # One wake-up of each burst is sent or fails.
                    if counted["sent"] + counted["failed"] == number:
                        break
                    await asyncio.sleep(0.005)
    return counted


async def test_simultaneous_requests_become_one_wake_up(settings: Settings) -> None:
    counted = await _notify(settings, 5)

    assert counted == {"requested": 5, "sent": 1, "coalesced": 4, "failed": 0}


async def test_successive_requests_are_each_sent(settings: Settings) -> None:
    counted = await _notify(settings, 1, 1, 1)

    assert counted == {"requested": 3, "sent": 3, "coalesced": 0, "failed": 0}


@pytest.mark.parametrize("bursts", [(1,), (3, 2)])
async def test_without_redis_they_fail_and_no_error_is_raised(
    settings: Settings, bursts: tuple[int, ...]
) -> None:
    nowhere = msgspec.structs.replace(settings, redis_url="unix:///nonexistent/redis.sock")

    counted = await _notify(nowhere, *bursts)

    requested, count = sum(bursts), len(bursts)
    assert counted == {
        "requested": requested,
        "sent": 0,
        "coalesced": requested - count,
        "failed": count,
    }


async def test_wake_ups_without_workers_leave_one_element_and_one_job_per_second(
    settings: Settings,
) -> None:
    async with _redis(settings) as redis:
        await redis.delete(WAKE_LIST, redis.default_queue_name)

        began = int(time.time())
        await _notify(settings, 1, 1, 1)
        seconds = int(time.time()) - began + 1

        assert await redis.llen(WAKE_LIST) == 1  # type: ignore[misc] # typed for a blocking client, too
        # The three may lie on both sides of a second's end.
        assert 1 <= await redis.zcard(redis.default_queue_name) <= seconds


async def test_each_wake_up_wakes_one_waiting_worker(settings: Settings) -> None:
    async with (
        _redis(settings) as redis,
        _redis(settings) as other,
        open_work_signal(settings) as work_signal,
    ):
        waiting: set[asyncio.Task[object]]
        # redis-py types one signature for its blocking and its asynchronous client.
        waiting = {
            asyncio.create_task(each.blpop([WAKE_LIST], timeout=30))  # type: ignore[arg-type] # see above
            for each in (redis, other)
        }
        while waiting:
            work_signal.notify()
            woken, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert len(woken) == 1


async def test_a_pending_wake_up_is_sent_as_the_process_ends(settings: Settings) -> None:
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
