"""Dead letters without a pipe that runs: written to the database as pipes do."""

import json
from collections.abc import Sequence
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Connection, Pool
from app.dead_letters.model import LetterFilter, LetterState, NewDeadLetter
from app.dead_letters.scanning import WINDOW_LETTERS, scan_all
from app.dead_letters.store import insert_dead_letters
from app.redrives import letter_store
from app.redrives.letter_store import MarkedLetter
from app.tenants.model import DEFAULT_TENANT

INSERT_PIPE = """
INSERT INTO pipes (id, tenant_id, name, definition, paused_at)
VALUES ($1, $2, $3, '{"from": {"http": {}}, "to": {"dataset": {"dataset": "x"}}}', now())
"""
# Of a tenant by its name.
INSERT_LETTER = """
INSERT INTO dead_letters
       (id, tenant_id, pipe_id, event_id, kind, error, event, sha256, size_bytes, has_line_feed)
SELECT $1, id, $1, '1', 'timeout', '{"kind":"timeout","message":"late"}', 'secret',
       sha256('secret'), 6, false
FROM tenants WHERE name = $2
"""
COUNTED = """
SELECT coalesce(sum(stored_bytes), 0)::bigint FROM tenant_usage WHERE tenant_id = $1
"""
HELD = """
SELECT coalesce(sum(octet_length(error) + coalesce(octet_length(last_error), 0)
                    + coalesce(octet_length(event), 0)), 0)::bigint
FROM dead_letters WHERE tenant_id = $1
"""


def letter(
    number: int, event: bytes | None = None, *, pointer: str | None = None, kind: str = "timeout"
) -> NewDeadLetter:
    """Make a letter whose event has a number."""
    errors = {} if pointer is None else {"schema_errors": [{"pointer": pointer}]}
    return NewDeadLetter(
        event_id=f"event-{number}",
        event=b'{"number": %d}' % number if event is None else event,
        kind=kind,
        error=json.dumps({"kind": kind, "message": "it failed", **errors}).encode(),
    )


async def insert_pipe(
    conn: Connection, name: str = "orders", tenant: UUID = DEFAULT_TENANT
) -> UUID:
    """Insert a pipe that nothing runs."""
    pipe = uuid.uuid7()
    await conn.execute(INSERT_PIPE, pipe, tenant, name)
    return pipe


async def dead(
    conn: Connection, conditions: LetterFilter, tenant: UUID = DEFAULT_TENANT
) -> list[MarkedLetter]:
    """Find the letters that a re-drive with these conditions would try, oldest first."""
    wanted = replace(conditions, state=LetterState.DEAD)
    windows = [each async for each in scan_all(conn, tenant, wanted, limit=WINDOW_LETTERS)]
    ids = [letter_id for each in windows for letter_id in each.ids]
    return await letter_store.select_letters(conn, tenant, ids)


class Letters:
    """The letters of one pipe."""

    def __init__(self, pool: Pool, pipe: UUID) -> None:
        self.pool = pool
        self.pipe = pipe

    async def insert(self, letters: Sequence[NewDeadLetter]) -> int:
        async with self.pool.acquire() as conn:
            return await insert_dead_letters(conn, DEFAULT_TENANT, self.pipe, letters)

    async def ids(self) -> list[UUID]:
        return [
            row["id"] for row in await self.pool.fetch("SELECT id FROM dead_letters ORDER BY id")
        ]

    async def usage(self, tenant: UUID = DEFAULT_TENANT) -> tuple[int, int]:
        """Return the bytes that are counted, and those that are there."""
        return await self.pool.fetchval(COUNTED, tenant), await self.pool.fetchval(HELD, tenant)

    async def require_counted(self) -> None:
        """Check every counter against the rows."""
        counted, held = await self.usage()
        assert counted == held
        counts = await self.pool.fetch(
            "SELECT pipe_id, kind, sum(dead)::int AS dead, sum(moved)::int AS moved, "
            "sum(dropped)::int AS dropped, sum(erased)::int AS erased FROM dead_letter_counts "
            "GROUP BY pipe_id, kind HAVING sum(dead + moved + dropped + erased) <> 0 ORDER BY 1, 2"
        )
        rows = await self.pool.fetch(
            "SELECT pipe_id, kind, count(*) FILTER (WHERE state = 'dead')::int AS dead, "
            "count(*) FILTER (WHERE state = 'moved')::int AS moved, "
            "count(*) FILTER (WHERE state = 'dropped')::int AS dropped, "
            "count(*) FILTER (WHERE state = 'erased')::int AS erased FROM dead_letters "
            "GROUP BY pipe_id, kind ORDER BY 1, 2"
        )
        assert list(map(dict, counts)) == list(map(dict, rows))
