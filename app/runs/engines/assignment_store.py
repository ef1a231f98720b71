"""Read a claimed part by its token, once, and tell which tokens are still valid.

The statements serve all tenants: they name rows by id and fencing token, which a worker knows only
from its own claim.
"""

from collections.abc import Collection
from uuid import UUID

from app.db import Connection
from app.executions.dispatch.claims import claim_of
from app.executions.model import Claim
from app.runs.engines.messages import Assignment

# A scheduler may run a task again whose worker it takes for dead. Two attempts under one token
# would mix what they write, so the first puts its worker's id in place of the claiming one's.
TAKE = """
WITH taken AS (
    UPDATE executions AS e
    SET worker_id = $4
    WHERE e.id = $1 AND e.status = 'running' AND e.lease_token = $2 AND e.worker_id = $3
      AND e.run_id IS NOT NULL
    RETURNING e.*
)
SELECT t.id, t.tenant_id, t.lease_token, t.attempts, t.wall_ms, t.max_cpu_ms, t.memory_bytes,
       t.max_output_bytes, t.seed, t.clock_ms, t.created_at, v.source, i.sha256, i.size_bytes,
       i.body, i.blob_key, s.name AS script, t.version, t.labels, p.body AS params, t.request_id,
       t.run_id, v.io, i.media_type, v.input_schema_id, v.input_schema_version, v.output_schema_id,
       v.output_schema_version
FROM taken AS t
JOIN script_versions AS v ON v.script_id = t.script_id AND v.version = t.version
JOIN scripts AS s ON s.id = t.script_id
JOIN payloads AS i ON i.execution_id = t.id AND i.kind = 'input'
LEFT JOIN payloads AS p ON p.execution_id = t.id AND p.kind = 'params'
"""


async def take(conn: Connection, assignment: Assignment, engine_worker: UUID) -> Claim | None:
    """Return a claimed part to the first that asks under its token; None if it is not valid."""
    row = await conn.fetchrow(
        TAKE, assignment.execution, assignment.token, assignment.worker, engine_worker
    )
    return None if row is None else claim_of(row)


SELECT_VALID = """
SELECT e.lease_token
FROM unnest($1::uuid[], $2::bigint[]) AS claim (id, lease_token)
JOIN executions AS e ON e.id = claim.id AND e.lease_token = claim.lease_token
WHERE e.status = 'running'
"""


async def select_valid(conn: Connection, claims: Collection[tuple[UUID, int]]) -> set[int]:
    """Return the tokens that are still valid, of claims given as (execution, token)."""
    ids, tokens = [each[0] for each in claims], [each[1] for each in claims]
    return {row["lease_token"] for row in await conn.fetch(SELECT_VALID, ids, tokens)}


SELECT_WORKER = """
SELECT true
FROM workers
WHERE id = $1
"""


async def knows_worker(conn: Connection, worker: UUID) -> bool:
    """Report whether a worker is registered in this database."""
    return await conn.fetchval(SELECT_WORKER, worker) is not None
