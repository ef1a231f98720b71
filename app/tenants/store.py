"""Insert, read and update tenants."""

from uuid import UUID

import asyncpg
import msgspec
from msgspec.structs import astuple

from app.db import Connection, from_row
from app.quotas.model import Caps
from app.tenants.model import Tenant, TenantNameTaken

INSERT_TENANT = """
INSERT INTO tenants (id, name, weight, max_queued, max_running, max_stored_bytes,
                     max_bytes_per_day, max_scripts, max_versions, max_requests_per_second)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def insert_tenant(
    conn: Connection, tenant_id: UUID, *, name: str, weight: int, caps: Caps
) -> None:
    """Insert a tenant. Raises TenantNameTaken."""
    try:
        await conn.execute(INSERT_TENANT, tenant_id, name, weight, *astuple(caps))
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "tenants_name_key":
            raise
        raise TenantNameTaken(f"the name {name!r} is taken; choose another") from None


_TENANTS = """
SELECT id, name, weight, max_queued, max_running, max_stored_bytes, max_bytes_per_day,
       max_scripts, max_versions, max_requests_per_second, created_at, updated_at, suspended_at
FROM tenants
"""

SELECT_TENANT = _TENANTS + "WHERE id = $1 OR name = $2"


async def select_tenant(conn: Connection, tenant: UUID | str) -> Tenant | None:
    """Return a tenant by its id or name; None if there is none."""
    row = await conn.fetchrow(SELECT_TENANT, *_id_or_name(tenant))
    return None if row is None else _tenant(row)


LOCK_TENANT = SELECT_TENANT + " FOR NO KEY UPDATE"


async def lock_tenant(conn: Connection, tenant: UUID | str) -> Tenant | None:
    """Return a tenant and lock its row until the transaction ends; None if there is none."""
    row = await conn.fetchrow(LOCK_TENANT, *_id_or_name(tenant))
    return None if row is None else _tenant(row)


SELECT_TENANT_PAGE = _TENANTS + "WHERE id < $1 ORDER BY id DESC LIMIT $2"


async def select_tenant_page(conn: Connection, *, below: UUID, limit: int) -> list[Tenant]:
    """List tenants, newest first."""
    return [_tenant(row) for row in await conn.fetch(SELECT_TENANT_PAGE, below, limit)]


UPDATE_TENANT = """
UPDATE tenants
SET weight = $2, max_queued = $3, max_running = $4, max_stored_bytes = $5,
    max_bytes_per_day = $6, max_scripts = $7, max_versions = $8, max_requests_per_second = $9,
    suspended_at = CASE WHEN $10 THEN coalesce(suspended_at, now()) END,
    updated_at = now()
WHERE id = $1
"""


async def update_tenant(
    conn: Connection, tenant_id: UUID, *, weight: int, caps: Caps, suspended: bool
) -> None:
    """Update all that can change of a tenant whose row is locked."""
    await conn.execute(UPDATE_TENANT, tenant_id, weight, *astuple(caps), suspended)


def _id_or_name(tenant: UUID | str) -> tuple[UUID | None, str | None]:
    return (tenant, None) if isinstance(tenant, UUID) else (None, tenant)


def _tenant(row: asyncpg.Record) -> Tenant:
    return msgspec.convert({**row, "caps": from_row(Caps, row)}, Tenant)
