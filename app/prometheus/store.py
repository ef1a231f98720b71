"""Read queue depths and the number of workers, of all tenants."""

from msgspec import Struct

from app.db import Connection, from_row


class TenantQueueDepth(Struct, frozen=True, kw_only=True):
    """The number of a tenant's queued executions, and the age of the oldest."""

    tenant: str
    queued: int
    oldest_seconds: float


class Workforce(Struct, frozen=True, kw_only=True):
    """The live workers, and the executions that they can run at once."""

    workers: int
    slots: int


# One index lookup for each tenant and priority with queued executions, however long the queue is
# (a loose index scan). The counts are the quotas' counters. A tenant's oldest execution is the
# first of one of its priorities.
SELECT_QUEUE_DEPTHS = """
WITH RECURSIVE turns (tenant_id, priority, execution_id) AS (
    (SELECT q.tenant_id, q.priority, q.execution_id
     FROM queue AS q
     ORDER BY q.tenant_id, q.priority DESC, q.execution_id
     LIMIT 1)
    UNION ALL
    SELECT n.tenant_id, n.priority, n.execution_id
    FROM turns AS t
    CROSS JOIN LATERAL (
        (SELECT q.tenant_id, q.priority, q.execution_id
         FROM queue AS q
         WHERE q.tenant_id = t.tenant_id AND q.priority < t.priority
         ORDER BY q.tenant_id, q.priority DESC, q.execution_id
         LIMIT 1)
        UNION ALL
        (SELECT q.tenant_id, q.priority, q.execution_id
         FROM queue AS q
         WHERE q.tenant_id > t.tenant_id
         ORDER BY q.tenant_id, q.priority DESC, q.execution_id
         LIMIT 1)
        ORDER BY 1, 2 DESC
        LIMIT 1
    ) AS n
),
firsts AS (
    SELECT t.tenant_id, (SELECT e.created_at FROM executions AS e WHERE e.id = t.execution_id)
    FROM turns AS t
),
oldest AS (
    SELECT f.tenant_id, min(f.created_at) AS created_at FROM firsts AS f GROUP BY f.tenant_id
)
SELECT (SELECT t.name FROM tenants AS t WHERE t.id = o.tenant_id) AS tenant,
       coalesce((SELECT sum(u.queued) FROM tenant_usage AS u WHERE u.tenant_id = o.tenant_id),
                0)::bigint AS queued,
       greatest(extract(epoch FROM clock_timestamp() - o.created_at), 0)::double precision
       AS oldest_seconds
FROM oldest AS o
"""


async def select_queue_depths(conn: Connection) -> list[TenantQueueDepth]:
    """Return the queue depth of each tenant that has queued executions."""
    async with conn.transaction():
        # A queue's statistics lag behind; a plan that trusts them would read the whole queue.
        await conn.execute("SET LOCAL enable_seqscan = off")
        await conn.execute("SET LOCAL enable_sort = off")
        return [from_row(TenantQueueDepth, row) for row in await conn.fetch(SELECT_QUEUE_DEPTHS)]


SELECT_PENDING_CALLBACKS = """
SELECT count(*) AS pending,
       coalesce(extract(epoch FROM clock_timestamp()
                                   - min(c.next_attempt_at)
                                     FILTER (WHERE c.next_attempt_at < clock_timestamp()
                                                   AND t.suspended_at IS NULL)),
                0)::double precision AS overdue_seconds
FROM callbacks AS c
JOIN tenants AS t ON t.id = c.tenant_id
WHERE c.status = 'pending'
"""


class PendingCallbacks(Struct, frozen=True, kw_only=True):
    """The callbacks that wait for an attempt, and for how long the oldest one has been due."""

    pending: int
    overdue_seconds: float


async def select_pending_callbacks(conn: Connection) -> PendingCallbacks:
    """Count the callbacks that wait for an attempt."""
    async with conn.transaction():
        # As above: delivered callbacks are many.
        await conn.execute("SET LOCAL enable_seqscan = off")
        return from_row(PendingCallbacks, *await conn.fetch(SELECT_PENDING_CALLBACKS))


SELECT_PIPE_LAGS = """
SELECT t.name AS tenant, coalesce(sum(p.lag_events), 0)::bigint AS events,
       coalesce(extract(epoch FROM clock_timestamp() - min(p.oldest_at)), 0)::double precision
       AS oldest_seconds,
       count(p.trouble) AS troubled
FROM pipes AS p
JOIN tenants AS t ON t.id = p.tenant_id
GROUP BY t.id
"""


class PipeLags(Struct, frozen=True, kw_only=True):
    """What a tenant's pipes have not forwarded, at their last looks, and how many stand still."""

    tenant: str
    events: int
    oldest_seconds: float
    troubled: int


async def select_pipe_lags(conn: Connection) -> list[PipeLags]:
    """Sum up the pipes of each tenant."""
    return [from_row(PipeLags, row) for row in await conn.fetch(SELECT_PIPE_LAGS)]


SELECT_WORKFORCE = """
SELECT count(*) AS workers, coalesce(sum(slots), 0)::bigint AS slots
FROM workers
WHERE seen_at > now() - make_interval(secs => $1)
"""


async def select_workforce(conn: Connection, *, seen_within_seconds: float) -> Workforce:
    """Count the workers whose last heartbeat is recent enough, and their slots."""
    row = await conn.fetchrow(SELECT_WORKFORCE, seen_within_seconds)
    assert row is not None  # noqa: S101 - a count has a row
    return from_row(Workforce, row)
