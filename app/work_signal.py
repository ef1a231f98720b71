"""Wake workers through Redis when an execution waits in PostgreSQL.

One wake-up takes two forms. An element of a list wakes one worker with room within a
millisecond, but is lost with a worker that dies before it has acted on it. A job of arq's, at
most one per second, stays until a worker has run it; workers poll for jobs once a second.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, cast

import msgspec
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
)

from app.background import background
from app.errors import CrivoError
from app.metrics import WAKE_UPS, WAKE_UPS_REQUESTED
from app.outages import Outage
from app.settings import Settings

OUTAGE: Final = Outage("Redis")

# Names in Redis. They are older than those here: releases run side by side.
WAKE_JOB: Final = "ring"
# Workers with room block on this list.
WAKE_LIST: Final = "crivo:knock"
_PROBE_KEY: Final = "crivo:hello"

_JOB_SECONDS: Final = 1.0
# Workers have polled PostgreSQL since: an older job adds nothing.
_JOB_EXPIRES_MS: Final = 60_000
_MAX_JOBS: Final = 8
# While no worker takes an element all are busy, and a busy worker polls PostgreSQL when a slot
# becomes free.
_BUSY_SECONDS: Final = 0.02
_FINAL_SEND_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 2.0
# TimeoutError is an OSError.
REDIS_ERRORS: Final = (RedisError, OSError)
# Refusals that waiting does not end.
_PERMANENT: Final = (AuthenticationError, NoPermissionError, ReadOnlyError)

# arq's default, pickle, would run whatever another program puts into Redis.
serialize = msgspec.msgpack.encode
deserialize = msgspec.msgpack.decode


class RedisRefuses(CrivoError):
    """Redis answers, but refuses access or writes; or its address is not valid."""


class WorkSignal:
    """Sends wake-ups, coalesced: all that are requested while one is sent become one."""

    def __init__(self, redis: RedisSettings) -> None:
        """Take the address; the first wake-up opens the connection."""
        self._settings = redis
        self._redis: ArqRedis | None = None
        self._pending = asyncio.Event()
        self._requested = 0
        self._next_job_at = 0.0
        self.failing = False

    def notify(self) -> None:
        """Request a wake-up and return at once. Call it after the commit.

        A wake-up that cannot be sent is not an error: workers poll PostgreSQL every second, so
        its loss costs time and nothing else.
        """
        WAKE_UPS_REQUESTED.inc()
        self._requested += 1
        self._pending.set()

    async def send_forever(self) -> None:
        """Send what is requested, one wake-up at a time."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            WAKE_UPS.labels("coalesced").inc(self._requested - 1)
            self._requested = 0
            try:
                await self._send()
            except asyncio.CancelledError:
                # It may not have been sent: `send_remaining` sends it.
                self._pending.set()
                raise
            except Exception as error:  # noqa: BLE001 - no error may stop later wake-ups
                self.failing = True
                _report(error)
                WAKE_UPS.labels("failed").inc()
            else:
                WAKE_UPS.labels("sent").inc()
                self.failing = False
                OUTAGE.worked()

    async def send_remaining(self) -> None:
        """Send what is pending as the process ends, such as for the executions it releases."""
        if self._pending.is_set() and not self.failing:
            with suppress(*REDIS_ERRORS):
                async with asyncio.timeout(_FINAL_SEND_SECONDS):
                    await self._send()

    async def close(self) -> None:
        """Close the connection."""
        if self._redis is not None:
            with suppress(*REDIS_ERRORS):
                await self._redis.aclose()

    async def _send(self) -> None:
        if self._redis is None:
            self._redis = await create_pool(
                self._settings, retry=self._settings.conn_retries, job_serializer=serialize
            )
        await _push_element(self._redis)
        now = asyncio.get_running_loop().time()
        if now >= self._next_job_at:
            await _enqueue_job(self._redis)
            self._next_job_at = now + _JOB_SECONDS


async def _push_element(redis: ArqRedis) -> None:
    # redis-py types one signature for its blocking and its asynchronous client.
    length = await cast("Awaitable[int]", redis.lpush(WAKE_LIST, b""))
    if length > 1:
        # One element suffices: it wakes the next worker with room.
        await cast("Awaitable[object]", redis.ltrim(WAKE_LIST, 0, 0))
        await asyncio.sleep(_BUSY_SECONDS)


async def _enqueue_job(redis: ArqRedis) -> None:
    # Bounded, as jobs pile up while no worker runs. Without an id of our own: arq drops a job
    # whose id is running.
    if await redis.zcard(redis.default_queue_name) < _MAX_JOBS:
        await redis.enqueue_job(WAKE_JOB, _expires=_JOB_EXPIRES_MS)


@contextmanager
def reporting_outage() -> Iterator[None]:
    """End the block where Redis fails, and report the failure to OUTAGE instead of raising it."""
    try:
        yield
    except REDIS_ERRORS as error:
        _report(error)


def _report(error: Exception) -> None:
    OUTAGE.failed(str(error) or type(error).__name__)


@asynccontextmanager
async def open_work_signal(settings: Settings) -> AsyncIterator[WorkSignal]:
    """Send wake-ups for the length of the block; Redis need not be available.

    Raises RedisRefuses for refusals that waiting does not end: a wrong password, a replica.
    """
    try:
        redis = RedisSettings.from_dsn(settings.redis_url)
    except ValueError as error:
        # Without the URL, which may hold a password.
        raise RedisRefuses(f"REDIS_URL cannot be read: {error}") from None
    await _require_writable(redis)
    work_signal = WorkSignal(redis)
    try:
        async with background(work_signal.send_forever()):
            yield work_signal
    finally:
        await work_signal.send_remaining()
        await work_signal.close()


async def _require_writable(settings: RedisSettings) -> None:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            # One attempt: an unavailable Redis does not stop the start.
            redis = await create_pool(settings, retry=settings.conn_retries)
            try:
                await redis.set(_PROBE_KEY, b"", px=1)
            finally:
                await redis.aclose()
    except REDIS_ERRORS as error:
        # redis-py reports a missing password as a failed connection, with this as its cause.
        for each in (error, error.__cause__, error.__context__):
            if isinstance(each, _PERMANENT) or "index is out of range" in str(each):
                raise RedisRefuses(f"Redis says: {error}; see REDIS_URL") from None
