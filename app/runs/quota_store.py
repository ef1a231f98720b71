"""Hold a tenant to its number of runs that have not ended."""

from uuid import UUID

from app.datasets.quota_store import require_room
from app.db import Connection
from app.quotas.model import Quota

COUNT_ACTIVE_RUNS = """
SELECT count(*)
FROM runs
WHERE tenant_id = $1 AND finished_at IS NULL
"""


async def require_room_for_run(conn: Connection, tenant: UUID, *, limit: int) -> None:
    """Check the number of active runs after the running transaction has added one.

    Raises QuotaExceeded.
    """
    await require_room(conn, tenant, Quota.ACTIVE_RUNS, COUNT_ACTIVE_RUNS, limit=limit)
