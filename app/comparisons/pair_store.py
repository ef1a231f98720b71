"""Store how the two executions of each input compare; a worker does so for all tenants."""

from collections.abc import Mapping
from uuid import UUID

from msgspec import Struct

from app.comparisons.model import Counts, PairOutcome
from app.db import Connection, from_row, optional_from_row
from app.executions.model import Status


class ClaimedComparison(Struct, frozen=True, kw_only=True):
    """A comparison whose executions have all ended."""

    id: UUID
    tenant_id: UUID


class Pair(Struct, frozen=True, kw_only=True):
    """The two executions of one input; None: deleted, or without a result."""

    position: int
    from_execution_id: UUID
    to_execution_id: UUID
    from_status: Status | None
    to_status: Status | None
    from_sha256: bytes | None
    to_sha256: bytes | None
    has_other_type: bool


class PairPayloads(Struct, frozen=True, kw_only=True):
    """Errors and inline results of a pair; one that is larger, or bytes, has its size alone."""

    from_error: bytes | None
    to_error: bytes | None
    from_bytes: int | None
    to_bytes: int | None
    from_body: bytes | None
    to_body: bytes | None
    has_bytes: bool
    is_erased: bool


# Across tenants: any worker compares what is due, of the tenant first that has waited longest.
CLAIM_COMPARISON = """
UPDATE comparisons
SET lease_expires_at = clock_timestamp() + make_interval(secs => $1)
WHERE id = (
    SELECT c.id
    FROM comparisons AS c
    WHERE c.state = 'running' AND c.lease_expires_at < clock_timestamp()
      AND NOT EXISTS (
          SELECT FROM batches AS b WHERE b.id = c.batch_id AND b.finished_at IS NULL
      )
    ORDER BY (SELECT max(d.finished_at) FROM comparisons AS d WHERE d.tenant_id = c.tenant_id)
             NULLS FIRST, c.id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING id, tenant_id
"""


async def claim_comparison(conn: Connection, *, lease_seconds: float) -> ClaimedComparison | None:
    """Claim a comparison whose executions have all ended; None if there is none."""
    return optional_from_row(
        ClaimedComparison, await conn.fetchrow(CLAIM_COMPARISON, lease_seconds)
    )


# Until the transaction ends. Each row is found by its key: of tables that were filled moments ago
# the planner knows too little, and would scan one of them for each row of another.
PLAN_BY_KEYS = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
"""

RENEW_LEASE = """
UPDATE comparisons
SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE tenant_id = $1 AND id = $2
"""

SELECT_PAIRS = """
SELECT i.position, i.from_execution_id, i.to_execution_id,
       a.status AS from_status, b.status AS to_status,
       p.sha256 AS from_sha256, q.sha256 AS to_sha256,
       p.media_type IS DISTINCT FROM q.media_type AS has_other_type
FROM comparison_items AS i
LEFT JOIN executions AS a ON a.tenant_id = i.tenant_id AND a.id = i.from_execution_id
LEFT JOIN executions AS b ON b.tenant_id = i.tenant_id AND b.id = i.to_execution_id
LEFT JOIN payloads AS p
       ON p.tenant_id = i.tenant_id AND p.execution_id = i.from_execution_id AND p.kind = 'result'
LEFT JOIN payloads AS q
       ON q.tenant_id = i.tenant_id AND q.execution_id = i.to_execution_id AND q.kind = 'result'
WHERE i.tenant_id = $1 AND i.comparison_id = $2 AND i.outcome IS NULL
ORDER BY i.position
LIMIT $3
"""


async def select_pairs(
    conn: Connection, claimed: ClaimedComparison, *, limit: int, lease_seconds: float
) -> list[Pair]:
    """Return the next pairs that are not compared yet, and renew the lease."""
    await conn.execute(RENEW_LEASE, claimed.tenant_id, claimed.id, lease_seconds)
    async with conn.transaction():
        await conn.execute(PLAN_BY_KEYS)
        rows = await conn.fetch(SELECT_PAIRS, claimed.tenant_id, claimed.id, limit)
    return [from_row(Pair, row) for row in rows]


SELECT_PAIR_PAYLOADS = """
SELECT a.error AS from_error, b.error AS to_error,
       p.size_bytes AS from_bytes, q.size_bytes AS to_bytes,
       CASE WHEN p.media_type IS NULL THEN p.body END AS from_body,
       CASE WHEN q.media_type IS NULL THEN q.body END AS to_body,
       num_nonnulls(p.media_type, q.media_type) > 0 AS has_bytes,
       p.erased_at IS NOT NULL OR q.erased_at IS NOT NULL AS is_erased
FROM executions AS a
JOIN executions AS b ON b.tenant_id = a.tenant_id AND b.id = $3
LEFT JOIN payloads AS p
       ON p.tenant_id = a.tenant_id AND p.execution_id = a.id AND p.kind = 'result'
LEFT JOIN payloads AS q
       ON q.tenant_id = b.tenant_id AND q.execution_id = b.id AND q.kind = 'result'
WHERE a.tenant_id = $1 AND a.id = $2
"""


async def select_pair_payloads(conn: Connection, tenant: UUID, pair: Pair) -> PairPayloads | None:
    """Read what is needed to compare a pair further; None: an execution has been deleted."""
    row = await conn.fetchrow(
        SELECT_PAIR_PAYLOADS, tenant, pair.from_execution_id, pair.to_execution_id
    )
    return optional_from_row(PairPayloads, row)


COUNT_DIFFERENCES = """
SELECT count(*)
FROM comparison_items
WHERE tenant_id = $1 AND comparison_id = $2 AND outcome <> 'same'
"""


async def count_differences(conn: Connection, claimed: ClaimedComparison) -> int:
    """Count the pairs that are known to be not the same."""
    count: int = await conn.fetchval(COUNT_DIFFERENCES, claimed.tenant_id, claimed.id)
    return count


STORE_OUTCOMES = """
UPDATE comparison_items AS i
SET outcome = u.outcome
FROM unnest($3::integer[], $4::text[]) AS u (position, outcome)
WHERE i.tenant_id = $1 AND i.comparison_id = $2 AND i.position = u.position AND i.outcome IS NULL
"""


async def store_outcomes(
    conn: Connection, claimed: ClaimedComparison, outcomes: Mapping[int, PairOutcome]
) -> None:
    """Store outcomes by position; those that are known already stay."""
    values = list(outcomes), list(outcomes.values())
    await conn.execute(STORE_OUTCOMES, claimed.tenant_id, claimed.id, *values)


# Locks both inputs: a later erasure finds the changes, after an earlier one they are not stored.
STORE_CHANGES = """
WITH kept AS (
    SELECT p.execution_id
    FROM comparison_items AS i
    CROSS JOIN LATERAL unnest(ARRAY[i.from_execution_id, i.to_execution_id]) AS x (id)
    JOIN payloads AS p
      ON p.tenant_id = i.tenant_id AND p.execution_id = x.id AND p.kind = 'input'
    WHERE i.tenant_id = $1 AND i.comparison_id = $2 AND i.position = $3 AND p.erased_at IS NULL
    ORDER BY p.execution_id
    FOR SHARE OF p
)
UPDATE comparison_items
SET outcome = 'differing', changes = CASE WHEN (SELECT count(*) FROM kept) = 2 THEN $4::bytea END
WHERE tenant_id = $1 AND comparison_id = $2 AND position = $3 AND outcome IS NULL
"""


async def store_changes(
    conn: Connection, claimed: ClaimedComparison, position: int, changes: bytes
) -> None:
    """Store that a pair differs and where, unless the data of either execution is erased."""
    await conn.execute(STORE_CHANGES, claimed.tenant_id, claimed.id, position, changes)


FINISH_COMPARISON = """
UPDATE comparisons AS c
SET state = 'finished', finished_at = clock_timestamp(), same = t.same, differing = t.differing,
    newly_failed = t.newly_failed, newly_fixed = t.newly_fixed, undecided = t.undecided,
    from_cpu_ms = t.from_cpu_ms, to_cpu_ms = t.to_cpu_ms
FROM (
    SELECT i.tenant_id,
           count(*) FILTER (WHERE i.outcome IS NULL) AS unknown,
           count(*) FILTER (WHERE i.outcome = 'same') AS same,
           count(*) FILTER (WHERE i.outcome = 'differing') AS differing,
           count(*) FILTER (WHERE i.outcome = 'newly_failed') AS newly_failed,
           count(*) FILTER (WHERE i.outcome = 'newly_fixed') AS newly_fixed,
           count(*) FILTER (WHERE i.outcome = 'undecided') AS undecided,
           sum(a.cpu_ms) FILTER (WHERE a.status = 'succeeded' AND b.status = 'succeeded'
                                 AND b.cpu_ms IS NOT NULL) AS from_cpu_ms,
           sum(b.cpu_ms) FILTER (WHERE a.status = 'succeeded' AND b.status = 'succeeded'
                                 AND a.cpu_ms IS NOT NULL) AS to_cpu_ms
    FROM comparison_items AS i
    LEFT JOIN executions AS a ON a.tenant_id = i.tenant_id AND a.id = i.from_execution_id
    LEFT JOIN executions AS b ON b.tenant_id = i.tenant_id AND b.id = i.to_execution_id
    WHERE i.tenant_id = $1 AND i.comparison_id = $2
    GROUP BY i.tenant_id
) AS t
WHERE c.tenant_id = $1 AND c.id = $2 AND c.state = 'running' AND t.unknown = 0
RETURNING c.same, c.differing, c.newly_failed, c.newly_fixed, c.undecided,
          c.from_cpu_ms, c.to_cpu_ms, c.clean
"""


async def finish_comparison(conn: Connection, claimed: ClaimedComparison) -> Counts | None:
    """Finish a comparison whose pairs are all compared; None: not by this call."""
    async with conn.transaction():
        await conn.execute(PLAN_BY_KEYS)
        row = await conn.fetchrow(FINISH_COMPARISON, claimed.tenant_id, claimed.id)
    return optional_from_row(Counts, row)


# Across tenants: age alone decides. The items go with it.
DELETE_COMPARISONS = """
DELETE FROM comparisons
WHERE id IN (
    SELECT id
    FROM comparisons
    WHERE created_at < now() - make_interval(days => $1) AND state = 'finished'
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
"""


async def delete_comparisons(conn: Connection, days: int, limit: int) -> int:
    """Delete up to `limit` comparisons that are older than `days`; return their number."""
    status = await conn.execute(DELETE_COMPARISONS, days, limit)
    return int(status.rpartition(" ")[2])
