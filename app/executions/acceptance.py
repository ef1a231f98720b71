"""SQL that accepts an execution: version, limits, quotas and input in one statement."""

from uuid import UUID

import asyncpg

from app.db import Connection
from app.executions.model import (
    LimitPolicy,
    StoredPayload,
)
from app.http.access import Caps
from app.http.quotas import QuotaExceeded
from app.scripts.model import LimitChoice, ResolvedVersion
from app.scripts.refs import ScriptRef
from app.scripts.store import RESOLVE, reference_columns, resolved
from app.settings import MIN_MEMORY_BYTES
from app.workers.model import SEEN_WITHIN_SECONDS, NoWorkerLargeEnough

# One statement, so one transaction and one round trip: the version that is named now, the execution
# and its input, or neither, and the quota that stands against them. The acceptance time is read
# once; the script's clock is the same moment. CPU time has no default of its own: it is that of
# wall time, which one thread cannot exceed. A version's limit from a time of higher ceilings is
# lowered to today's. A memory limit that no living worker can keep is refused where somebody chose
# it; the default is lowered to what they can. Without workers it is not known, and waits for one.
INSERT_EXECUTION = f"""
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
named AS MATERIALIZED ({RESOLVE}),
workers_now AS MATERIALIZED (
    SELECT CASE WHEN count(*) = count(max_memory_bytes) THEN max(max_memory_bytes) END AS most_bytes
    FROM workers
    WHERE seen_at > now() - make_interval(secs => $28)
),
memory AS MATERIALIZED (
    SELECT least(coalesce($9, named.memory_bytes,
                          greatest(least($12, workers_now.most_bytes), {MIN_MEMORY_BYTES})),
                 $15) AS limit_bytes,
           workers_now.most_bytes
    FROM named, workers_now
),
refusal AS MATERIALIZED (
    SELECT quota, cap, used FROM quota_against_execution($1, $22, $25, $26, $27)
),
accepted AS (
    INSERT INTO executions
           (id, tenant_id, script_id, version, wall_ms, max_cpu_ms, memory_bytes, max_output_bytes,
            labels, seed, priority, traceparent, request_id, created_at, clock_ms)
    SELECT $6, $1, named.script_id, named.version,
           least(coalesce($7, named.wall_ms, $11), $13),
           least(coalesce($8, named.max_cpu_ms, $7, named.wall_ms, $11), $14),
           memory.limit_bytes,
           least(coalesce($10, named.max_output_bytes, $16), $16),
           $17, $18, $19, $20, $30, moment.now, floor(extract(epoch FROM moment.now) * 1000)
    FROM named, moment, memory
    WHERE named.version IS NOT NULL AND named.archived_at IS NULL
      AND NOT EXISTS (SELECT FROM refusal)
      AND (memory.limit_bytes > memory.most_bytes) IS NOT TRUE
    RETURNING id
),
stored AS (
    INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key)
    SELECT id, 'input', $1, $21, $22, $23, $24 FROM accepted
    UNION ALL
    SELECT id, 'params', $1, sha256($29), length($29), $29, NULL FROM accepted WHERE $29 IS NOT NULL
)
SELECT named.script_id, named.version, named.archived_at, refusal.quota, refusal.cap, refusal.used,
       memory.limit_bytes, memory.most_bytes
FROM moment LEFT JOIN named ON true LEFT JOIN refusal ON true LEFT JOIN memory ON true
"""  # noqa: S608 - all are constants


async def insert_execution(  # noqa: PLR0913 - one parameter a column
    conn: Connection,
    tenant: UUID,
    execution_id: UUID,
    *,
    ref: ScriptRef,
    chosen: LimitChoice,
    policy: LimitPolicy,
    seed: int,
    labels: dict[str, str],
    payload: StoredPayload,
    caps: Caps,
    params: bytes | None = None,
    priority: int = 0,
    traceparent: str | None = None,
    request_id: str | None = None,
) -> ResolvedVersion | UUID | None:
    """Accept an execution: it is queued once this returns a version that is not archived.

    Otherwise nothing is, and what is given says why: an archived version, the script's id alone
    when it has no such version, None without the script. Raises QuotaExceeded,
    NoWorkerLargeEnough.
    """
    row = await _fetch_row(
        conn,
        INSERT_EXECUTION,
        tenant,
        *reference_columns(ref),
        execution_id,
        chosen.wall_ms,
        chosen.max_cpu_ms,
        chosen.memory_bytes,
        chosen.max_output_bytes,
        policy.default_wall_ms,
        policy.default_memory_bytes,
        policy.most.wall_ms,
        policy.most.max_cpu_ms,
        policy.most.memory_bytes,
        policy.most.max_output_bytes,
        labels,
        seed,
        priority,
        traceparent,
        payload.sha256,
        payload.size_bytes,
        payload.body,
        payload.blob_key,
        caps.max_queued,
        caps.max_stored_bytes,
        caps.max_bytes_per_day,
        SEEN_WITHIN_SECONDS,
        params,
        request_id,
    )
    assert row is not None  # noqa: S101 - the statement gives one whatever it finds
    found = resolved(row)
    if isinstance(found, ResolvedVersion) and row["quota"] is not None:
        raise QuotaExceeded(row["quota"], limit=row["cap"], used=row["used"])
    limit, most = row["limit_bytes"], row["most_bytes"]
    if isinstance(found, ResolvedVersion) and most is not None and limit > most:
        raise NoWorkerLargeEnough(
            f"the memory limit is {limit} bytes; no living worker can keep more than {most}"
        )
    return found


SELECT_REFUSAL = """
SELECT quota, cap, used
FROM quota_against_execution($1, $2, $3, $4, $5)
"""


async def require_room(conn: Connection, tenant: UUID, *, size_bytes: int, caps: Caps) -> None:
    """Ask whether an input of so many bytes would be accepted now. Raises QuotaExceeded."""
    quotas = (caps.max_queued, caps.max_stored_bytes, caps.max_bytes_per_day)
    refusal = await _fetch_row(conn, SELECT_REFUSAL, tenant, size_bytes, *quotas)
    if refusal is not None:
        raise QuotaExceeded(refusal["quota"], limit=refusal["cap"], used=refusal["used"])


async def _fetch_row(conn: Connection, statement: str, *values: object) -> asyncpg.Record | None:
    while True:
        try:
            return await conn.fetchrow(statement, *values)
        except asyncpg.SerializationError:
            # The tenant came near a quota just then. Nothing was done, and the next time it is
            # counted exactly.
            continue
