"""Find dead letters by a filter in windows: bounded work a statement, whatever the conditions.

Each condition can match millions of letters, and all together none: no set of indexes bounds that.
So a statement reads a limited number of letters in the order of their ids, and says where the next
one goes on.
"""

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.db import Connection
from app.dead_letters.model import LetterFilter, LetterState
from app.dead_letters.pointers import pointer_hash
from app.pagination import FIRST, ids_between
from app.sql_parameters import in_order

# Letters that a statement reads at most: some 20 ms of work.
WINDOW_LETTERS: Final = 10_000

# Before every id, for a scan of the oldest first.
OLDEST: Final = UUID(int=0)

_PARAMETERS = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS pipe_id,
           $3::text AS kind,
           $4::text AS state,
           $5::uuid AS schema_id,
           $6::integer AS schema_version,
           $7::uuid AS script_id,
           $8::integer AS script_version,
           $9::timestamptz AS created_from,
           $10::timestamptz AS created_before,
           $11::bigint AS pointer,
           $12::boolean AS kept_only,
           $13::boolean AS has_line_feed,
           $14::uuid AS above,
           $15::uuid AS below,
           $16::integer AS window_letters,
           $17::integer AS max_matches
),
scanned AS MATERIALIZED (
    SELECT d.id, d.kind, d.state, d.size_bytes, d.schema_id, d.schema_version, d.script_id,
           d.script_version, d.created_at, d.pointers, d.has_line_feed,
           d.last_kind, d.last_pointers, d.last_schema_id, d.last_schema_version,
           d.last_script_id, d.last_script_version
    FROM parameters
    JOIN dead_letters AS d ON d.tenant_id = parameters.tenant_id
"""

_OF_TENANT = """
    WHERE d.id > parameters.above AND d.id < parameters.below
"""
# Without an equation, so that only the index that begins with the pipe gives the order: that of the
# tenant would, too, and pass over the letters of all other pipes.
_OF_PIPE = """
    WHERE (d.pipe_id, d.id) > (parameters.pipe_id, parameters.above)
      AND (d.pipe_id, d.id) < (parameters.pipe_id, parameters.below)
"""
# As the condition of the index says it.
_DEAD = "      AND d.state = 'dead'\n"


def _failure(prefix: str) -> str:
    """Return the conditions on one failure; all of them, or the letter has failed in other ways."""
    return f"""
          (parameters.kind IS NULL OR s.{prefix}kind = parameters.kind)
          AND (parameters.schema_id IS NULL OR s.{prefix}schema_id = parameters.schema_id)
          AND (parameters.schema_version IS NULL
               OR s.{prefix}schema_version = parameters.schema_version)
          AND (parameters.script_id IS NULL OR s.{prefix}script_id = parameters.script_id)
          AND (parameters.script_version IS NULL
               OR s.{prefix}script_version = parameters.script_version)
          AND (parameters.pointer IS NULL OR parameters.pointer = ANY (s.{prefix}pointers))
    """.strip("\n")


_MATCHES = f"""
    LIMIT (SELECT window_letters FROM parameters)
),
matching AS (
    SELECT s.id, s.size_bytes
    FROM parameters, scanned AS s
    WHERE (parameters.state IS NULL OR s.state = parameters.state)
      AND (
{_failure("")}
        OR (
{_failure("last_")}
        )
      )
      AND (parameters.created_from IS NULL OR s.created_at >= parameters.created_from)
      AND (parameters.created_before IS NULL OR s.created_at < parameters.created_before)
      AND (NOT parameters.kept_only OR s.state <> 'erased')
      AND (parameters.has_line_feed IS NULL OR s.has_line_feed = parameters.has_line_feed)
"""  # noqa: S608 - put together from constants

_OLDEST_OF_TENANT = "    ORDER BY d.id"
_OLDEST_OF_PIPE = "    ORDER BY d.pipe_id, d.id"
_OLDEST = """
    ORDER BY s.id
    LIMIT (SELECT max_matches FROM parameters)
)
SELECT ARRAY(SELECT id FROM matching ORDER BY id) AS ids,
       ARRAY(SELECT size_bytes FROM matching ORDER BY id) AS sizes,
       (SELECT count(*) FROM scanned) AS letters,
       (SELECT id FROM scanned ORDER BY id DESC LIMIT 1) AS last
"""

_NEWEST_OF_TENANT = "    ORDER BY d.id DESC"
_NEWEST_OF_PIPE = "    ORDER BY d.pipe_id DESC, d.id DESC"
_NEWEST = """
    ORDER BY s.id DESC
    LIMIT (SELECT max_matches FROM parameters)
)
SELECT ARRAY(SELECT id FROM matching ORDER BY id DESC) AS ids,
       ARRAY(SELECT size_bytes FROM matching ORDER BY id DESC) AS sizes,
       (SELECT count(*) FROM scanned) AS letters,
       (SELECT id FROM scanned ORDER BY id LIMIT 1) AS last
"""

SCAN_OLDEST = _PARAMETERS + _OF_TENANT + _OLDEST_OF_TENANT + _MATCHES + _OLDEST
SCAN_OLDEST_DEAD = _PARAMETERS + _OF_TENANT + _DEAD + _OLDEST_OF_TENANT + _MATCHES + _OLDEST
SCAN_OLDEST_OF_PIPE = _PARAMETERS + _OF_PIPE + _OLDEST_OF_PIPE + _MATCHES + _OLDEST
SCAN_OLDEST_DEAD_OF_PIPE = _PARAMETERS + _OF_PIPE + _DEAD + _OLDEST_OF_PIPE + _MATCHES + _OLDEST
SCAN_NEWEST = _PARAMETERS + _OF_TENANT + _NEWEST_OF_TENANT + _MATCHES + _NEWEST
SCAN_NEWEST_DEAD = _PARAMETERS + _OF_TENANT + _DEAD + _NEWEST_OF_TENANT + _MATCHES + _NEWEST
SCAN_NEWEST_OF_PIPE = _PARAMETERS + _OF_PIPE + _NEWEST_OF_PIPE + _MATCHES + _NEWEST
SCAN_NEWEST_DEAD_OF_PIPE = _PARAMETERS + _OF_PIPE + _DEAD + _NEWEST_OF_PIPE + _MATCHES + _NEWEST

# By: newest first, of a pipe, dead only.
_SCANS: Final = {
    (False, False, False): SCAN_OLDEST,
    (False, True, False): SCAN_OLDEST_OF_PIPE,
    (False, False, True): SCAN_OLDEST_DEAD,
    (False, True, True): SCAN_OLDEST_DEAD_OF_PIPE,
    (True, False, False): SCAN_NEWEST,
    (True, True, False): SCAN_NEWEST_OF_PIPE,
    (True, False, True): SCAN_NEWEST_DEAD,
    (True, True, True): SCAN_NEWEST_DEAD_OF_PIPE,
}


class Window(Struct, frozen=True, kw_only=True):
    """Matching letters in their order, with the sizes of their events in bytes.

    The next window starts after `next_position`; None: there are no more letters.
    """

    ids: list[UUID]
    sizes: list[int]
    next_position: UUID | None


async def scan_window(
    conn: Connection,
    tenant: UUID,
    wanted: LetterFilter,
    *,
    position: UUID,
    limit: int,
    newest_first: bool = False,
    window_letters: int = WINDOW_LETTERS,
) -> Window:
    """Find up to `limit` letters after a position, none or few of which may match."""
    schema_id, schema_version = wanted.schema or (None, None)
    script_id, script_version = wanted.script or (None, None)
    above, below = _bounds(wanted, position, newest_first=newest_first)
    statement = _SCANS[newest_first, wanted.pipe_id is not None, wanted.state is LetterState.DEAD]
    values = in_order(
        statement,
        tenant_id=tenant,
        pipe_id=wanted.pipe_id,
        kind=wanted.kind,
        state=wanted.state,
        schema_id=schema_id,
        schema_version=schema_version,
        script_id=script_id,
        script_version=script_version,
        created_from=wanted.created_from,
        created_before=wanted.created_before,
        pointer=None if wanted.pointer is None else pointer_hash(wanted.pointer),
        kept_only=wanted.kept_only,
        has_line_feed=wanted.has_line_feed,
        above=above,
        below=below,
        window_letters=window_letters,
        max_matches=limit,
    )
    row = await conn.fetchrow(statement, *values)
    assert row is not None  # noqa: S101 - an aggregate has a row
    ids = list(row["ids"])
    if len(ids) == limit:
        following = ids[-1]
    else:
        following = row["last"] if row["letters"] == window_letters else None
    return Window(ids=ids, sizes=list(row["sizes"]), next_position=following)


async def scan_all(
    conn: Connection, tenant: UUID, wanted: LetterFilter, *, after: UUID = OLDEST, limit: int
) -> AsyncIterator[Window]:
    """Yield all windows, the oldest letters first."""
    position: UUID | None = after
    while position is not None:
        window = await scan_window(conn, tenant, wanted, position=position, limit=limit)
        yield window
        position = window.next_position


def _bounds(wanted: LetterFilter, position: UUID, *, newest_first: bool) -> tuple[UUID, UUID]:
    """Return the ids between which the window is, without both."""
    first, last = ids_between(wanted.created_from, wanted.created_before)
    above, below = UUID(int=max(first.int - 1, OLDEST.int)), UUID(int=min(last.int + 1, FIRST.int))
    return (above, min(below, position)) if newest_first else (max(above, position), below)
