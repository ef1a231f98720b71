"""SQL of API keys."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from app.db import Connection, from_row, optional_from_row
from app.http.access import Caps, Scope
from app.keys.model import Key, KeyIdTaken, Presented, StoredKey

INSERT_KEY = """
INSERT INTO api_keys (id, tenant_id, name, secret_sha256, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""


async def insert_key(
    conn: Connection,
    tenant: UUID,
    key: Presented,
    *,
    name: str,
    scopes: list[Scope],
    expires_at: datetime | None,
) -> None:
    """Add a key. Raises KeyIdTaken, which can meet only a key that was made elsewhere."""
    try:
        await conn.execute(INSERT_KEY, key.id, tenant, name, key.secret_sha256, scopes, expires_at)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "api_keys_pkey":
            raise
        raise KeyIdTaken(f"there is a key {key.id} already") from None


_KEYS = """
SELECT id, tenant_id, name, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
"""

# For admins, who see every tenant; so are the next two.
SELECT_KEY = _KEYS + "WHERE id = $1"


async def select_key(conn: Connection, key_id: UUID) -> Key | None:
    """Find a key."""
    return optional_from_row(Key, await conn.fetchrow(SELECT_KEY, key_id))


SELECT_KEY_PAGE = (
    _KEYS
    + """
WHERE id < $1 AND ($2::uuid IS NULL OR tenant_id = $2)
ORDER BY id DESC
LIMIT $3
"""
)


async def select_key_page(
    conn: Connection, tenant: UUID | None, *, below: UUID, limit: int
) -> list[Key]:
    """List keys by their ids, the newest first; of every tenant, or of one."""
    return [from_row(Key, row) for row in await conn.fetch(SELECT_KEY_PAGE, below, tenant, limit)]


REVOKE_KEY = """
UPDATE api_keys
SET revoked_at = now()
WHERE id = $1 AND revoked_at IS NULL
RETURNING id
"""


async def revoke_key(conn: Connection, key_id: UUID) -> bool:
    """Take a key back; say whether it was not before."""
    return await conn.fetchval(REVOKE_KEY, key_id) is not None


# Of every tenant: it is the caller's own key, as the guard has verified it.
HOLD_KEY = """
SELECT revoked_at IS NULL
FROM api_keys
WHERE id = $1
FOR SHARE
"""


async def hold_key(conn: Connection, key_id: UUID) -> bool:
    """Keep a key from being revoked until the transaction ends; False where it is already."""
    return bool(await conn.fetchval(HOLD_KEY, key_id))


_HOLDERS = """
SELECT t.suspended_at IS NOT NULL AS suspended, t.weight, t.max_queued, t.max_running,
       t.max_stored_bytes, t.max_bytes_per_day, t.max_scripts, t.max_versions,
       t.max_requests_per_second
"""

# Whose key it is, is what this finds out.
SELECT_STORED_KEY = (
    _HOLDERS
    + """
       , k.id, k.tenant_id, k.secret_sha256, k.scopes, k.expires_at, k.revoked_at
FROM api_keys AS k
JOIN tenants AS t ON t.id = k.tenant_id
WHERE k.id = $1
"""
)


async def select_stored_key(conn: Connection, key_id: UUID) -> StoredKey | None:
    """Find what a key is verified by."""
    row = await conn.fetchrow(SELECT_STORED_KEY, key_id)
    return None if row is None else msgspec.convert({**row, "caps": from_row(Caps, row)}, StoredKey)


SELECT_HOLDER = _HOLDERS + "FROM tenants AS t WHERE t.id = $1"


async def select_holder(conn: Connection, tenant: UUID) -> tuple[bool, int, Caps]:
    """Say whether a tenant, which exists, is suspended, its share, and what it may take."""
    row = await conn.fetchrow(SELECT_HOLDER, tenant)
    assert row is not None  # noqa: S101 - tenants are never removed
    return row["suspended"], row["weight"], from_row(Caps, row)


SELECT_STATE = """
SELECT coalesce((SELECT generation FROM access_generation), 0) AS generation,
       EXISTS (SELECT FROM api_keys) AS any_key
"""


class State(Struct, frozen=True, kw_only=True):
    """How often keys and tenants have changed, and whether there was ever a key."""

    generation: int
    any_key: bool


async def select_state(conn: Connection) -> State:
    """See whether anything has changed."""
    row = await conn.fetchrow(SELECT_STATE)
    assert row is not None  # noqa: S101 - a SELECT without FROM gives its row
    return from_row(State, row)


# Rows that another process is writing at the moment are left to it: its time is as new, and
# two that wait for each other's rows would never end.
TOUCH_KEYS = """
WITH used AS (
    SELECT k.id, u.at
    FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at)
    JOIN api_keys AS k ON k.id = u.id
    WHERE k.last_used_at IS NULL OR k.last_used_at < u.at
    FOR UPDATE OF k SKIP LOCKED
)
UPDATE api_keys AS k
SET last_used_at = used.at
FROM used
WHERE k.id = used.id
"""


async def touch_keys(conn: Connection, used: Mapping[UUID, datetime]) -> None:
    """Write down when keys were used last."""
    await conn.execute(TOUCH_KEYS, list(used), list(used.values()))
