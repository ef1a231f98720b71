"""Accept replays of many executions in one statement, with one version or each with its own."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.db import Connection
from app.limits import LimitPolicy
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.sql_parameters import in_order

# The lock is the one under which acceptances are counted (migrations/sql/
# quota_against_execution_v2.sql), exclusive as for any batch: the count is exact.
LOCK_QUOTAS = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 1))"

SELECT_REFUSAL = """
SELECT q.quota, q.used
FROM quota_against_execution_v2(
    tenant => $1,
    size_bytes => (
        SELECT coalesce(sum(p.size_bytes), 0)::bigint
        FROM unnest($2::uuid[]) AS u (id)
        JOIN payloads AS p ON p.tenant_id = $1 AND p.execution_id = u.id AND p.kind = 'input'
    ),
    max_queued => $3, max_stored_bytes => $4, max_bytes_per_day => $5
) AS q
"""

# Input and params are copied as they are; a blob is shared, and kept as long as a row names it.
# Limits of a time of higher ceilings are lowered, as for a single replay.
INSERT_REPLAYS = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid[] AS ids,
           $3::uuid[] AS originals,
           $4::uuid AS script_id,
           $5::integer[] AS versions,
           $6::smallint AS priority,
           $7::text AS request_id,
           $8::integer AS ceiling_wall_ms,
           $9::integer AS ceiling_cpu_ms,
           $10::bigint AS ceiling_memory_bytes,
           $11::bigint AS ceiling_output_bytes
),
item AS MATERIALIZED (
    SELECT parameters.tenant_id, u.id, u.original, u.version
    FROM parameters,
         unnest(parameters.ids, parameters.originals, parameters.versions)
         AS u (id, original, version)
),
accepted AS (
    INSERT INTO executions
           (id, tenant_id, script_id, version, wall_ms, max_cpu_ms, memory_bytes, max_output_bytes,
            labels, seed, clock_ms, priority, request_id, created_at)
    SELECT item.id, e.tenant_id, parameters.script_id, item.version,
           least(e.wall_ms, parameters.ceiling_wall_ms),
           least(e.max_cpu_ms, parameters.ceiling_cpu_ms),
           least(e.memory_bytes, parameters.ceiling_memory_bytes),
           least(e.max_output_bytes, parameters.ceiling_output_bytes),
           e.labels, e.seed, e.clock_ms, parameters.priority, parameters.request_id,
           statement_timestamp()
    FROM parameters
    JOIN item ON item.tenant_id = parameters.tenant_id
    JOIN executions AS e ON e.tenant_id = item.tenant_id AND e.id = item.original
    ORDER BY item.id
),
stored AS (
    INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key)
    SELECT item.id, p.kind, p.tenant_id, p.sha256, p.size_bytes, p.body, p.blob_key
    FROM parameters
    JOIN item ON item.tenant_id = parameters.tenant_id
    JOIN payloads AS p
      ON p.tenant_id = item.tenant_id AND p.execution_id = item.original
     AND p.kind IN ('input', 'params') AND p.erased_at IS NULL
)
INSERT INTO replays (execution_id, tenant_id, replay_of, status, output_sha256, error)
SELECT item.id, e.tenant_id, e.id, e.status, r.sha256, e.error
FROM parameters
JOIN item ON item.tenant_id = parameters.tenant_id
JOIN executions AS e ON e.tenant_id = item.tenant_id AND e.id = item.original
LEFT JOIN payloads AS r
       ON r.tenant_id = e.tenant_id AND r.execution_id = e.id AND r.kind = 'result'
"""


class WantedReplay(Struct, frozen=True):
    """An execution to be accepted: its id, the execution that it repeats, and its version."""

    id: UUID
    original: UUID
    version: int


async def insert_replays(
    conn: Connection,
    tenant: UUID,
    wanted: Sequence[WantedReplay],
    *,
    script_id: UUID,
    priority: int,
    request_id: str,
    policy: LimitPolicy,
    caps: Caps,
) -> None:
    """Accept replays of finished executions of a tenant, all or none, in a transaction.

    The caller has locked the inputs, which are not erased. Raises QuotaExceeded.
    """
    await _require_room(conn, tenant, [each.original for each in wanted], caps)
    values = in_order(
        INSERT_REPLAYS,
        tenant_id=tenant,
        ids=[each.id for each in wanted],
        originals=[each.original for each in wanted],
        script_id=script_id,
        versions=[each.version for each in wanted],
        priority=priority,
        request_id=request_id,
        ceiling_wall_ms=policy.ceilings.wall_ms,
        ceiling_cpu_ms=policy.ceilings.max_cpu_ms,
        ceiling_memory_bytes=policy.ceilings.memory_bytes,
        ceiling_output_bytes=policy.ceilings.max_output_bytes,
    )
    await conn.execute(INSERT_REPLAYS, *values)


async def _require_room(
    conn: Connection, tenant: UUID, originals: Sequence[UUID], caps: Caps
) -> None:
    quotas = caps.max_queued, caps.max_stored_bytes, caps.max_bytes_per_day
    if quotas == (None, None, None):
        return
    await conn.execute(LOCK_QUOTAS, tenant)
    others = len(originals) - 1
    max_queued = None if caps.max_queued is None else caps.max_queued - others
    refusal = await conn.fetchrow(SELECT_REFUSAL, tenant, originals, max_queued, *quotas[1:])
    if refusal is None:
        return
    limits = {"queued": quotas[0], "stored-bytes": quotas[1], "bytes-per-day": quotas[2]}
    limit = limits[refusal["quota"]]
    assert limit is not None  # noqa: S101 - only a quota with a limit refuses
    raise QuotaExceeded(refusal["quota"], limit=limit, used=refusal["used"])
