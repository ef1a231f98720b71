"""Find the recorded executions that a filter matches."""

from typing import Any
from uuid import UUID

from app.db import Connection
from app.executions.store import id_range
from app.replays.model import Conditions, Matching
from app.sql_parameters import in_order

_MATCHING = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS first_id,
           $3::uuid AS last_id,
           $4::uuid AS script_id,
           $5::integer AS version,
           $6::text AS status,
           $7::text AS error_kind,
           $8::jsonb AS labels,
           $9::timestamptz AS created_from,
           $10::timestamptz AS created_before
),
matching AS NOT MATERIALIZED (
    SELECT e.tenant_id, e.id, i.erased_at IS NOT NULL AS is_erased
    FROM parameters
    JOIN executions AS e ON e.tenant_id = parameters.tenant_id
    JOIN payloads AS i ON i.tenant_id = e.tenant_id AND i.execution_id = e.id AND i.kind = 'input'
    WHERE e.finished_at IS NOT NULL AND e.run_id IS NULL
      AND e.id >= parameters.first_id AND e.id <= parameters.last_id
      AND (parameters.script_id IS NULL OR e.script_id = parameters.script_id)
      AND (parameters.version IS NULL OR e.version = parameters.version)
      AND (parameters.status IS NULL OR e.status = parameters.status)
      AND (parameters.error_kind IS NULL OR e.error_kind = parameters.error_kind)
      AND e.labels @> parameters.labels
      AND (parameters.created_from IS NULL OR e.created_at >= parameters.created_from)
      AND (parameters.created_before IS NULL OR e.created_at < parameters.created_before)
      AND NOT EXISTS (
          SELECT FROM replays AS r WHERE r.tenant_id = e.tenant_id AND r.execution_id = e.id
      )
)
"""

COUNT_MATCHING = (
    _MATCHING
    + """
SELECT count(*) AS matching, count(*) FILTER (WHERE is_erased) AS erased
FROM matching
"""
)


async def count_matching(conn: Connection, tenant: UUID, conditions: Conditions) -> Matching:
    """Count what a filter matches."""
    row = await conn.fetchrow(COUNT_MATCHING, *_values(COUNT_MATCHING, tenant, conditions))
    assert row is not None  # noqa: S101 - counts have a row
    return Matching(**dict(row))


SELECT_SAMPLES = (
    _MATCHING
    + """
SELECT id
FROM matching
WHERE NOT is_erased
ORDER BY id DESC
LIMIT $11
"""
)


async def select_samples(
    conn: Connection, tenant: UUID, conditions: Conditions, *, limit: int
) -> list[UUID]:
    """Return the newest executions that can be replayed."""
    values = _values(SELECT_SAMPLES, tenant, conditions, limit=limit)
    return [row["id"] for row in await conn.fetch(SELECT_SAMPLES, *values)]


# In the order in which retention locks. An input that is erased meanwhile counts as erased.
LOCK_MATCHING = (
    _MATCHING
    + """
SELECT p.execution_id AS id, p.erased_at IS NOT NULL AS is_erased,
       coalesce(octet_length(p.body), 0) AS copied_bytes
FROM matching
JOIN payloads AS p
  ON p.tenant_id = matching.tenant_id AND p.execution_id = matching.id AND p.kind = 'input'
ORDER BY p.execution_id
LIMIT $11
FOR SHARE OF p
"""
)


async def lock_matching(
    conn: Connection, tenant: UUID, conditions: Conditions, *, limit: int, timeout_seconds: float
) -> tuple[list[UUID], int, int]:
    """Find up to `limit` matching executions and lock their inputs until the transaction ends.

    Returns those that have their input, oldest first, the number of the others, and the bytes of
    inputs that are not in the blob store, which replays share.
    """
    values = _values(LOCK_MATCHING, tenant, conditions, limit=limit)
    rows = await conn.fetch(LOCK_MATCHING, *values, timeout=timeout_seconds)
    kept = [row["id"] for row in rows if not row["is_erased"]]
    return kept, len(rows) - len(kept), sum(row["copied_bytes"] for row in rows)


def _values(statement: str, tenant: UUID, conditions: Conditions, **more: int) -> list[Any]:
    first_id, last_id = id_range(conditions)
    return in_order(
        statement,
        tenant_id=tenant,
        first_id=first_id,
        last_id=last_id,
        script_id=conditions.script_id,
        version=conditions.version,
        status=conditions.status,
        error_kind=conditions.error_kind,
        labels=conditions.labels,
        created_from=conditions.created_from,
        created_before=conditions.created_before,
        **more,
    )
