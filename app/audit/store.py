"""SQL of the audit log, which only grows: the database refuses the rest."""

from collections.abc import Mapping
from uuid import UUID

import uuid_utils.compat as uuid

from app.audit.model import Action, Entry, EntryFilter
from app.db import Connection, from_row
from app.http.access import Caller

INSERT_ENTRY = """
INSERT INTO audit_log
       (id, tenant_id, via, key_id, address, request_id, action, target, details)
VALUES ($1, $2, $3, $4, $5::text::inet, $6, $7, $8, $9)
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
    await conn.execute(
        INSERT_ENTRY,
        uuid.uuid7(),
        tenant or who.tenant,
        who.via,
        who.key_id,
        who.address,
        who.request_id,
        action,
        target,
        dict(details or {}),
    )


# For admins, who see every tenant.
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
    conn: Connection, wanted: EntryFilter, *, below: UUID, limit: int
) -> list[Entry]:
    """List changes, newest first."""
    rows = await conn.fetch(
        SELECT_ENTRY_PAGE,
        below,
        wanted.tenant_id,
        wanted.key_id,
        wanted.action,
        wanted.target,
        wanted.created_from,
        wanted.created_before,
        limit,
    )
    return [from_row(Entry, row) for row in rows]
