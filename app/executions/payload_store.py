"""Select and erase the payloads of one execution."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.executions.model import PayloadKind, Status
from app.payloads.model import StoredPayload

# Every execution has an input row. All payloads are erased together, so its `erased_at` stands for
# them all.
SELECT_PAYLOAD = """
SELECT e.status, i.erased_at, p.sha256, p.size_bytes, p.body, p.blob_key, p.media_type
FROM executions AS e
JOIN payloads AS i ON i.tenant_id = e.tenant_id AND i.execution_id = e.id AND i.kind = 'input'
LEFT JOIN payloads AS p ON p.tenant_id = e.tenant_id AND p.execution_id = e.id AND p.kind = $3
WHERE e.tenant_id = $1 AND e.id = $2
"""


class ExecutionPayload(Struct, frozen=True, kw_only=True):
    """One payload of an execution, with the execution's status; None: none or erased."""

    status: Status
    erased_at: datetime | None
    payload: StoredPayload | None


async def select_payload(
    conn: Connection, tenant: UUID, execution_id: UUID, kind: PayloadKind
) -> ExecutionPayload | None:
    """Find a payload of an execution; None without such an execution."""
    row = await conn.fetchrow(SELECT_PAYLOAD, tenant, execution_id, kind)
    if row is None:
        return None
    has_payload = row["sha256"] is not None and row["erased_at"] is None
    return ExecutionPayload(
        status=Status(row["status"]),
        erased_at=row["erased_at"],
        payload=from_row(StoredPayload, row) if has_payload else None,
    )


# FOR UPDATE in a fixed order: concurrent erasures of one execution cannot deadlock.
ERASE_PAYLOADS = """
WITH stored AS (
    SELECT tenant_id, execution_id, kind, blob_key
    FROM payloads
    WHERE tenant_id = $1 AND execution_id = $2 AND erased_at IS NULL
    ORDER BY execution_id, kind
    FOR UPDATE
)
UPDATE payloads AS p
SET body = NULL, blob_key = NULL, erased_at = clock_timestamp()
FROM stored
WHERE p.tenant_id = stored.tenant_id
  AND p.execution_id = stored.execution_id
  AND p.kind = stored.kind
RETURNING p.kind, stored.blob_key
"""


class ErasedPayload(Struct, frozen=True, kw_only=True):
    """A payload that was erased, and the key of its blob if it has one."""

    kind: str
    blob_key: str | None


async def erase_payloads(conn: Connection, tenant: UUID, execution_id: UUID) -> list[ErasedPayload]:
    """Erase the payloads of an execution; return those that were not erased before."""
    rows = await conn.fetch(ERASE_PAYLOADS, tenant, execution_id)
    return [from_row(ErasedPayload, row) for row in rows]
