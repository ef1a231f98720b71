"""Read what a replay repeats, and store whose replay an execution is."""

from uuid import UUID

from app.db import Connection
from app.executions.model import Replayed, Status
from app.limits import LimitChoice
from app.payloads.model import StoredPayload

# The lock outlives erasure: whoever erases the input waits, and then finds that the replay
# references its blob too.
SELECT_REPLAYED = """
SELECT e.id, e.status, e.run_id, e.script_id, e.version, e.wall_ms, e.max_cpu_ms, e.memory_bytes,
       e.max_output_bytes, e.seed, e.clock_ms, e.labels, e.priority,
       i.erased_at, i.sha256, i.size_bytes, i.body, i.blob_key, i.media_type,
       p.body AS params
FROM executions AS e
JOIN payloads AS i ON i.tenant_id = e.tenant_id AND i.execution_id = e.id AND i.kind = 'input'
LEFT JOIN payloads AS p
       ON p.tenant_id = e.tenant_id AND p.execution_id = e.id AND p.kind = 'params'
WHERE e.tenant_id = $1 AND e.id = $2
FOR SHARE OF i
"""


async def select_replayed(conn: Connection, tenant: UUID, execution_id: UUID) -> Replayed | None:
    """Find an execution and lock its input until the transaction ends; None without one."""
    row = await conn.fetchrow(SELECT_REPLAYED, tenant, execution_id)
    if row is None:
        return None
    return Replayed(
        id=row["id"],
        status=Status(row["status"]),
        run_id=row["run_id"],
        script_id=row["script_id"],
        version=row["version"],
        limits=LimitChoice(
            wall_ms=row["wall_ms"],
            max_cpu_ms=row["max_cpu_ms"],
            memory_bytes=row["memory_bytes"],
            max_output_bytes=row["max_output_bytes"],
        ),
        seed=row["seed"],
        clock_ms=row["clock_ms"],
        labels=row["labels"],
        priority=row["priority"],
        params=row["params"],
        erased_at=row["erased_at"],
        input=StoredPayload(
            sha256=row["sha256"],
            size_bytes=row["size_bytes"],
            body=row["body"],
            blob_key=row["blob_key"],
            media_type=row["media_type"],
        ),
    )


# The original's outcome is copied: it may be deleted before its replay is read.
INSERT_REPLAY = """
INSERT INTO replays (execution_id, tenant_id, replay_of, status, output_sha256, error)
SELECT $2, e.tenant_id, e.id, e.status, r.sha256, e.error
FROM executions AS e
LEFT JOIN payloads AS r
       ON r.tenant_id = e.tenant_id AND r.execution_id = e.id AND r.kind = 'result'
WHERE e.tenant_id = $1 AND e.id = $3
"""


async def insert_replay(
    conn: Connection, tenant: UUID, execution_id: UUID, *, replay_of: UUID
) -> None:
    """Store that an execution is the replay of another, which has finished."""
    await conn.execute(INSERT_REPLAY, tenant, execution_id, replay_of)
