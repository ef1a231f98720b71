"""Store pipes: their definitions, and what is known of how they are doing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from app.db import Connection, from_row
from app.pipes.model import EventCounts, EventRates, LoadedPipe, Pipe, PipeLag, PipeState, PutPipe
from app.pipes.problems import RowsLocked

# Activity is kept in slots of ten seconds.
_RATE_SECONDS = 60

# A turn to commit is held meanwhile, and a connection.
LIMIT_LOCK_WAITS = "SELECT set_config('lock_timeout', '1s', true)"


@asynccontextmanager
async def brief_transaction(conn: Connection) -> AsyncIterator[None]:
    """Begin a transaction that waits for no lock longer than a second. Raises RowsLocked."""
    async with conn.transaction():
        await conn.execute(LIMIT_LOCK_WAITS)
        try:
            yield
        except asyncpg.LockNotAvailableError:
            # Not at the commit: there, who takes part may have counted on it.
            raise RowsLocked from None


INSERT_PIPE = """
INSERT INTO pipes (id, tenant_id, name, definition)
VALUES ($1, $2, $3, $4)
"""


async def insert_pipe(
    conn: Connection, tenant: UUID, pipe_id: UUID, name: str, definition: PutPipe
) -> None:
    """Add a pipe whose name is free, as nobody else can take it under `lock_additions`."""
    await conn.execute(INSERT_PIPE, pipe_id, tenant, name, definition)


class FoundPipe(Struct, frozen=True, kw_only=True):
    """What changes to a pipe need."""

    id: UUID
    definition: PutPipe


FIND_PIPE = """
SELECT id, definition
FROM pipes
WHERE tenant_id = $1 AND name = $2
"""

# Waits for the requests that add events, and for a batch that commits.
LOCK_PIPE = FIND_PIPE + "FOR UPDATE"


async def find_pipe(conn: Connection, tenant: UUID, name: str) -> FoundPipe | None:
    """Find a pipe by its name, as it is now."""
    return _found(await conn.fetchrow(FIND_PIPE, tenant, name))


async def lock_pipe(conn: Connection, tenant: UUID, name: str) -> FoundPipe | None:
    """Lock a pipe's row until the transaction ends: no event is added to it, no batch commits."""
    return _found(await conn.fetchrow(LOCK_PIPE, tenant, name))


UPDATE_PIPE = """
UPDATE pipes
SET definition = $3,
    revision = revision + 1,
    source_revision = CASE WHEN $4 THEN revision + 1 ELSE source_revision END,
    position = CASE WHEN $4 THEN NULL ELSE position END,
    lag_events = CASE WHEN $4 THEN NULL ELSE lag_events END,
    oldest_at = CASE WHEN $4 THEN NULL ELSE oldest_at END,
    trouble = NULL,
    trouble_since = NULL,
    updated_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2
"""


async def update_pipe(
    conn: Connection, tenant: UUID, pipe_id: UUID, definition: PutPipe, *, other_source: bool
) -> None:
    """Change a definition; another source is read from its beginning."""
    await conn.execute(UPDATE_PIPE, tenant, pipe_id, definition, other_source)


PAUSE_PIPE = """
UPDATE pipes
SET paused_at = CASE WHEN $3 THEN clock_timestamp() END, revision = revision + 1,
    trouble = NULL, trouble_since = NULL, updated_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2 AND (paused_at IS NOT NULL) <> $3
RETURNING id
"""


async def set_paused(conn: Connection, tenant: UUID, pipe_id: UUID, *, paused: bool) -> bool:
    """Pause or resume a pipe; return whether that has changed anything."""
    return await conn.fetchval(PAUSE_PIPE, tenant, pipe_id, paused) is not None


# By its counters the lag of an inbox is exact, also while no worker looks at the pipe.
_PIPES = """
SELECT p.id, p.name, p.revision, p.definition, p.paused_at, p.trouble, p.trouble_since,
       p.events_in, p.events_forwarded, p.events_refused, p.last_event_at, p.created_at,
       p.updated_at,
       CASE WHEN p.definition -> 'from' ? 'http' THEN i.events ELSE p.lag_events END AS lag_events,
       extract(epoch FROM clock_timestamp() - CASE WHEN p.definition -> 'from' ? 'http'
               THEN i.oldest_at ELSE p.oldest_at END)::double precision AS oldest_seconds,
       a.events_in AS recent_in, a.forwarded AS recent_forwarded, a.refused AS recent_refused,
       (SELECT coalesce(sum(d.dead), 0)::bigint FROM dead_letter_counts AS d
        WHERE d.tenant_id = p.tenant_id AND d.pipe_id = p.id) AS dead_letters
FROM pipes AS p
CROSS JOIN LATERAL (
    SELECT (SELECT coalesce(sum(n.events), 0)::bigint
            FROM pipe_inbox_counts AS n
            WHERE n.tenant_id = p.tenant_id AND n.pipe_id = p.id) AS events,
           (SELECT b.received_at
            FROM pipe_inbox AS b
            WHERE b.tenant_id = p.tenant_id AND b.pipe_id = p.id
            ORDER BY b.id
            LIMIT 1) AS oldest_at
) AS i
CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.events_in), 0) AS events_in, coalesce(sum(c.forwarded), 0) AS forwarded,
           coalesce(sum(c.refused), 0) AS refused
    FROM pipe_activity AS c
    WHERE c.tenant_id = p.tenant_id AND c.pipe_id = p.id
      AND c.slot > now() - interval '60 seconds'
) AS a
WHERE p.tenant_id = $1
"""

SELECT_PIPE = _PIPES + "AND p.name = $2"


async def select_pipe(conn: Connection, tenant: UUID, name: str) -> Pipe | None:
    """Find a pipe by its name."""
    row = await conn.fetchrow(SELECT_PIPE, tenant, name)
    return None if row is None else _pipe(row)


SELECT_PIPE_PAGE = _PIPES + "AND p.id < $2 ORDER BY p.id DESC LIMIT $3"


async def select_pipe_page(
    conn: Connection, tenant: UUID, *, below: UUID, limit: int
) -> list[Pipe]:
    """List pipes, newest first."""
    return [_pipe(row) for row in await conn.fetch(SELECT_PIPE_PAGE, tenant, below, limit)]


_LOADED = """
SELECT p.id, p.tenant_id, p.name, p.revision, p.source_revision, p.definition, p.position,
       t.name AS tenant, t.weight
FROM pipes AS p
JOIN tenants AS t ON t.id = p.tenant_id
"""

LOAD_PIPE = _LOADED + "WHERE p.tenant_id = $1 AND p.id = $2"

# Nothing if the lease is lost, or the pipe is to rest.
LOAD_HELD = f"""{_LOADED}
WHERE p.tenant_id = $1 AND p.id = $2 AND p.lease_token = $3
  AND p.paused_at IS NULL AND t.suspended_at IS NULL
"""


async def load_pipe(conn: Connection, tenant: UUID, pipe_id: UUID) -> LoadedPipe | None:
    """Read a pipe to work on."""
    row = await conn.fetchrow(LOAD_PIPE, tenant, pipe_id)
    return None if row is None else loaded(row)


SELECT_OTHER_DEFINITIONS = """
SELECT name, definition
FROM pipes
WHERE tenant_id = $1 AND name <> $2
"""


async def select_other_definitions(conn: Connection, tenant: UUID, name: str) -> dict[str, PutPipe]:
    """Return the definitions of a tenant's pipes, by name, without that of one."""
    rows = await conn.fetch(SELECT_OTHER_DEFINITIONS, tenant, name)
    return {row["name"]: msgspec.convert(row["definition"], PutPipe) for row in rows}


class Leftovers(Struct, frozen=True, kw_only=True):
    """What would be lost with a pipe."""

    inbox: bool
    dead_letters: bool


# By counters: an EXISTS may read all that others have, to find nothing.
SELECT_LEFTOVERS = """
SELECT (SELECT coalesce(sum(n.events), 0) > 0
        FROM pipe_inbox_counts AS n
        WHERE n.tenant_id = $1 AND n.pipe_id = $2) AS inbox,
       (SELECT coalesce(sum(d.dead), 0) > 0
        FROM dead_letter_counts AS d
        WHERE d.tenant_id = $1 AND d.pipe_id = $2) AS dead_letters
"""


async def select_leftovers(conn: Connection, tenant: UUID, pipe_id: UUID) -> Leftovers:
    """Return what a pipe still has."""
    row = await conn.fetchrow(SELECT_LEFTOVERS, tenant, pipe_id)
    assert row is not None  # noqa: S101 - of constants
    return from_row(Leftovers, row)


# One that a re-drive has locked is left to the end.
ERASE_LETTERS = """
DELETE FROM dead_letters
WHERE tenant_id = $1 AND pipe_id = $2 AND id IN (
    SELECT id FROM dead_letters
    WHERE tenant_id = $1 AND pipe_id = $2
    ORDER BY id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
RETURNING id
"""


async def erase_letters(conn: Connection, tenant: UUID, pipe_id: UUID, *, limit: int) -> int:
    """Delete the oldest letters of a pipe; return how many, `limit` at most."""
    return len(await conn.fetch(ERASE_LETTERS, tenant, pipe_id, limit))


DELETE_INBOX = "DELETE FROM pipe_inbox WHERE tenant_id = $1 AND pipe_id = $2"
# In the order of their ids, as re-drives lock them.
DELETE_LETTERS = """
DELETE FROM dead_letters
WHERE tenant_id = $1 AND pipe_id = $2 AND id IN (
    SELECT id FROM dead_letters
    WHERE tenant_id = $1 AND pipe_id = $2
    ORDER BY id
    FOR UPDATE
)
"""
DELETE_INBOX_COUNTS = "DELETE FROM pipe_inbox_counts WHERE tenant_id = $1 AND pipe_id = $2"
DELETE_PIPE = "DELETE FROM pipes WHERE tenant_id = $1 AND id = $2"


async def delete_pipe(conn: Connection, tenant: UUID, pipe_id: UUID, *, erase: bool) -> None:
    """Delete a pipe; `erase`: with what is left of it. Without, letters that were moved stay."""
    erasures = (DELETE_LETTERS, DELETE_INBOX) if erase else ()
    for statement in (*erasures, DELETE_INBOX_COUNTS, DELETE_PIPE):
        await conn.execute(statement, tenant, pipe_id)


COUNT_PIPES = "SELECT count(*) FROM pipes WHERE tenant_id = $1"

# Changes of a tenant's pipes take turns, so that counts are exact and no two close a ring.
LOCK_ADDITIONS = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 5))"


async def lock_additions(conn: Connection, tenant: UUID) -> None:
    """Wait until no other transaction adds or changes a pipe of the tenant by a definition."""
    await conn.execute(LOCK_ADDITIONS, tenant)


async def count_pipes(conn: Connection, tenant: UUID) -> int:
    """Count a tenant's pipes."""
    count: int = await conn.fetchval(COUNT_PIPES, tenant)
    return count


def loaded(row: asyncpg.Record) -> LoadedPipe:
    """Read the columns of a pipe to work on."""
    position = row["position"]
    return LoadedPipe(
        id=row["id"],
        tenant_id=row["tenant_id"],
        tenant=row["tenant"],
        name=row["name"],
        revision=row["revision"],
        source_revision=row["source_revision"],
        definition=_read(row["definition"]),
        position=None if position is None else msgspec.json.encode(position),
        weight=row["weight"],
    )


def _found(row: asyncpg.Record | None) -> FoundPipe | None:
    return None if row is None else FoundPipe(id=row["id"], definition=_read(row["definition"]))


def _read(definition: object) -> PutPipe:
    return msgspec.convert(definition, PutPipe)


def _pipe(row: asyncpg.Record) -> Pipe:
    definition = _read(row["definition"])
    state = PipeState.RUNNING
    if row["paused_at"] is not None:
        state = PipeState.PAUSED
    elif row["trouble"] is not None:
        state = PipeState.TROUBLED
    return Pipe(
        id=row["id"],
        name=row["name"],
        revision=row["revision"],
        source=definition.source,
        schema=definition.schema,
        script=definition.script,
        sink=definition.sink,
        batch=definition.batch,
        state=state,
        trouble=row["trouble"],
        trouble_since=row["trouble_since"],
        lag=PipeLag(
            events=row["lag_events"],
            oldest_seconds=None
            if row["oldest_seconds"] is None
            else max(0.0, row["oldest_seconds"]),
        ),
        counts=EventCounts(
            received=row["events_in"],
            forwarded=row["events_forwarded"],
            refused=row["events_refused"],
        ),
        rates=EventRates(
            received=round(float(row["recent_in"]) / _RATE_SECONDS, 3),
            forwarded=round(float(row["recent_forwarded"]) / _RATE_SECONDS, 3),
            refused=round(float(row["recent_refused"]) / _RATE_SECONDS, 3),
        ),
        dead_letters=row["dead_letters"],
        last_event_at=row["last_event_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
