"""SQL of the workers' signs of life."""

from uuid import UUID

from app.db import Connection, into
from app.sql_parameters import in_order
from app.workers.model import Worker

SEE_WORKER = """
INSERT INTO workers (id, host, pid, slots, v8_version, lockdown, max_memory_bytes, trouble)
SELECT $1 AS id, $2 AS host, $3 AS pid, $4 AS slots, $5 AS v8_version, $6 AS lockdown,
       $7 AS max_memory_bytes, $8 AS trouble
ON CONFLICT (id) DO UPDATE SET seen_at = now(), trouble = excluded.trouble
"""


async def see_worker(  # noqa: PLR0913 - one parameter a column
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
) -> None:
    """Say that a worker is alive.

    With the highest memory limit that it can keep (None: any), and what keeps it from running
    executions, if anything does.
    """
    values = in_order(
        SEE_WORKER,
        id=worker,
        host=host,
        pid=pid,
        slots=slots,
        v8_version=v8_version,
        lockdown=lockdown,
        max_memory_bytes=max_memory_bytes,
        trouble=trouble,
    )
    await conn.execute(SEE_WORKER, *values)


FORGET_WORKERS = """
DELETE FROM workers
WHERE id = $1 OR seen_at < now() - interval '1 day'
"""


async def forget_worker(conn: Connection, worker: UUID) -> None:
    """Take a worker that stops off the list, and those that nobody has seen for a day."""
    await conn.execute(FORGET_WORKERS, worker)


SELECT_WORKERS = """
SELECT host, pid, slots, v8_version, lockdown, max_memory_bytes, trouble
FROM workers
WHERE seen_at > now() - make_interval(secs => $1)
ORDER BY started_at
"""


async def select_workers(conn: Connection, *, seen_within_seconds: float) -> list[Worker]:
    """List the workers that are alive."""
    rows = await conn.fetch(SELECT_WORKERS, seen_within_seconds)
    return [into(Worker, row) for row in rows]
