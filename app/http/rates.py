"""Requests a second of a tenant, counted in memory, over all API processes.

Each process has a token bucket for each tenant with a cap: it holds a second's worth and fills
by the cap. No request asks anybody: four times a second the processes tell each other, through
PostgreSQL, how many requests they have let in, and each takes the others' from its own buckets,
which may go below nothing. So however a tenant spreads its requests over processes, in the
long run it gets its cap. For a moment it can get more: what the other processes let in within a
quarter of a second, and one bucket from each process that had not heard of the tenant for a
minute. While PostgreSQL is away each process gives the cap by itself.
"""

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid

from app.background import background, retry_forever
from app.db import Connection, Pool
from app.http.quotas import QuotaExceeded, limit_field, policy_field
from app.outages import DatabaseUnavailable

EXCHANGE_SECONDS: Final = 0.25
# How long a process goes on listening after a tenant's last request.
_LISTENS_SECONDS: Final = 60.0
# So many seconds of the cap can be owed at most.
_MOST_OWED_SECONDS: Final = 10.0

Headers = list[tuple[bytes, bytes]]


class Bucket:
    """What one process knows of one tenant's requests."""

    def __init__(self, rate: int, now: float) -> None:
        """Begin with a second's worth."""
        self._rate = rate
        self._tokens = float(rate)
        self._at = now
        self.last_request_at = now
        # Let in by this process since it knows the tenant, and by the others, each by its own
        # count; None until they were heard of for the first time.
        self.let_in = 0
        self.others: dict[UUID, int] | None = None

    def take(self, rate: int, now: float) -> Headers:
        """Let a request in, and say what is left. Raises QuotaExceeded."""
        self._rate = rate
        self._fill(now)
        self.last_request_at = now
        if self._tokens < 1:
            wait = math.ceil((1 - self._tokens) / rate)
            raise QuotaExceeded("requests", limit=rate, used=rate, retry_after_seconds=wait)
        self._tokens -= 1
        self.let_in += 1
        left = limit_field("requests", left=int(self._tokens), seconds=1)
        return [
            (b"ratelimit-policy", policy_field("requests", rate).encode()),
            (b"ratelimit", left.encode()),
        ]

    def hear(self, counts: dict[UUID, int], now: float) -> None:
        """Take from here what others have let in since they were last heard of."""
        self._fill(now)
        if self.others is not None:
            more = sum(max(0, count - self.others.get(each, 0)) for each, count in counts.items())
            self._tokens = max(self._tokens - more, -self._rate * _MOST_OWED_SECONDS)
        self.others = counts

    def _fill(self, now: float) -> None:
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Rates:
    """The buckets of one API process."""

    def __init__(self, pool: Pool, *, default_rate: int | None) -> None:
        """Take the pool, and the cap of tenants that have none of their own."""
        self._pool = pool
        self._default_rate = default_rate
        self._id = uuid.uuid7()
        self._buckets: dict[UUID, Bucket] = {}

    def take(self, tenant: UUID, cap: int | None) -> Headers:
        """Count a request of a tenant; give the headers that say so. Raises QuotaExceeded."""
        rate = cap or self._default_rate
        if rate is None:
            return []
        now = monotonic()
        bucket = self._buckets.get(tenant)
        if bucket is None:
            bucket = self._buckets[tenant] = Bucket(rate, now)
        return bucket.take(rate, now)

    async def exchange(self) -> None:
        """Tell the others, and hear them. Raises DatabaseUnavailable."""
        now = monotonic()
        for tenant, bucket in list(self._buckets.items()):
            if now - bucket.last_request_at > _LISTENS_SECONDS:
                del self._buckets[tenant]
        if not self._buckets:
            return
        asked = dict(self._buckets)
        async with self._pool.acquire() as conn:
            found = await _exchange_counts(
                conn, self._id, {tenant: bucket.let_in for tenant, bucket in asked.items()}
            )
        heard: dict[UUID, dict[UUID, int]] = {tenant: {} for tenant in asked}
        for tenant, process, requests in found:
            heard[tenant][process] = requests
        for tenant, bucket in asked.items():
            bucket.hear(heard[tenant], monotonic())

    async def keep_up(self) -> None:
        """Exchange for ever."""
        await retry_forever("rates.exchange_failed", self.exchange, pause_seconds=EXCHANGE_SECONDS)


@asynccontextmanager
async def open_rates(pool: Pool, *, default_rate: int | None) -> AsyncIterator[Rates]:
    """Exchange for the length of the block."""
    rates = Rates(pool, default_rate=default_rate)
    with suppress(DatabaseUnavailable):
        async with pool.acquire() as conn:
            await conn.execute(FORGET_COUNTS)
    async with background(rates.keep_up()):
        yield rates


# Of processes that are gone.
FORGET_COUNTS = """
DELETE FROM request_counts
WHERE seen_at < clock_timestamp() - interval '1 hour'
"""

# Each process writes rows of its own only.
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
