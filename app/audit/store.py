"""SQL of the audit log, which only grows: the database refuses the rest."""

from collections.abc import Mapping
from uuid import UUID

import uuid_utils.compat as uuid

from app.audit.model import Action, Entry, EntryFilter
from app.db import Connection, into
from app.http.access import Caller
from app.sql_parameters import in_order

INSERT_ENTRY = """
INSERT INTO audit_log
       (id, tenant_id, via, key_id, address, request_id, action, target, details)
SELECT $1 AS id, $2 AS tenant_id, $3 AS via, $4 AS key_id, $5::text::inet AS address,
       $6 AS request_id, $7 AS action, $8 AS target, $9 AS details
"""


async def record(
    conn: Connection,
    who: Caller,
    action: Action,
    target: str,
    *,
    tenant: UUID | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Write a change down, in the transaction that makes it; `tenant` is whose thing changed.

    It is the caller's own unless it is named. `details` name what changed: ids, names, numbers.
    """
    values = in_order(
        INSERT_ENTRY,
        id=uuid.uuid7(),
        tenant_id=tenant or who.tenant,
        via=who.via,
        key_id=who.key_id,
        address=who.address,
        request_id=who.request_id,
        action=action,
        target=target,
        details=dict(details or {}),
    )
    await conn.execute(INSERT_ENTRY, *values)


# For admins, who see every tenant.
SELECT_ENTRY_PAGE = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS below,
           $2::uuid AS tenant_id,
           $3::uuid AS key_id,
           $4::text AS action,
           $5::text AS target,
           $6::timestamptz AS created_from,
           $7::timestamptz AS created_before
)
SELECT a.id, a.created_at, a.tenant_id, a.via, a.key_id, host(a.address) AS address, a.request_id,
       a.action, a.target, a.details
FROM parameters, audit_log AS a
WHERE a.id < parameters.below
AND (parameters.tenant_id IS NULL OR a.tenant_id = parameters.tenant_id)
AND (parameters.key_id IS NULL OR a.key_id = parameters.key_id)
AND (parameters.action IS NULL OR a.action = parameters.action)
AND (parameters.target IS NULL OR a.target = parameters.target)
AND (parameters.created_from IS NULL OR a.created_at >= parameters.created_from)
AND (parameters.created_before IS NULL OR a.created_at < parameters.created_before)
ORDER BY a.id DESC
LIMIT $8
"""


async def select_entry_page(
    conn: Connection, wanted: EntryFilter, *, below: UUID, limit: int
) -> list[Entry]:
    """List changes, newest first."""
    values = in_order(
        SELECT_ENTRY_PAGE,
        below=below,
        tenant_id=wanted.tenant_id,
        key_id=wanted.key_id,
        action=wanted.action,
        target=wanted.target,
        created_from=wanted.created_from,
        created_before=wanted.created_before,
        limit=limit,
    )
    rows = await conn.fetch(SELECT_ENTRY_PAGE, *values)
    return [into(Entry, row) for row in rows]
