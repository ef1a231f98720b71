"""Find the result of a run: that of the execution that has called `finish`."""

from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.payloads.model import StoredPayload
from app.runs.model import RunStatus

SELECT_RESULT = """
SELECT r.status, r.folds, y.erased_at, y.sha256, y.size_bytes, y.body, y.blob_key
FROM runs AS r
LEFT JOIN payloads AS y
       ON y.tenant_id = r.tenant_id AND y.execution_id = r.result_of AND y.kind = 'result'
WHERE r.tenant_id = $1 AND r.id = $2
"""


class RunResult(Struct, frozen=True, kw_only=True):
    """The result of a run, None if there is none or it is erased, and the run's status."""

    status: RunStatus
    folds: bool
    payload: StoredPayload | None


async def select_result(conn: Connection, tenant: UUID, run_id: UUID) -> RunResult | None:
    """Find the result of a run; None without such a run."""
    row = await conn.fetchrow(SELECT_RESULT, tenant, run_id)
    if row is None:
        return None
    has_payload = row["sha256"] is not None and row["erased_at"] is None
    return RunResult(
        status=RunStatus(row["status"]),
        folds=row["folds"],
        payload=from_row(StoredPayload, row) if has_payload else None,
    )
