"""Store events that arrive over HTTP until they are forwarded."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row, optional_from_row


class AddressedPipe(Struct, frozen=True, kw_only=True):
    """A pipe that events are sent to, if its source takes any."""

    id: UUID
    takes_events: bool


FIND_ADDRESSED_PIPE = """
SELECT id, definition -> 'from' ? 'http' AS takes_events
FROM pipes
WHERE tenant_id = $1 AND name = $2
"""

# Until the transaction ends the pipe is not deleted and keeps its source; its batches commit.
SHARE_ADDRESSED_PIPE = FIND_ADDRESSED_PIPE + "FOR KEY SHARE"


async def find_addressed_pipe(conn: Connection, tenant: UUID, name: str) -> AddressedPipe | None:
    """Find a pipe by its name, as it is now."""
    return optional_from_row(AddressedPipe, await conn.fetchrow(FIND_ADDRESSED_PIPE, tenant, name))


async def share_addressed_pipe(conn: Connection, tenant: UUID, name: str) -> AddressedPipe | None:
    """Find a pipe by its name, and keep it as it is until the transaction ends."""
    return optional_from_row(AddressedPipe, await conn.fetchrow(SHARE_ADDRESSED_PIPE, tenant, name))


class InboxUse(Struct, frozen=True, kw_only=True):
    """What waits in the inboxes of a tenant's pipes."""

    events: int
    bytes: int


SELECT_INBOX_USE = """
SELECT coalesce(sum(inbox_events), 0)::bigint AS events,
       coalesce(sum(inbox_bytes), 0)::bigint AS bytes
FROM tenant_usage
WHERE tenant_id = $1
"""


async def select_inbox_use(conn: Connection, tenant: UUID) -> InboxUse:
    """Count what waits, without what has not been committed."""
    row = await conn.fetchrow(SELECT_INBOX_USE, tenant)
    assert row is not None  # noqa: S101 - a sum has a row
    return from_row(InboxUse, row)


class NewRow(Struct, frozen=True, kw_only=True):
    """Whole events as one row: one as it is, or several, one a line."""

    events: int
    body: bytes


INSERT_EVENTS = """
INSERT INTO pipe_inbox (tenant_id, pipe_id, events, body, event_id)
SELECT $1::uuid, $2::uuid, r.events, r.body, $5::text
FROM unnest($3::integer[], $4::bytea[]) WITH ORDINALITY AS r (events, body, place)
ORDER BY r.place
RETURNING id
"""


async def insert_events(
    conn: Connection, tenant: UUID, pipe_id: UUID, rows: Sequence[NewRow], event_id: str | None
) -> list[int]:
    """Add rows to an inbox in their order; return their ids. `event_id` is of a single event."""
    counts, bodies = [each.events for each in rows], [each.body for each in rows]
    found = await conn.fetch(INSERT_EVENTS, tenant, pipe_id, counts, bodies, event_id)
    return [row["id"] for row in found]


class InboxRow(Struct, frozen=True, kw_only=True):
    """A row that has not been forwarded whole; of its events, `events_done` have been."""

    id: int
    events: int
    events_done: int
    event_id: str | None
    body: bytes


SELECT_ROWS = """
SELECT r.id, r.events, r.events_done, r.event_id, r.body
FROM (
    SELECT w.*, sum(octet_length(w.body)) OVER (ORDER BY w.id) - octet_length(w.body) AS before
    FROM (
        SELECT *
        FROM pipe_inbox
        WHERE tenant_id = $1 AND pipe_id = $2 AND id <> ALL ($3::bigint[])
        ORDER BY id
        LIMIT $4
    ) AS w
) AS r
WHERE r.before < $5
ORDER BY r.id
"""


async def select_rows(
    conn: Connection,
    tenant: UUID,
    pipe_id: UUID,
    *,
    without: Sequence[int],
    max_rows: int,
    max_bytes: int,
) -> list[InboxRow]:
    """List the oldest rows of an inbox, without some; the last may go beyond `max_bytes`."""
    rows = await conn.fetch(SELECT_ROWS, tenant, pipe_id, without, max_rows, max_bytes)
    return [from_row(InboxRow, row) for row in rows]


DELETE_ROWS = """
DELETE FROM pipe_inbox
WHERE tenant_id = $1 AND pipe_id = $2 AND id = ANY ($3::bigint[])
"""

NOTE_DONE = """
UPDATE pipe_inbox
SET events_done = $4
WHERE tenant_id = $1 AND pipe_id = $2 AND id = $3
"""


async def forget_events(
    conn: Connection,
    tenant: UUID,
    pipe_id: UUID,
    *,
    whole: Sequence[int],
    part: tuple[int, int] | None,
) -> None:
    """Delete rows whose events need no more work, and note how many of another one do not."""
    if whole:
        await conn.execute(DELETE_ROWS, tenant, pipe_id, whole)
    if part is not None:
        await conn.execute(NOTE_DONE, tenant, pipe_id, *part)


# One that a batch has locked is left to the end.
ERASE_INBOX = """
DELETE FROM pipe_inbox
WHERE tenant_id = $1 AND pipe_id = $2 AND id IN (
    SELECT id FROM pipe_inbox
    WHERE tenant_id = $1 AND pipe_id = $2
    ORDER BY id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
RETURNING id
"""


async def erase_inbox(conn: Connection, tenant: UUID, pipe_id: UUID, *, limit: int) -> int:
    """Delete the oldest rows of a pipe's inbox; return how many, `limit` at most."""
    return len(await conn.fetch(ERASE_INBOX, tenant, pipe_id, limit))


class InboxLag(Struct, frozen=True, kw_only=True):
    """What waits in one inbox."""

    events: int
    oldest_seconds: float | None


# Of the rows only the oldest is read: their ids rise with time.
SELECT_INBOX_LAG = """
SELECT (SELECT coalesce(sum(c.events), 0)::bigint
        FROM pipe_inbox_counts AS c
        WHERE c.tenant_id = $1 AND c.pipe_id = $2) AS events,
       (SELECT extract(epoch FROM clock_timestamp() - i.received_at)::double precision
        FROM pipe_inbox AS i
        WHERE i.tenant_id = $1 AND i.pipe_id = $2
        ORDER BY i.id
        LIMIT 1) AS oldest_seconds
"""


async def select_inbox_lag(conn: Connection, tenant: UUID, pipe_id: UUID) -> InboxLag:
    """Return what waits in one inbox."""
    row = await conn.fetchrow(SELECT_INBOX_LAG, tenant, pipe_id)
    assert row is not None  # noqa: S101 - of constants
    return from_row(InboxLag, row)
