"""Keep dead letters, and mark them as re-drives try them again."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid

from app.db import Connection
from app.dead_letters.model import (
    FailedAgain,
    NewDeadLetter,
    Reason,
)
from app.dead_letters.pointers import pointer_hashes
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota
from app.quotas.store import lock_stored_bytes, select_stored_bytes
from app.sql_parameters import in_order

# What one statement carries at most; PostgreSQL takes messages of up to 1 GiB.
_STATEMENT_BYTES: Final = 32 << 20

# An event is known by its id and its bytes: a source that is exchanged may number anew.
INSERT_LETTERS = r"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS pipe_id,
           $3::uuid[] AS ids,
           $4::text[] AS event_ids,
           $5::bytea[] AS events,
           $6::text[] AS kinds,
           $7::bytea[] AS errors,
           $8::jsonb AS pointers,
           $9::uuid[] AS schema_ids,
           $10::integer[] AS schema_versions,
           $11::uuid[] AS script_ids,
           $12::integer[] AS script_versions
)
INSERT INTO dead_letters
       (id, tenant_id, pipe_id, event_id, sha256, size_bytes, has_line_feed, event, kind, error,
        pointers, schema_id, schema_version, script_id, script_version)
SELECT u.id, parameters.tenant_id, parameters.pipe_id, u.event_id, sha256(u.event),
       octet_length(u.event), position('\x0a'::bytea IN u.event) > 0, u.event, u.kind, u.error,
       ARRAY(SELECT p::bigint FROM jsonb_array_elements_text(
           parameters.pointers -> (u.place - 1)::integer) AS p),
       u.schema_id, u.schema_version, u.script_id, u.script_version
FROM parameters
CROSS JOIN ROWS FROM (
    unnest(parameters.ids), unnest(parameters.event_ids), unnest(parameters.events),
    unnest(parameters.kinds), unnest(parameters.errors), unnest(parameters.schema_ids),
    unnest(parameters.schema_versions), unnest(parameters.script_ids),
    unnest(parameters.script_versions)
) WITH ORDINALITY AS u (
    id, event_id, event, kind, error, schema_id, schema_version, script_id, script_version, place
)
ON CONFLICT (pipe_id, event_id, sha256) DO NOTHING
RETURNING id
"""


async def insert_dead_letters(
    conn: Connection, tenant: UUID, pipe_id: UUID, letters: Sequence[NewDeadLetter]
) -> int:
    """Keep events that a pipe could not forward; return how many were not kept yet.

    A letter that is there is left as it is: the pipe was killed between its commit and the
    acknowledgement. With a quota it takes the tenant's lock, which a transaction that has freed or
    added bytes before has from `lock_stored_bytes`. Raises QuotaExceeded, after which nothing of it
    is kept.
    """
    if not letters:
        return 0
    async with conn.transaction():
        cap = await lock_stored_bytes(conn, tenant)
        added = 0
        for part in _statements(letters):
            added += await _insert(conn, tenant, pipe_id, part)
        if cap is not None and added:
            used = await select_stored_bytes(conn, tenant)
            if used > cap:
                raise QuotaExceeded(Quota.STORED_BYTES, limit=cap, used=used)
    return added


MARK_MOVED = """
UPDATE dead_letters
SET state = 'moved', moved_at = clock_timestamp(), redrive_id = $3, attempts = attempts + 1
WHERE tenant_id = $1 AND id = ANY ($2) AND state = 'dead'
RETURNING id
"""


async def mark_moved(conn: Connection, tenant: UUID, redrive_id: UUID, ids: Sequence[UUID]) -> int:
    """Mark letters whose events have been forwarded; return how many were dead until now."""
    return len(await conn.fetch(MARK_MOVED, tenant, ids, redrive_id))


MARK_DROPPED = """
UPDATE dead_letters
SET state = 'dropped', dropped_at = clock_timestamp(), redrive_id = $3, attempts = attempts + 1
WHERE tenant_id = $1 AND id = ANY ($2) AND state = 'dead'
RETURNING id
"""


async def mark_dropped(
    conn: Connection, tenant: UUID, redrive_id: UUID, ids: Sequence[UUID]
) -> int:
    """Mark letters that a script wants nothing of; return how many were dead until now."""
    return len(await conn.fetch(MARK_DROPPED, tenant, ids, redrive_id))


# Why the pipe has failed stays.
MARK_FAILED_AGAIN = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS redrive_id,
           $3::uuid[] AS ids,
           $4::text[] AS kinds,
           $5::bytea[] AS errors,
           $6::jsonb AS pointers,
           $7::uuid[] AS schema_ids,
           $8::integer[] AS schema_versions,
           $9::uuid[] AS script_ids,
           $10::integer[] AS script_versions
)
UPDATE dead_letters AS d
SET attempts = d.attempts + 1,
    failed_at = clock_timestamp(),
    redrive_id = parameters.redrive_id,
    last_kind = u.kind,
    last_error = u.error,
    last_pointers = ARRAY(SELECT p::bigint FROM jsonb_array_elements_text(
        parameters.pointers -> (u.place - 1)::integer) AS p),
    last_schema_id = u.schema_id,
    last_schema_version = u.schema_version,
    last_script_id = u.script_id,
    last_script_version = u.script_version
FROM parameters
CROSS JOIN ROWS FROM (
    unnest(parameters.ids), unnest(parameters.kinds), unnest(parameters.errors),
    unnest(parameters.schema_ids), unnest(parameters.schema_versions),
    unnest(parameters.script_ids), unnest(parameters.script_versions)
) WITH ORDINALITY AS u (
    id, kind, error, schema_id, schema_version, script_id, script_version, place
)
WHERE d.tenant_id = parameters.tenant_id AND d.id = u.id AND d.state = 'dead'
RETURNING d.id
"""


async def mark_failed_again(
    conn: Connection, tenant: UUID, redrive_id: UUID, letters: Sequence[FailedAgain]
) -> int:
    """Add the reason of the last attempt to letters; return how many are still dead."""
    values = in_order(
        MARK_FAILED_AGAIN,
        tenant_id=tenant,
        redrive_id=redrive_id,
        ids=[each.id for each in letters],
        **await asyncio.to_thread(_reasons, letters),
    )
    return len(await conn.fetch(MARK_FAILED_AGAIN, *values))


async def _insert(
    conn: Connection, tenant: UUID, pipe_id: UUID, letters: Sequence[NewDeadLetter]
) -> int:
    values = in_order(
        INSERT_LETTERS,
        tenant_id=tenant,
        pipe_id=pipe_id,
        ids=[uuid.uuid7() for _ in letters],
        event_ids=[each.event_id for each in letters],
        events=[each.event for each in letters],
        **await asyncio.to_thread(_reasons, letters),
    )
    return len(await conn.fetch(INSERT_LETTERS, *values))


def _reasons(letters: Sequence[Reason]) -> dict[str, object]:
    schemas = [each.schema or (None, None) for each in letters]
    scripts = [each.script or (None, None) for each in letters]
    return {
        "kinds": [each.kind for each in letters],
        "errors": [each.error for each in letters],
        "pointers": [pointer_hashes(each.error) for each in letters],
        "schema_ids": [each for each, _ in schemas],
        "schema_versions": [each for _, each in schemas],
        "script_ids": [each for each, _ in scripts],
        "script_versions": [each for _, each in scripts],
    }


def _statements(letters: Sequence[NewDeadLetter]) -> Iterator[Sequence[NewDeadLetter]]:
    """Cut letters into what one statement carries."""
    start = size = 0
    for place, letter in enumerate(letters):
        own = len(letter.event) + len(letter.error)
        if place > start and size + own > _STATEMENT_BYTES:
            yield letters[start:place]
            start, size = place, 0
        size += own
    yield letters[start:]
