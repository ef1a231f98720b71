"""Append to the audit log and read it; the database refuses anything else."""

from collections.abc import Mapping
from uuid import UUID

import uuid_utils.compat as uuid

from app.audit.model import Action, Entry, EntryFilter
from app.auth.callers import Caller
from app.db import Connection, from_row
from app.sql_parameters import in_order

INSERT_ENTRY = """
INSERT INTO audit_log
       (id, tenant_id, via, key_id, address, request_id, action, target, details)
SELECT $1 AS id, $2 AS tenant_id, $3 AS via, $4 AS key_id, $5::text::inet AS address,
       $6 AS request_id, $7 AS action, $8 AS target, $9 AS details
"""


async def log_action(
    conn: Connection,
    caller: Caller,
    action: Action,
    target: str,
    *,
    tenant: UUID | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Log a change in the transaction that makes it.

    `tenant` owns the changed resource; by default it is the caller's own. `details` hold ids,
    names and numbers.
    """
    values = in_order(
        INSERT_ENTRY,
        id=uuid.uuid7(),
        tenant_id=tenant or caller.tenant,
        via=caller.auth_method,
        key_id=caller.key_id,
        address=caller.address,
        request_id=caller.request_id,
        action=action,
        target=target,
        details=dict(details or {}),
    )
    await conn.execute(INSERT_ENTRY, *values)


# For admins, who see the changes of every tenant.
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
    conn: Connection, entry_filter: EntryFilter, *, below: UUID, limit: int
) -> list[Entry]:
    """List changes, newest first."""
    values = in_order(
        SELECT_ENTRY_PAGE,
        below=below,
        tenant_id=entry_filter.tenant_id,
        key_id=entry_filter.key_id,
        action=entry_filter.action,
        target=entry_filter.target,
        created_from=entry_filter.created_from,
        created_before=entry_filter.created_before,
        limit=limit,
    )
    rows = await conn.fetch(SELECT_ENTRY_PAGE, *values)
    return [from_row(Entry, row) for row in rows]
