"""Read and cancel batches, and read their results."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from msgspec import UNSET, Struct
from msgspec.structs import replace

from app.batches.model import Batch, BatchScript, BatchState, BatchStatus, ItemCounts
from app.db import Connection, from_row
from app.executions.model import Status

# Reads the CTE `parameters`: tenant_id and what the statement's own conditions name. Running items
# are few, and have an index; queued ones are the rest.
_BATCHES = """
SELECT b.id, b.script_id, s.name AS script_name, b.version, b.items, b.succeeded, b.failed,
       b.cancelled, b.input_bytes, b.labels, b.priority, b.created_at, b.cancelled_at,
       b.finished_at, b.callback_url,
       (SELECT count(*) FROM executions AS e
        WHERE e.tenant_id = b.tenant_id AND e.status = 'running' AND e.batch_id = b.id) AS running,
       CASE WHEN b.finished_at IS NULL AND b.last_ended_at > b.first_ended_at
            THEN clock_timestamp() + (b.last_ended_at - b.first_ended_at)
                 * ((b.items - b.succeeded - b.failed - b.cancelled)::float8
                    / greatest(b.succeeded + b.failed + b.cancelled - 1, 1))
       END AS estimated_finish_at
FROM parameters
JOIN batches AS b ON b.tenant_id = parameters.tenant_id
LEFT JOIN scripts AS s ON s.tenant_id = b.tenant_id AND s.id = b.script_id
"""

SELECT_BATCH = f"""
WITH parameters AS NOT MATERIALIZED (SELECT $1::uuid AS tenant_id, $2::uuid AS id)
{_BATCHES}
WHERE b.id = parameters.id
"""


async def select_batch(conn: Connection, tenant: UUID, batch_id: UUID) -> Batch | None:
    """Find one batch."""
    row = await conn.fetchrow(SELECT_BATCH, tenant, batch_id)
    if row is None:
        return None
    return replace(_batch(row), callback_url=row["callback_url"] or UNSET)


SELECT_BATCH_PAGE = f"""
WITH parameters AS NOT MATERIALIZED (SELECT $1::uuid AS tenant_id, $2::uuid AS below)
{_BATCHES}
WHERE b.id < parameters.below
ORDER BY b.id DESC
LIMIT $3
"""


async def select_batch_page(
    conn: Connection, tenant: UUID, *, below: UUID, limit: int
) -> list[Batch]:
    """List batches, newest first."""
    return [_batch(row) for row in await conn.fetch(SELECT_BATCH_PAGE, tenant, below, limit)]


# Across tenants: the ids are those that readers wait for, each found under its own tenant.
SELECT_STATES = """
SELECT id, succeeded + failed + cancelled AS ended, finished_at IS NOT NULL AS final
FROM batches
WHERE id = ANY ($1)
"""


async def select_states(conn: Connection, ids: Sequence[UUID]) -> list[BatchState]:
    """Read the states of several batches."""
    return [from_row(BatchState, row) for row in await conn.fetch(SELECT_STATES, ids)]


# Few at once: a renewal of leases, of whichever tenants, waits for locked rows. They are locked in
# the order of their ids, as outcomes are recorded; the trigger locks the batch afterwards.
CANCEL_ITEMS = """
WITH unfinished AS MATERIALIZED (
    SELECT e.id
    FROM executions AS e
    WHERE e.tenant_id = $1 AND e.batch_id = $2 AND e.status = $3 AND e.batch_line > $4
    ORDER BY e.batch_line
    LIMIT $5
    FOR NO KEY UPDATE
)
UPDATE executions AS e
SET status = 'cancelled',
    finished_at = clock_timestamp(),
    lease_token = -e.lease_token,
    lease_expires_at = NULL
FROM unfinished
WHERE e.tenant_id = $1 AND e.id = unfinished.id AND e.status = $3
RETURNING e.id, e.batch_line
"""


class CancelledItem(Struct, frozen=True, kw_only=True):
    """An item that a cancellation has ended."""

    id: UUID
    batch_line: int


async def cancel_items(
    conn: Connection, tenant: UUID, batch_id: UUID, status: Status, *, above: int, limit: int
) -> list[CancelledItem]:
    """Cancel up to `limit` items that are queued or running, after line `above`.

    Items that change meanwhile are left out: fewer than `limit` may have been found.
    """
    rows = await conn.fetch(CANCEL_ITEMS, tenant, batch_id, status, above, limit)
    return [from_row(CancelledItem, row) for row in rows]


MARK_CANCELLED = """
UPDATE batches
SET cancelled_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2 AND cancelled_at IS NULL AND finished_at IS NULL
RETURNING items - succeeded - failed - cancelled
"""


async def mark_cancelled(conn: Connection, tenant: UUID, batch_id: UUID) -> int | None:
    """Note that a client cancels a batch; return how many items had not finished.

    None: it has finished, or is being cancelled already.
    """
    unfinished: int | None = await conn.fetchval(MARK_CANCELLED, tenant, batch_id)
    return unfinished


# Across tenants: cancellations that a process did not bring to their end.
SELECT_UNCANCELLED = """
SELECT tenant_id, id
FROM batches
WHERE cancelled_at IS NOT NULL AND finished_at IS NULL
ORDER BY id
LIMIT $1
"""


async def select_uncancelled(conn: Connection, limit: int) -> list[tuple[UUID, UUID]]:
    """Find batches that are cancelled and have unfinished items: their tenants and ids."""
    rows = await conn.fetch(SELECT_UNCANCELLED, limit)
    return [(row["tenant_id"], row["id"]) for row in rows]


# A page ends with the row with which it has $5 bytes or more, so memory is bounded, and after $6
# rows. Results in the blob store count nothing: they are read one at a time.
SELECT_RESULTS = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS batch_id,
           $3::integer AS above,
           $4::text[] AS statuses,
           $5::bigint AS max_bytes
)
SELECT line, id, status, error, sha256, size_bytes, body, blob_key, media_type, erased_at
FROM (
    SELECT p.*, sum(p.bytes) OVER (ORDER BY p.line) - p.bytes AS bytes_before
    FROM (
        SELECT parameters.max_bytes, e.batch_line AS line, e.id, e.status, e.error, r.sha256,
               r.size_bytes, CASE WHEN r.media_type IS NULL THEN r.body END AS body, r.blob_key,
               r.media_type, r.erased_at,
               CASE WHEN r.media_type IS NULL THEN coalesce(octet_length(r.body), 0) ELSE 0 END
               + coalesce(octet_length(e.error), 0) AS bytes
        FROM parameters
        JOIN executions AS e ON e.tenant_id = parameters.tenant_id
        LEFT JOIN payloads AS r
               ON r.tenant_id = e.tenant_id AND r.execution_id = e.id AND r.kind = 'result'
        WHERE e.batch_id = parameters.batch_id
          AND e.batch_line > parameters.above
          AND (parameters.statuses IS NULL OR e.status = ANY (parameters.statuses))
        ORDER BY e.batch_line
        LIMIT $6
    ) AS p
) AS page
WHERE bytes_before < max_bytes
ORDER BY line
"""


class ResultRow(Struct, frozen=True, kw_only=True):
    """An item as its line of results shows it."""

    line: int
    id: UUID
    status: str
    error: bytes | None
    sha256: bytes | None
    size_bytes: int | None
    body: bytes | None
    blob_key: str | None
    media_type: str | None
    erased_at: datetime | None


async def select_results(
    conn: Connection,
    tenant: UUID,
    batch_id: UUID,
    *,
    above: int,
    statuses: Sequence[Status] | None,
    max_bytes: int,
    max_rows: int,
) -> list[ResultRow]:
    """Read the results of the items after line `above`, in the order of their lines."""
    rows = await conn.fetch(SELECT_RESULTS, tenant, batch_id, above, statuses, max_bytes, max_rows)
    return [ResultRow(**dict(row)) for row in rows]


def _batch(row: asyncpg.Record) -> Batch:
    ended = row["succeeded"] + row["failed"] + row["cancelled"]
    status = BatchStatus.RUNNING if row["finished_at"] is None else BatchStatus.FINISHED
    if row["finished_at"] is not None and row["cancelled_at"] is not None and row["cancelled"]:
        status = BatchStatus.CANCELLED
    return Batch(
        id=row["id"],
        status=status,
        script=None
        if row["script_id"] is None
        else BatchScript(id=row["script_id"], name=row["script_name"], version=row["version"]),
        items=row["items"],
        counts=ItemCounts(
            queued=max(0, row["items"] - ended - row["running"]),
            running=row["running"],
            succeeded=row["succeeded"],
            failed=row["failed"],
            cancelled=row["cancelled"],
        ),
        progress=round(ended / row["items"], 4) if ended < row["items"] else 1.0,
        input_bytes=row["input_bytes"],
        labels=row["labels"],
        priority=row["priority"],
        results_url=f"/batches/{row['id']}/results",
        created_at=row["created_at"],
        cancelled_at=row["cancelled_at"],
        finished_at=row["finished_at"],
        estimated_finish_at=row["estimated_finish_at"] or UNSET,
    )
