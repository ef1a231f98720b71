"""Claim parts of runs for the slots of an engine, whichever tenant has them.

The statement serves all tenants at once: their turns are decided in one place.
"""

from collections.abc import Sequence
from uuid import UUID

from app.db import Connection
from app.executions.dispatch.claims import claim_of
from app.executions.model import Claim, SlotUsage
from app.sql_parameters import in_order

# The function is in migrations/sql/claim_parts_v1.sql.
CLAIM_PARTS = """
SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms, c.memory_bytes,
       c.max_output_bytes, c.seed, c.clock_ms, c.created_at, c.source, c.sha256, c.size_bytes,
       c.body, c.blob_key, c.script, c.version, c.labels, c.params, c.request_id, c.run_id,
       i.*
FROM claim_parts_v1(
    worker => $1, most => $2, lease_seconds => $3, default_max_running => $4,
    served => $5, served_seconds => $6, max_memory_bytes => $7
) AS c
CROSS JOIN LATERAL input_of_execution_v2(tenant => c.tenant_id, execution => c.id) AS i
"""


async def claim_parts(
    conn: Connection,
    worker: UUID,
    *,
    limit: int,
    lease_seconds: float,
    default_max_running: int | None = None,
    served: Sequence[SlotUsage] = (),
    max_memory_bytes: int | None = None,
) -> list[Claim]:
    """Claim up to `limit` queued parts of runs, of those whose memory limit is low enough."""
    values = in_order(
        CLAIM_PARTS,
        worker=worker,
        most=limit,
        lease_seconds=lease_seconds,
        default_max_running=default_max_running,
        served=[each.tenant for each in served],
        served_seconds=[each.seconds for each in served],
        max_memory_bytes=max_memory_bytes,
    )
    return [claim_of(row) for row in await conn.fetch(CLAIM_PARTS, *values)]
