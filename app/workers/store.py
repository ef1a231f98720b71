"""Record the heartbeats of workers, and list the workers that are alive."""

from uuid import UUID

from app.db import Connection, from_row
from app.sql_parameters import in_order
from app.workers.model import EngineState, Worker

RECORD_HEARTBEAT = """
INSERT INTO workers
       (id, host, pid, slots, v8_version, lockdown, max_memory_bytes, trouble, engine)
SELECT $1 AS id, $2 AS host, $3 AS pid, $4 AS slots, $5 AS v8_version, $6 AS lockdown,
       $7 AS max_memory_bytes, $8 AS trouble, $9 AS engine
ON CONFLICT (id) DO UPDATE
SET seen_at = now(), trouble = excluded.trouble, engine = excluded.engine
"""


async def record_heartbeat(  # noqa: PLR0913 - one parameter a column
    conn: Connection,
    worker: UUID,
    *,
    host: str,
    pid: int,
    slots: int,
    v8_version: str,
    lockdown: dict[str, str],
    max_memory_bytes: int | None,
    trouble: str | None = None,
    engine: EngineState | None = None,
) -> None:
    """Register a worker, or renew its heartbeat.

    `max_memory_bytes` is the highest memory limit that it can enforce (None: any); `trouble` is
    what keeps it from running executions, if anything does; `engine` runs parts of runs for it.
    """
    values = in_order(
        RECORD_HEARTBEAT,
        id=worker,
        host=host,
        pid=pid,
        slots=slots,
        v8_version=v8_version,
        lockdown=lockdown,
        max_memory_bytes=max_memory_bytes,
        trouble=trouble,
        engine=engine,
    )
    await conn.execute(RECORD_HEARTBEAT, *values)


DELETE_WORKERS = """
DELETE FROM workers
WHERE id = $1 OR seen_at < now() - interval '1 day'
"""


async def delete_worker(conn: Connection, worker: UUID) -> None:
    """Delete a worker that stops, and those without a heartbeat for a day."""
    await conn.execute(DELETE_WORKERS, worker)


SELECT_WORKERS = """
SELECT host, pid, slots, v8_version, lockdown, max_memory_bytes, trouble, engine
FROM workers
WHERE seen_at > now() - make_interval(secs => $1)
ORDER BY started_at
"""


async def select_workers(conn: Connection, *, seen_within_seconds: float) -> list[Worker]:
    """List the workers with a recent heartbeat, oldest first."""
    rows = await conn.fetch(SELECT_WORKERS, seen_within_seconds)
    return [from_row(Worker, row) for row in rows]
