"""Append to the audit log and read it; the database refuses anything else."""

from collections.abc import Mapping
from uuid import UUID

import uuid_utils.compat as uuid

from app.audit.model import Action, Entry, EntryFilter
from app.auth.callers import Caller
from app.db import Connection, from_row

INSERT_ENTRY = """
INSERT INTO audit_log
       (id, tenant_id, via, key_id, address, request_id, action, target, details)
VALUES ($1, $2, $3, $4, $5::text::inet, $6, $7, $8, $9)
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
    await conn.execute(
        INSERT_ENTRY,
        uuid.uuid7(),
        tenant or caller.tenant,
        caller.auth_method,
        caller.key_id,
        caller.address,
        caller.request_id,
        action,
        target,
        dict(details or {}),
    )


# For admins, who see the changes of every tenant.
SELECT_ENTRY_PAGE = """
SELECT id, created_at, tenant_id, via, key_id, host(address) AS address, request_id, action,
       target, details
FROM audit_log
WHERE id < $1
AND ($2::uuid IS NULL OR tenant_id = $2)
AND ($3::uuid IS NULL OR key_id = $3)
AND ($4::text IS NULL OR action = $4)
AND ($5::text IS NULL OR target = $5)
AND ($6::timestamptz IS NULL OR created_at >= $6)
AND ($7::timestamptz IS NULL OR created_at < $7)
ORDER BY id DESC
LIMIT $8
"""


async def select_entry_page(
    conn: Connection, entry_filter: EntryFilter, *, below: UUID, limit: int
) -> list[Entry]:
    """List changes, newest first."""
    rows = await conn.fetch(
        SELECT_ENTRY_PAGE,
        below,
        entry_filter.tenant_id,
        entry_filter.key_id,
        entry_filter.action,
        entry_filter.target,
        entry_filter.created_from,
        entry_filter.created_before,
        limit,
    )
    return [from_row(Entry, row) for row in rows]
