"""Wake workers through Redis: something waits in PostgreSQL.

An element of a list wakes one worker that has room, at once. A job of arq's persists until a
worker reads it; more than one per second adds nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import cast

import msgspec
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
)

from app.errors import CrivoError
from app.metrics import RINGS, RINGS_WANTED
from app.outages import Outage
from app.settings import Settings

OUTAGE = Outage("Redis")

WAKE_JOB = "ring"
# A list on which workers with room block: one of them wakes at once, where arq by itself polls
# for jobs at intervals. The names in Redis are older than those here: releases run side by side.
WAKE_LIST = "crivo:knock"
_JOB_SECONDS = 1.0
# While no worker takes an element, all are busy, and poll by themselves when they are not.
_BUSY_SECONDS = 0.02
# An older job says nothing: the workers have polled by themselves long ago.
_JOB_EXPIRES_MS = 60_000
_MAX_JOBS = 8
_FAREWELL_SECONDS = 1.0
_HELLO_SECONDS = 2.0
_HELLO = "crivo:hello"
# What no waiting heals.
_LASTING = (AuthenticationError, NoPermissionError, ReadOnlyError)

# arq's default is pickle, which would run whatever somebody else puts into Redis.
serialize = msgspec.msgpack.encode
deserialize = msgspec.msgpack.decode


class WorkSignal:
    """Wake-ups, coalesced: any number that are asked for while one is sent become one."""

    def __init__(self, redis: RedisSettings) -> None:
        """Take the address; connect at the first wake-up."""
        self._settings = redis
        self._redis: ArqRedis | None = None
        self._pending = asyncio.Event()
        self._wanted = 0
        self.silent = False
        self._job_from = 0.0

    def notify(self) -> None:
        """Ask for a wake-up and return at once; call it after the commit.

        One that cannot be sent is not an error: workers poll PostgreSQL every second, so its
        loss costs time and nothing else.
        """
        RINGS_WANTED.inc()
        self._wanted += 1
        self._pending.set()

    async def send_forever(self) -> None:
        """Send what was asked for, one wake-up at a time."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            RINGS.labels("coalesced").inc(self._wanted - 1)
            self._wanted = 0
            try:
                await self._send()
            except asyncio.CancelledError:
                # It may not have gone out: `send_the_rest` sends it.
                self._pending.set()
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, a wake-up is no reason to fail
                self.silent = True
                OUTAGE.failed(str(error) or type(error).__name__)
                RINGS.labels("failed").inc()
            else:
                RINGS.labels("sent").inc()
                self.silent = False
                OUTAGE.worked()

    async def send_the_rest(self) -> None:
        """Send what is left when the process ends, such as of what it hands back."""
        if self._pending.is_set() and not self.silent:
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._send()

    async def close(self) -> None:
        """Close the connection."""
        if self._redis is not None:
            with suppress(RedisError, OSError):
                await self._redis.aclose()

    async def _send(self) -> None:
        if self._redis is None:
            self._redis = await create_pool(
                self._settings, retry=self._settings.conn_retries, job_serializer=serialize
            )
        await self._wake_one(self._redis)
        now = asyncio.get_running_loop().time()
        if now < self._job_from:
            return
        # No job id of our own: arq drops a job whose id is running. Without a worker jobs would
        # pile up; the first one says all that they say.
        if await self._redis.zcard(self._redis.default_queue_name) < _MAX_JOBS:
            await self._redis.enqueue_job(WAKE_JOB, _expires=_JOB_EXPIRES_MS)
        self._job_from = now + _JOB_SECONDS

    async def _wake_one(self, redis: ArqRedis) -> None:
        # redis-py types one signature for its blocking and its asynchronous client.
        waiting = await cast("Awaitable[int]", redis.lpush(WAKE_LIST, b""))
        if waiting > 1:
            # The element that is there already wakes the next worker with room.
            await cast("Awaitable[object]", redis.ltrim(WAKE_LIST, 0, 0))
            await asyncio.sleep(_BUSY_SECONDS)


class RedisRefuses(CrivoError):
    """Redis answers, and lets nobody write; or its address cannot be read."""


@asynccontextmanager
async def open_work_signal(settings: Settings) -> AsyncIterator[WorkSignal]:
    """Open the work signal at `settings.redis_url`; Redis need not be there.

    Raises RedisRefuses for a wrong password and for a replica: they would not heal by themselves.
    """
    try:
        redis = RedisSettings.from_dsn(settings.redis_url)
    except ValueError as error:
        # Without the URL: it may hold a password.
        raise RedisRefuses(f"REDIS_URL cannot be read: {error}") from None
    await _require_writable(redis)
    work_signal = WorkSignal(redis)
    sender = asyncio.create_task(work_signal.send_forever())
    try:
        yield work_signal
    finally:
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender
        await work_signal.send_the_rest()
        await work_signal.close()


async def _require_writable(settings: RedisSettings) -> None:
    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            # No other try: away, it is none of our business yet.
            redis = await create_pool(settings, retry=settings.conn_retries)
            try:
                await redis.set(_HELLO, b"", px=1)
            finally:
                await redis.aclose()
    except (RedisError, OSError, TimeoutError) as error:
        # redis-py tells a missing password as a connection that fails, because of it.
        for each in (error, error.__cause__, error.__context__):
            if isinstance(each, _LASTING) or "index is out of range" in str(each):
                raise RedisRefuses(f"Redis says: {error}; see REDIS_URL") from None
