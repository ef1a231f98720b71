"""SQL of API keys."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from app.auth.model import ALL_SCOPES, Scope
from app.db import Connection, from_row, optional_from_row
from app.keys.model import Key, KeyIdTaken, ParsedKey, StoredKey
from app.quotas.model import Caps

INSERT_KEY = """
INSERT INTO api_keys (id, tenant_id, name, secret_sha256, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""


async def insert_key(
    conn: Connection,
    tenant: UUID,
    key: ParsedKey,
    *,
    name: str,
    scopes: list[Scope],
    expires_at: datetime | None,
) -> None:
    """Insert a key. Raises KeyIdTaken, which only a key from a setting can cause."""
    try:
        await conn.execute(INSERT_KEY, key.id, tenant, name, key.secret_sha256, scopes, expires_at)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "api_keys_pkey":
            raise
        raise KeyIdTaken(f"a key {key.id} exists already") from None


_KEYS = """
SELECT id, tenant_id, name, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
"""

# For admins, who manage the keys of every tenant; so are the next two.
SELECT_KEY = _KEYS + "WHERE id = $1"


async def select_key(conn: Connection, key_id: UUID) -> Key | None:
    """Return a key; None if there is none."""
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
    """List keys by id, newest first; of one tenant, or of all."""
    return [from_row(Key, row) for row in await conn.fetch(SELECT_KEY_PAGE, below, tenant, limit)]


REVOKE_KEY = """
UPDATE api_keys
SET revoked_at = now()
WHERE id = $1 AND revoked_at IS NULL
RETURNING id
"""


async def revoke_key(conn: Connection, key_id: UUID) -> bool:
    """Revoke a key; return whether it was valid before."""
    return await conn.fetchval(REVOKE_KEY, key_id) is not None


# Without a tenant: it is the caller's own key, which has been verified.
LOCK_KEY = """
SELECT revoked_at IS NULL
FROM api_keys
WHERE id = $1
FOR SHARE
"""


async def lock_unrevoked_key(conn: Connection, key_id: UUID) -> bool:
    """Keep a key from being revoked until the transaction ends; False if it is revoked."""
    return bool(await conn.fetchval(LOCK_KEY, key_id))


_TENANT_COLUMNS = """
SELECT t.suspended_at IS NOT NULL AS suspended, t.weight, t.max_queued, t.max_running,
       t.max_stored_bytes, t.max_bytes_per_day, t.max_scripts, t.max_versions,
       t.max_requests_per_second
"""

# Without a tenant: the key determines it.
SELECT_STORED_KEY = (
    _TENANT_COLUMNS
    + """
       , k.id, k.tenant_id, k.secret_sha256, k.scopes, k.expires_at, k.revoked_at
FROM api_keys AS k
JOIN tenants AS t ON t.id = k.tenant_id
WHERE k.id = $1
"""
)


async def select_stored_key(conn: Connection, key_id: UUID) -> StoredKey | None:
    """Return the stored part of a key, with the scopes that are known; None if there is none."""
    row = await conn.fetchrow(SELECT_STORED_KEY, key_id)
    if row is None:
        return None
    scopes = [each for each in row["scopes"] if each in ALL_SCOPES]
    return msgspec.convert({**row, "scopes": scopes, "caps": from_row(Caps, row)}, StoredKey)


SELECT_TENANT_ACCESS = _TENANT_COLUMNS + "FROM tenants AS t WHERE t.id = $1"


async def select_tenant_access(conn: Connection, tenant: UUID) -> tuple[bool, int, Caps]:
    """Return whether an existing tenant is suspended, its weight and its caps."""
    row = await conn.fetchrow(SELECT_TENANT_ACCESS, tenant)
    assert row is not None  # noqa: S101 - tenants are never deleted
    return row["suspended"], row["weight"], from_row(Caps, row)


SELECT_KEYS_STATE = """
SELECT coalesce((SELECT generation FROM access_generation), 0) AS generation,
       EXISTS (SELECT FROM api_keys) AS any_key
"""


class KeysState(Struct, frozen=True, kw_only=True):
    """A counter of changes to keys and tenants, and whether any key was ever created."""

    generation: int
    any_key: bool


async def select_keys_state(conn: Connection) -> KeysState:
    """Return the counter of changes, which tells whether cached keys are current."""
    row = await conn.fetchrow(SELECT_KEYS_STATE)
    assert row is not None  # noqa: S101 - a SELECT without FROM returns one row
    return from_row(KeysState, row)


# Rows that another process is updating are skipped: its time is as recent, and two processes that
# wait for each other's rows would deadlock.
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
    """Store when keys were last used."""
    await conn.execute(TOUCH_KEYS, list(used), list(used.values()))
