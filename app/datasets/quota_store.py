"""Hold a tenant to its number of datasets and of open uploads."""

from uuid import UUID

from app.db import Connection
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota

# Additions of a tenant take turns from here to their end, so that the counts are exact.
LOCK_ADDITIONS = """
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 3))
"""

COUNT_DATASETS = """
SELECT count(*)
FROM datasets
WHERE tenant_id = $1
"""

COUNT_OPEN_UPLOADS = """
SELECT count(*)
FROM dataset_uploads
WHERE tenant_id = $1 AND snapshot IS NULL AND expires_at > clock_timestamp()
"""


async def require_room_for_dataset(conn: Connection, tenant: UUID, *, limit: int) -> None:
    """Check the number of datasets after the running transaction has added one.

    Raises QuotaExceeded.
    """
    await require_room(conn, tenant, Quota.DATASETS, COUNT_DATASETS, limit=limit)


async def require_room_for_upload(conn: Connection, tenant: UUID, *, limit: int) -> None:
    """Check the number of open uploads after the running transaction has added one.

    Raises QuotaExceeded.
    """
    await require_room(conn, tenant, Quota.OPEN_UPLOADS, COUNT_OPEN_UPLOADS, limit=limit)


async def require_room(
    conn: Connection, tenant: UUID, quota: Quota, count: str, *, limit: int
) -> None:
    """Check what a statement counts after the running transaction has added one; 0: no limit.

    Raises QuotaExceeded.
    """
    if not limit:
        return
    await conn.execute(LOCK_ADDITIONS, tenant)
    found: int = await conn.fetchval(count, tenant)
    if found > limit:
        raise QuotaExceeded(quota, limit=limit, used=found - 1)
