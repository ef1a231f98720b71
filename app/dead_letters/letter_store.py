"""Read dead letters as clients see them, count them, and erase their events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

from app.db import Connection, from_row
from app.dead_letters.model import DeadLetter, LastFailure, LetterCount, LetterState
from app.payloads.model import StoredPayload


class FoundLetter(Struct, frozen=True, kw_only=True):
    """A dead letter, and its event where that was asked for and is not erased."""

    letter: DeadLetter
    event: bytes | None


_LETTERS = """
SELECT d.id, coalesce(p.name, d.pipe_id::text) AS pipe, d.event_id,
       encode(d.sha256, 'hex') AS sha256, d.size_bytes, d.state, d.kind, d.error, d.attempts,
       d.created_at, d.failed_at, d.redrive_id, d.moved_at, d.dropped_at, d.erased_at,
       coalesce(s.name, d.schema_id::text) || '@' || d.schema_version AS schema,
       coalesce(c.name, d.script_id::text) || '@' || d.script_version AS script,
       d.last_kind, d.last_error,
       coalesce(t.name, d.last_schema_id::text) || '@' || d.last_schema_version AS last_schema,
       coalesce(e.name, d.last_script_id::text) || '@' || d.last_script_version AS last_script,
       CASE WHEN $3 THEN d.event END AS event
FROM dead_letters AS d
LEFT JOIN pipes AS p ON p.tenant_id = d.tenant_id AND p.id = d.pipe_id
LEFT JOIN schemas AS s ON s.tenant_id = d.tenant_id AND s.id = d.schema_id
LEFT JOIN scripts AS c ON c.tenant_id = d.tenant_id AND c.id = d.script_id
LEFT JOIN schemas AS t ON t.tenant_id = d.tenant_id AND t.id = d.last_schema_id
LEFT JOIN scripts AS e ON e.tenant_id = d.tenant_id AND e.id = d.last_script_id
"""

SELECT_LETTERS = _LETTERS + "WHERE d.tenant_id = $1 AND d.id = ANY ($2)"


async def select_letters(
    conn: Connection, tenant: UUID, ids: Sequence[UUID], *, with_events: bool = False
) -> list[FoundLetter]:
    """Read letters in the order of `ids`; those that are deleted by now are left out."""
    rows = await conn.fetch(SELECT_LETTERS, tenant, ids, with_events)
    found = {row["id"]: FoundLetter(letter=_letter(dict(row)), event=row["event"]) for row in rows}
    return [found[each] for each in ids if each in found]


class ErasedEvent(Struct, frozen=True, kw_only=True):
    """An event that is gone, and since when."""

    erased_at: datetime


SELECT_EVENT = """
SELECT sha256, size_bytes, event AS body, erased_at
FROM dead_letters
WHERE tenant_id = $1 AND id = $2
"""


async def select_event(
    conn: Connection, tenant: UUID, letter_id: UUID
) -> StoredPayload | ErasedEvent | None:
    """Read the event of a letter; None: there is no such letter."""
    row = await conn.fetchrow(SELECT_EVENT, tenant, letter_id)
    if row is None:
        return None
    if row["erased_at"] is not None:
        return ErasedEvent(erased_at=row["erased_at"])
    return StoredPayload(
        sha256=row["sha256"], size_bytes=row["size_bytes"], body=row["body"], blob_key=None
    )


SELECT_PIPE_ID = """
SELECT id
FROM pipes
WHERE tenant_id = $1 AND name = $2
"""


async def select_pipe_id(conn: Connection, tenant: UUID, name: str) -> UUID | None:
    """Find a pipe by its name."""
    found: UUID | None = await conn.fetchval(SELECT_PIPE_ID, tenant, name)
    return found


# In the order of ids: two erasures cannot deadlock.
LOCK_KEPT = """
SELECT id
FROM dead_letters
WHERE tenant_id = $1 AND id = ANY ($2) AND state <> 'erased'
ORDER BY id
FOR NO KEY UPDATE
"""

# What an error says can repeat the event.
ERASE_EVENTS = """
UPDATE dead_letters AS d
SET state = 'erased', event = NULL, erased_at = clock_timestamp(), pointers = '{}',
    last_pointers = '{}',
    error = convert_to(
        json_build_object('kind', d.kind, 'message', 'the event is erased')::text, 'UTF8'),
    last_error = CASE WHEN d.last_error IS NOT NULL THEN convert_to(
        json_build_object('kind', d.last_kind, 'message', 'the event is erased')::text, 'UTF8') END
WHERE d.tenant_id = $1 AND d.id = ANY ($2)
"""


async def erase_events(conn: Connection, tenant: UUID, ids: Sequence[UUID]) -> int:
    """Erase the bytes and the reasons of letters; return how many were not erased before.

    In a transaction of the caller.
    """
    kept = [row["id"] for row in await conn.fetch(LOCK_KEPT, tenant, ids)]
    await conn.execute(ERASE_EVENTS, tenant, kept)
    return len(kept)


SELECT_COUNTS = """
SELECT coalesce(p.name, c.pipe_id::text) AS pipe, c.kind, sum(c.dead)::bigint AS dead,
       sum(c.moved)::bigint AS moved, sum(c.dropped)::bigint AS dropped,
       sum(c.erased)::bigint AS erased
FROM dead_letter_counts AS c
LEFT JOIN pipes AS p ON p.tenant_id = c.tenant_id AND p.id = c.pipe_id
WHERE c.tenant_id = $1 AND ($2::uuid IS NULL OR c.pipe_id = $2)
GROUP BY coalesce(p.name, c.pipe_id::text), c.kind
HAVING sum(c.dead + c.moved + c.dropped + c.erased) > 0
ORDER BY coalesce(p.name, c.pipe_id::text) COLLATE "C", c.kind
"""


async def select_counts(conn: Connection, tenant: UUID, pipe_id: UUID | None) -> list[LetterCount]:
    """Count the letters of a pipe, or of all pipes, by kind and state."""
    rows = await conn.fetch(SELECT_COUNTS, tenant, pipe_id)
    return [from_row(LetterCount, row) for row in rows]


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        pipe=row["pipe"],
        event_id=row["event_id"],
        event_sha256=row["sha256"],
        event_bytes=row["size_bytes"],
        event_url=f"/dead-letters/{row['id']}/event",
        state=LetterState(row["state"]),
        kind=row["kind"],
        error=Raw(row["error"]),
        schema=row["schema"] or UNSET,
        script=row["script"] or UNSET,
        last_failure=_last_failure(row),
        attempts=row["attempts"],
        first_failed_at=row["created_at"],
        last_failed_at=row["failed_at"],
        redrive=row["redrive_id"] or UNSET,
        moved_at=row["moved_at"] or UNSET,
        dropped_at=row["dropped_at"] or UNSET,
        erased_at=row["erased_at"] or UNSET,
    )


def _last_failure(row: Mapping[str, Any]) -> LastFailure | UnsetType:
    if row["last_kind"] is None:
        return UNSET
    return LastFailure(
        kind=row["last_kind"],
        error=Raw(row["last_error"]),
        schema=row["last_schema"] or UNSET,
        script=row["last_script"] or UNSET,
    )
