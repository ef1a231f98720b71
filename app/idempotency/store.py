"""Store idempotency keys in the transaction that creates a resource."""

from typing import Final
from uuid import UUID

import asyncpg

from app.db import Connection
from app.idempotency.model import (
    IdempotencyKey,
    IdempotencyKeyReused,
    Repeated,
    RequestInProgress,
    RequestKey,
)
from app.metrics import REPEATED_REQUESTS

# The function is in migrations/sql/find_idempotency_key_v1.sql. It holds a lock on the key until
# the transaction ends, so the statement that follows conflicts with an expired row only.
FIND_KEY: Final = """
SELECT in_progress, fingerprint, resource
FROM find_idempotency_key_v1(tenant => $1, wanted_key => $2)
"""

INSERT_KEY: Final = """
INSERT INTO idempotency_keys AS k (tenant_id, key, fingerprint, resource, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(hours => $5))
ON CONFLICT (tenant_id, key)
DO UPDATE SET fingerprint = excluded.fingerprint,
              resource = excluded.resource,
              expires_at = excluded.expires_at
WHERE k.tenant_id = excluded.tenant_id
"""


async def require_new(conn: Connection, tenant: UUID, key: IdempotencyKey | None) -> None:
    """Check that no request with this key has created anything, before any other check.

    The key stays locked until the transaction ends. Without a key, nothing is done. Raises
    Repeated, IdempotencyKeyReused, RequestInProgress.
    """
    if key is None:
        return
    found = await conn.fetchrow(FIND_KEY, tenant, key.text)
    if found is not None:
        raise refusal(key, found)


SELECT_KNOWN: Final = """
SELECT EXISTS (
    SELECT
    FROM idempotency_keys AS k
    WHERE k.tenant_id = $1 AND k.key = $2 AND k.expires_at > clock_timestamp()
)
"""


async def is_known(conn: Connection, tenant: UUID, key: RequestKey) -> bool:
    """Return whether a request with this key has created something; nothing is locked."""
    return bool(await conn.fetchval(SELECT_KNOWN, tenant, key.text))


async def remember(
    conn: Connection, tenant: UUID, key: IdempotencyKey | None, resource: str, *, hours: int
) -> None:
    """Store what the running transaction has created under its key; without a key, do nothing."""
    if key is not None:
        await conn.execute(INSERT_KEY, tenant, key.text, key.fingerprint, resource, hours)


def refusal(key: IdempotencyKey, found: asyncpg.Record) -> Exception:
    """Return why a request creates nothing, from a row of `find_idempotency_key_v1`."""
    if found["in_progress"]:
        REPEATED_REQUESTS.labels("in_progress").inc()
        return RequestInProgress()
    if found["fingerprint"] != key.fingerprint:
        REPEATED_REQUESTS.labels("reused").inc()
        return IdempotencyKeyReused()
    REPEATED_REQUESTS.labels("repeated").inc()
    return Repeated(found["resource"])


# Across tenants: time alone decides.
# Materialized: a join could read the subquery once for each row, and its limit would mean nothing.
DELETE_EXPIRED: Final = """
WITH expired AS MATERIALIZED (
    SELECT tenant_id, key
    FROM idempotency_keys
    WHERE expires_at < now()
    ORDER BY expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_keys AS k
USING expired
WHERE k.tenant_id = expired.tenant_id AND k.key = expired.key
"""


async def delete_expired(conn: Connection, limit: int) -> int:
    """Delete up to `limit` expired keys; return their number."""
    status = await conn.execute(DELETE_EXPIRED, limit)
    return int(status.rpartition(" ")[2])
