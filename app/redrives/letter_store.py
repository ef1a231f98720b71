"""Mark dead letters for a re-drive, and find those that it has not tried."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.redrives.store import IS_OPEN

_IS_FREE = f"""
d.state = 'dead' AND NOT EXISTS (
    SELECT FROM redrives AS o
    WHERE o.tenant_id = d.tenant_id AND o.id = d.redrive_id AND d.retried_at IS NULL
      AND {IS_OPEN}
)
"""

# Letters are locked in the order of their ids, as by erasures: two cannot wait for each other.
LOCK_FREE = f"""
SELECT d.id
FROM dead_letters AS d
WHERE d.tenant_id = $1 AND d.id = ANY ($2) AND {_IS_FREE}
ORDER BY d.id
FOR NO KEY UPDATE OF d
"""  # noqa: S608 - put together from constants

MARK_LETTERS = """
UPDATE dead_letters
SET redrive_id = $3, retried_at = NULL
WHERE tenant_id = $1 AND id = ANY ($2)
"""


async def mark_letters(
    conn: Connection, tenant: UUID, redrive_id: UUID, ids: Sequence[UUID]
) -> int:
    """Mark those that are free as a re-drive's own, under `lock_redrives`; return how many."""
    free = [row["id"] for row in await conn.fetch(LOCK_FREE, tenant, ids)]
    await conn.execute(MARK_LETTERS, tenant, free, redrive_id)
    return len(free)


SELECT_FREE = f"""
SELECT d.id
FROM dead_letters AS d
WHERE d.tenant_id = $1 AND d.id = ANY ($2) AND {_IS_FREE}
ORDER BY d.id
"""  # noqa: S608 - put together from constants


async def select_free(conn: Connection, tenant: UUID, ids: Sequence[UUID]) -> list[UUID]:
    """Return those that can be tried again, oldest first."""
    return [row["id"] for row in await conn.fetch(SELECT_FREE, tenant, ids)]


class MarkedLetter(Struct, frozen=True, kw_only=True):
    """A letter that a re-drive has marked; `event` None: it has been erased since."""

    id: UUID
    event_id: str
    event: bytes | None
    created_at: datetime


SELECT_LETTERS = """
SELECT id, event_id, event, created_at
FROM dead_letters
WHERE tenant_id = $1 AND id = ANY ($2)
ORDER BY id
"""


async def select_letters(conn: Connection, tenant: UUID, ids: Sequence[UUID]) -> list[MarkedLetter]:
    """Read letters with their events, oldest first."""
    rows = await conn.fetch(SELECT_LETTERS, tenant, ids)
    return [from_row(MarkedLetter, row) for row in rows]


# Two letters of one event, which came with other bytes the second time, go in two batches.
SELECT_MARKED = """
WITH marked AS (
    SELECT id, event_id, size_bytes
    FROM dead_letters
    WHERE tenant_id = $1 AND redrive_id = $2 AND retried_at IS NULL
    ORDER BY id
    LIMIT $3
),
measured AS (
    SELECT id, sum(size_bytes) OVER (ORDER BY id) - size_bytes AS bytes_before,
           row_number() OVER (PARTITION BY event_id ORDER BY id) AS occurrence
    FROM marked
)
SELECT d.id, d.event_id, d.event, d.created_at
FROM measured AS m
JOIN dead_letters AS d ON d.id = m.id
WHERE d.tenant_id = $1 AND m.bytes_before < $4 AND m.occurrence = 1
ORDER BY d.id
"""


async def select_marked(
    conn: Connection, tenant: UUID, redrive_id: UUID, *, limit: int, max_bytes: int
) -> list[MarkedLetter]:
    """Return letters that a re-drive has not tried, oldest first, each event once."""
    rows = await conn.fetch(SELECT_MARKED, tenant, redrive_id, limit, max_bytes)
    return [from_row(MarkedLetter, row) for row in rows]


LOCK_UNTRIED = """
SELECT id
FROM dead_letters
WHERE tenant_id = $1 AND redrive_id = $2 AND id = ANY ($3) AND retried_at IS NULL
ORDER BY id
FOR NO KEY UPDATE
"""

MARK_RETRIED = """
UPDATE dead_letters
SET retried_at = clock_timestamp()
WHERE tenant_id = $1 AND id = ANY ($2)
"""


async def mark_retried(
    conn: Connection, tenant: UUID, redrive_id: UUID, ids: Sequence[UUID]
) -> set[UUID]:
    """Mark letters as tried; return those that were still the re-drive's and untried.

    Their rows are locked from here on.
    """
    untried = [row["id"] for row in await conn.fetch(LOCK_UNTRIED, tenant, redrive_id, ids)]
    await conn.execute(MARK_RETRIED, tenant, untried)
    return set(untried)
