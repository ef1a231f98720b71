"""SQL of what is queued and who works, of all tenants at once."""

from msgspec import Struct

from app.db import Connection, from_row


class QueueLimit(Struct, frozen=True, kw_only=True):
    """What a tenant has queued, and for how long the oldest of it has waited."""

    tenant: str
    queued: int
    oldest_seconds: float


class Workforce(Struct, frozen=True, kw_only=True):
    """The workers that are alive, and how many executions they run at once."""

    workers: int
    slots: int


# One look into an index for each tenant and priority that waits, however long the queue is: how
# much there is, the quotas' counters know. The oldest is the first of one of the priorities.
SELECT_BACKLOGS = """
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


async def select_backlogs(conn: Connection) -> list[QueueLimit]:
    """Say what each tenant has queued; who has nothing is left out."""
    async with conn.transaction():
        # Statistics are late for a queue, and a plan that believes them would read all of it.
        await conn.execute("SET LOCAL enable_seqscan = off")
        await conn.execute("SET LOCAL enable_sort = off")
        return [from_row(QueueLimit, row) for row in await conn.fetch(SELECT_BACKLOGS)]


SELECT_WORKFORCE = """
SELECT count(*) AS workers, coalesce(sum(slots), 0)::bigint AS slots
FROM workers
WHERE seen_at > now() - make_interval(secs => $1)
"""


async def select_workforce(conn: Connection, *, seen_within_seconds: float) -> Workforce:
    """Count the workers that are alive."""
    row = await conn.fetchrow(SELECT_WORKFORCE, seen_within_seconds)
    assert row is not None  # noqa: S101 - a count has a row
    return from_row(Workforce, row)
