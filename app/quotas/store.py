"""Read the quotas of tenants where no caller brings them along, and the bytes that count."""

from uuid import UUID

from app.db import Connection

# What the trigger of results goes by, too: migrations/sql/hold_quota_of_bytes.sql.
SELECT_STORED_BYTES_CAP = """
SELECT coalesce(
           t.max_stored_bytes,
           nullif(current_setting('crivo.default_max_stored_bytes', true), '')::bigint
       )
FROM tenants AS t
WHERE t.id = $1
"""


async def select_stored_bytes_cap(conn: Connection, tenant: UUID) -> int | None:
    """Return a tenant's quota of stored bytes, its own or the default; None: it has none."""
    cap: int | None = await conn.fetchval(SELECT_STORED_BYTES_CAP, tenant)
    return cap


# The lock of quota_against_execution_v2: whoever adds bytes counts those of the others.
LOCK_STORED_BYTES = """
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 1))
"""


async def lock_stored_bytes(conn: Connection, tenant: UUID) -> int | None:
    """Let others of the tenant add no bytes until the transaction ends; return its quota of bytes.

    None: it has none, and others are not kept off. Rows of datasets and letters are locked before,
    and bytes are freed and added after.
    """
    cap = await select_stored_bytes_cap(conn, tenant)
    if cap is not None:
        await conn.execute(LOCK_STORED_BYTES, tenant)
    return cap


SELECT_STORED_BYTES = """
SELECT coalesce(sum(stored_bytes), 0)::bigint
FROM tenant_usage
WHERE tenant_id = $1
"""


async def select_stored_bytes(conn: Connection, tenant: UUID) -> int:
    """Return the bytes that a tenant has stored, with those of this transaction."""
    stored_bytes: int = await conn.fetchval(SELECT_STORED_BYTES, tenant)
    return stored_bytes
