"""Find an execution's position in the queue, and why it is still queued."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.db import Connection
from app.executions.model import Waiting, WaitReason
from app.limits import MAX_QUEUE_POSITION

# Of other tenants it reveals only whether they have anything queued.
SELECT_QUEUE_POSITION = """
SELECT 1 + (SELECT count(*)
            FROM (SELECT
                  FROM queue AS q
                  WHERE q.tenant_id = e.tenant_id
                    AND (q.priority > e.priority
                         OR (q.priority = e.priority AND q.execution_id < e.id))
                  LIMIT $3) AS before) AS position,
       NOT EXISTS (SELECT FROM workers
                   WHERE seen_at > now() - make_interval(secs => $4)) AS no_worker,
       (SELECT count(*) = count(max_memory_bytes) AND max(max_memory_bytes) < e.memory_bytes
        FROM workers
        WHERE seen_at > now() - make_interval(secs => $4)) AS too_large,
       (SELECT count(*) FROM executions AS r
        WHERE r.tenant_id = e.tenant_id AND r.status = 'running')
       >= coalesce(t.max_running, $5) AS own_cap,
       EXISTS (SELECT FROM queue AS q WHERE q.tenant_id < e.tenant_id)
       OR EXISTS (SELECT FROM queue AS q WHERE q.tenant_id > e.tenant_id) AS other_tenants
FROM executions AS e
JOIN tenants AS t ON t.id = e.tenant_id
WHERE e.tenant_id = $1 AND e.id = $2 AND e.status = 'queued'
"""


async def select_queue_position(
    conn: Connection,
    tenant: UUID,
    execution_id: UUID,
    *,
    seen_within_seconds: float,
    default_max_running: int | None,
) -> Waiting | None:
    """Find an execution's queue position and why it waits; None if it is no longer queued."""
    row = await conn.fetchrow(
        SELECT_QUEUE_POSITION,
        tenant,
        execution_id,
        MAX_QUEUE_POSITION,
        seen_within_seconds,
        default_max_running,
    )
    if row is None:
        return None
    return Waiting(position=row["position"], reason=_first_reason(dict(row)))


def _first_reason(row: Mapping[str, Any]) -> WaitReason:
    if row["no_worker"]:
        return WaitReason.NO_WORKER
    if row["too_large"]:
        return WaitReason.TOO_LARGE
    if row["own_cap"]:
        return WaitReason.OWN_CAP
    if row["position"] > 1:
        return WaitReason.OWN_QUEUE
    return WaitReason.OTHER_TENANTS if row["other_tenants"] else WaitReason.NEXT
