"""Claim tasks of exports, in turns of tenants.

A claim is a lease with a random fencing token: what a worker records that was presumed dead is
refused. The claim serves all tenants; statements after it name the tenant that it has returned.
"""

import secrets
from typing import Final
from uuid import UUID

from app.db import Connection, optional_from_row
from app.exports.task_store import ClaimedTask

_TOKEN_BITS: Final = 63

# Across tenants: any worker runs what is due, in turns: first of the tenants with the fewest tasks
# in hand, then of the one whose last turn is longest ago, then what is due longest. Those of a
# suspended tenant rest. At one destination exports are published in the order in which they were
# accepted. Of each tenant only the first tasks are looked at, however many it has: some more than
# one, as other workers may be claiming the first. Its export is looked up for each, as a join could
# be made with all of its tasks, before the order. `now()` serves an index.
CLAIM_TASK = """
WITH RECURSIVE asking AS (
    (SELECT t.tenant_id
     FROM export_tasks AS t
     WHERE t.done_token IS NULL
     ORDER BY t.tenant_id
     LIMIT 1)
    UNION ALL
    SELECT (SELECT t.tenant_id
            FROM export_tasks AS t
            WHERE t.done_token IS NULL AND t.tenant_id > a.tenant_id
            ORDER BY t.tenant_id
            LIMIT 1)
    FROM asking AS a
    WHERE a.tenant_id IS NOT NULL
),
busy AS MATERIALIZED (
    SELECT tenant_id, count(*) AS tasks
    FROM export_tasks
    WHERE done_token IS NULL AND lease_token IS NOT NULL
      AND due_at <= clock_timestamp() AND lease_expires_at >= clock_timestamp()
    GROUP BY tenant_id
),
waiting AS MATERIALIZED (
    SELECT w.export_id, w.stage, w.number, coalesce(b.tasks, 0) AS busy, l.began_at
    FROM asking AS a
    JOIN tenants AS n ON n.id = a.tenant_id
    LEFT JOIN busy AS b ON b.tenant_id = a.tenant_id
    LEFT JOIN export_turns AS l ON l.tenant_id = a.tenant_id
    CROSS JOIN LATERAL (
        SELECT t.export_id, t.stage, t.number
        FROM export_tasks AS t
        WHERE t.tenant_id = a.tenant_id AND t.done_token IS NULL AND t.due_at <= now()
          AND (t.lease_expires_at IS NULL OR t.lease_expires_at < clock_timestamp())
          AND (SELECT e.finished_at IS NULL
                      AND (
                          t.stage <> 'publish'
                          OR $4 AND (
                              e.destination IS NULL
                              OR NOT EXISTS (
                                  SELECT
                                  FROM exports AS earlier
                                  WHERE earlier.tenant_id = e.tenant_id
                                    AND earlier.destination = e.destination
                                    AND earlier.id < e.id AND earlier.finished_at IS NULL
                              )
                          )
                      )
               FROM exports AS e
               WHERE e.tenant_id = t.tenant_id AND e.id = t.export_id)
        ORDER BY t.due_at, t.export_id, t.number
        LIMIT 8
    ) AS w
    WHERE n.suspended_at IS NULL
),
next AS MATERIALIZED (
    SELECT t.export_id, t.stage, t.number
    FROM waiting AS w
    JOIN export_tasks AS t
      ON t.export_id = w.export_id AND t.stage = w.stage AND t.number = w.number
    WHERE t.done_token IS NULL AND t.due_at <= clock_timestamp()
      AND (t.lease_expires_at IS NULL OR t.lease_expires_at < clock_timestamp())
    ORDER BY w.busy, w.began_at NULLS FIRST, t.due_at, t.export_id, t.number
    LIMIT 1
    FOR NO KEY UPDATE OF t SKIP LOCKED
),
claimed AS (
    UPDATE export_tasks AS t
    SET worker_id = $1, lease_token = $2,
        lease_expires_at = clock_timestamp() + make_interval(secs => $3),
        attempts = t.attempts + 1, raw_bytes_done = 0
    FROM next AS n, exports AS e
    WHERE t.export_id = n.export_id AND t.stage = n.stage AND t.number = n.number
      AND e.tenant_id = t.tenant_id AND e.id = t.export_id
    RETURNING t.export_id, t.tenant_id, t.stage, t.number, t.lease_token, t.attempts, t.input,
              t.raw_bytes, e.plan, e.columns, e.dataset_id, e.base_id, e.destination
),
turn AS (
    INSERT INTO export_turns (tenant_id, began_at)
    SELECT tenant_id, clock_timestamp()
    FROM claimed
    ON CONFLICT (tenant_id) DO UPDATE SET began_at = EXCLUDED.began_at
)
SELECT *
FROM claimed
"""


async def claim_task(
    conn: Connection, worker_id: UUID, *, lease_seconds: float, publishes: bool = True
) -> ClaimedTask | None:
    """Claim the task that is due first, of those that publish or not; None if none is."""
    token = secrets.randbits(_TOKEN_BITS)
    row = await conn.fetchrow(CLAIM_TASK, worker_id, token, lease_seconds, publishes)
    return optional_from_row(ClaimedTask, row)
