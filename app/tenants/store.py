"""Insert, read and update tenants."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
from msgspec.structs import asdict

from app.db import Connection, from_row
from app.quotas.model import Caps
from app.references import id_or_name
from app.sql_parameters import in_order
from app.tenants.model import Tenant, TenantNameTaken

INSERT_TENANT = """
INSERT INTO tenants (id, name, weight, max_queued, max_running, max_stored_bytes,
                     max_bytes_per_day, max_scripts, max_versions, max_requests_per_second)
SELECT $1 AS id, $2 AS name, $3 AS weight, $4 AS max_queued, $5 AS max_running,
       $6 AS max_stored_bytes, $7 AS max_bytes_per_day, $8 AS max_scripts, $9 AS max_versions,
       $10 AS max_requests_per_second
"""


async def insert_tenant(
    conn: Connection, tenant_id: UUID, *, name: str, weight: int, caps: Caps
) -> None:
    """Insert a tenant. Raises TenantNameTaken."""
    values = in_order(INSERT_TENANT, id=tenant_id, name=name, weight=weight, **asdict(caps))
    try:
        await conn.execute(INSERT_TENANT, *values)
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
    row = await conn.fetchrow(SELECT_TENANT, *id_or_name(tenant))
    return None if row is None else _tenant(row)


LOCK_TENANT = SELECT_TENANT + " FOR NO KEY UPDATE"


async def lock_tenant(conn: Connection, tenant: UUID | str) -> Tenant | None:
    """Return a tenant and lock its row until the transaction ends; None if there is none."""
    row = await conn.fetchrow(LOCK_TENANT, *id_or_name(tenant))
    return None if row is None else _tenant(row)


SELECT_NAMES = "SELECT name FROM tenants WHERE name = ANY($1)"


async def select_names(conn: Connection, names: Sequence[str]) -> list[str]:
    """Return those of these names that tenants have."""
    return [row["name"] for row in await conn.fetch(SELECT_NAMES, names)]


SELECT_TENANT_PAGE = _TENANTS + "WHERE id < $1 ORDER BY id DESC LIMIT $2"


async def select_tenant_page(conn: Connection, *, below: UUID, limit: int) -> list[Tenant]:
    """List tenants, newest first."""
    return [_tenant(row) for row in await conn.fetch(SELECT_TENANT_PAGE, below, limit)]


UPDATE_TENANT = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS id,
           $2::integer AS weight,
           $3::integer AS max_queued,
           $4::integer AS max_running,
           $5::bigint AS max_stored_bytes,
           $6::bigint AS max_bytes_per_day,
           $7::integer AS max_scripts,
           $8::integer AS max_versions,
           $9::integer AS max_requests_per_second,
           $10::boolean AS suspended
)
UPDATE tenants AS t
SET weight = parameters.weight,
    max_queued = parameters.max_queued,
    max_running = parameters.max_running,
    max_stored_bytes = parameters.max_stored_bytes,
    max_bytes_per_day = parameters.max_bytes_per_day,
    max_scripts = parameters.max_scripts,
    max_versions = parameters.max_versions,
    max_requests_per_second = parameters.max_requests_per_second,
    suspended_at = CASE WHEN parameters.suspended THEN coalesce(t.suspended_at, now()) END,
    updated_at = now()
FROM parameters
WHERE t.id = parameters.id
"""


async def update_tenant(
    conn: Connection, tenant_id: UUID, *, weight: int, caps: Caps, suspended: bool
) -> None:
    """Update all that can change of a tenant whose row is locked."""
    values = in_order(
        UPDATE_TENANT, id=tenant_id, weight=weight, suspended=suspended, **asdict(caps)
    )
    await conn.execute(UPDATE_TENANT, *values)


def _tenant(row: asyncpg.Record) -> Tenant:
    return msgspec.convert({**row, "caps": from_row(Caps, row)}, Tenant)
