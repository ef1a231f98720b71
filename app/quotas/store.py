"""Read the caps of tenants where no caller brings them along."""

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
