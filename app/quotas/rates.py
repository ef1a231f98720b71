"""Limit each tenant's request rate across all API processes.

Each process keeps a token bucket in memory for each tenant with a rate limit. The bucket holds one
second's worth of requests and refills at the limit. A request never queries the database: four
times a second the processes exchange their request counts through PostgreSQL, and each takes the
others' requests out of its own buckets, which can go below zero. In the long run a tenant gets its
limit, however it spreads its requests over processes. In the short run it can exceed the limit by
what the other processes admit within a quarter of a second, and by one full bucket of each process
that has not seen the tenant for a minute. While PostgreSQL is unavailable, each process enforces
the limit by itself.
"""

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Struct

from app.background import background, retry_forever
from app.db import Connection, Pool
from app.outages import DatabaseUnavailable
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota

EXCHANGE_SECONDS: Final = 0.25
# A bucket is dropped this long after the tenant's last request.
_IDLE_SECONDS: Final = 60.0
# The debt of a bucket is at most this many seconds of the limit.
_MAX_DEBT_SECONDS: Final = 10.0


class RateState(Struct, frozen=True, kw_only=True):
    """A tenant's rate limit, in requests per second, and what remains of it."""

    limit: int
    remaining: int


class Bucket:
    """The token bucket of one tenant in one process."""

    def __init__(self, limit: int, now: float) -> None:
        """Start full, with one second's worth of requests."""
        self._limit = limit
        self._tokens = float(limit)
        self._filled_at = now
        self.last_request_at = now
        # Requests admitted by this process since the bucket exists.
        self.admitted = 0
        # The same of each other process; None before the first exchange.
        self._others: dict[UUID, int] | None = None

    def take(self, limit: int, now: float) -> RateState:
        """Admit one request. Raises QuotaExceeded."""
        self._limit = limit
        self._fill(now)
        self.last_request_at = now
        if self._tokens < 1:
            wait_seconds = math.ceil((1 - self._tokens) / limit)
            raise QuotaExceeded(
                Quota.REQUESTS, limit=limit, used=limit, retry_after_seconds=wait_seconds
            )
        self._tokens -= 1
        self.admitted += 1
        return RateState(limit=limit, remaining=int(self._tokens))

    def subtract_others(self, counts: dict[UUID, int], now: float) -> None:
        """Take out what other processes have admitted since the last exchange."""
        self._fill(now)
        if self._others is not None:
            admitted = sum(
                max(0, count - self._others.get(process, 0)) for process, count in counts.items()
            )
            self._tokens = max(self._tokens - admitted, -self._limit * _MAX_DEBT_SECONDS)
        self._others = counts

    def _fill(self, now: float) -> None:
        self._tokens = min(self._limit, self._tokens + (now - self._filled_at) * self._limit)
        self._filled_at = now


class RateLimiter:
    """The token buckets of one API process."""

    def __init__(self, pool: Pool, *, default_limit: int | None) -> None:
        """Take the pool, and the limit of tenants without their own; None is no limit."""
        self._pool = pool
        self._default_limit = default_limit
        self._process_id = uuid.uuid7()
        self._buckets: dict[UUID, Bucket] = {}

    def take(self, tenant: UUID, cap: int | None) -> RateState | None:
        """Admit one request of a tenant; None where no limit applies. Raises QuotaExceeded."""
        limit = cap or self._default_limit
        if limit is None:
            return None
        now = monotonic()
        bucket = self._buckets.get(tenant)
        if bucket is None:
            bucket = self._buckets[tenant] = Bucket(limit, now)
        return bucket.take(limit, now)

    async def exchange(self) -> None:
        """Publish this process's counts and read the others'. Raises DatabaseUnavailable."""
        now = monotonic()
        for tenant, bucket in list(self._buckets.items()):
            if now - bucket.last_request_at > _IDLE_SECONDS:
                del self._buckets[tenant]
        if not self._buckets:
            return
        buckets = dict(self._buckets)
        async with self._pool.acquire() as conn:
            rows = await _exchange_counts(
                conn,
                self._process_id,
                {tenant: bucket.admitted for tenant, bucket in buckets.items()},
            )
        others: dict[UUID, dict[UUID, int]] = {tenant: {} for tenant in buckets}
        for tenant, process, requests in rows:
            others[tenant][process] = requests
        for tenant, bucket in buckets.items():
            bucket.subtract_others(others[tenant], monotonic())

    async def exchange_forever(self) -> None:
        """Exchange counts at intervals until cancelled."""
        await retry_forever("rates.exchange_failed", self.exchange, pause_seconds=EXCHANGE_SECONDS)


@asynccontextmanager
async def open_rate_limiter(pool: Pool, *, default_limit: int | None) -> AsyncIterator[RateLimiter]:
    """Open a rate limiter that exchanges counts in the background."""
    rate_limiter = RateLimiter(pool, default_limit=default_limit)
    with suppress(DatabaseUnavailable):
        async with pool.acquire() as conn:
            await conn.execute(DELETE_OLD_COUNTS)
    async with background(rate_limiter.exchange_forever()):
        yield rate_limiter


# Counts of processes that have ended.
DELETE_OLD_COUNTS = """
DELETE FROM request_counts
WHERE seen_at < now() - interval '1 hour'
"""

# A process writes rows of its own only.
EXCHANGE_COUNTS = """
WITH mine AS (
    INSERT INTO request_counts AS c (tenant_id, process_id, requests)
    SELECT m.tenant_id, $1, m.requests
    FROM unnest($2::uuid[], $3::bigint[]) AS m (tenant_id, requests)
    ON CONFLICT (tenant_id, process_id)
    DO UPDATE SET requests = excluded.requests, seen_at = clock_timestamp()
)
SELECT tenant_id, process_id, requests
FROM request_counts
WHERE tenant_id = ANY ($2::uuid[]) AND process_id <> $1
"""


async def _exchange_counts(
    conn: Connection, process: UUID, counts: dict[UUID, int]
) -> Iterable[tuple[UUID, UUID, int]]:
    rows = await conn.fetch(EXCHANGE_COUNTS, process, list(counts), list(counts.values()))
    return [(row["tenant_id"], row["process_id"], row["requests"]) for row in rows]
