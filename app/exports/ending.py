"""End an export: record how, take leases from its tasks, drop files that nothing will use."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from app.datasets.blob_cleanup import delete_blobs
from app.db import Connection, optional_from_row
from app.exports import wake_ups
from app.exports.model import ExportStatus
from app.limits import EXPORT_STATEMENT_SECONDS
from app.metrics import count_export
from app.resources import Resources


class Ended(Struct, frozen=True, kw_only=True):
    """What is to be done after the commit: blobs to delete."""

    export_id: UUID
    status: ExportStatus
    blob_keys: Sequence[str]


class Unfinished(Struct, frozen=True, kw_only=True):
    """An export that has not ended; `publishing_at`: since when its destination is changed."""

    publishing_at: datetime | None


LOCK_EXPORT = """
SELECT publishing_at
FROM exports
WHERE tenant_id = $1 AND id = $2 AND finished_at IS NULL
FOR NO KEY UPDATE
"""

END_EXPORT = """
UPDATE exports
SET status = $3, error = $4, finished_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2
"""

# A later report finds no task with its token, and no worker claims one.
STOP_TASKS = """
UPDATE export_tasks
SET worker_id = NULL, lease_token = NULL, lease_expires_at = NULL, due_at = 'infinity'
WHERE tenant_id = $1 AND export_id = $2 AND done_token IS NULL
"""

DELETE_FILES = """
DELETE FROM export_files
WHERE tenant_id = $1 AND export_id = $2 AND NOT published
RETURNING CASE WHEN stage <> 'base' THEN blob_key END AS blob_key
"""

NOTIFY: Final = "SELECT pg_notify('crivo_executions', $1)"


async def lock_unfinished(conn: Connection, tenant: UUID, export_id: UUID) -> Unfinished | None:
    """Lock an export until the transaction ends; return None if it has finished."""
    return optional_from_row(Unfinished, await conn.fetchrow(LOCK_EXPORT, tenant, export_id))


async def end(
    conn: Connection,
    tenant: UUID,
    export_id: UUID,
    status: ExportStatus,
    *,
    error: bytes | None = None,
) -> Ended:
    """End an export whose row is locked; call `after_commit` once the transaction has committed.

    Readers that wait are notified by the commit.
    """
    await conn.execute(END_EXPORT, tenant, export_id, status, error)
    await conn.execute(STOP_TASKS, tenant, export_id, timeout=EXPORT_STATEMENT_SECONDS)
    rows = await conn.fetch(DELETE_FILES, tenant, export_id, timeout=EXPORT_STATEMENT_SECONDS)
    await conn.execute(NOTIFY, msgspec.json.encode({"ended": [export_id]}).decode())
    # The next one at its destination can be published.
    await wake_ups.notify(conn)
    keys = [row["blob_key"] for row in rows if row["blob_key"] is not None]
    return Ended(export_id=export_id, status=status, blob_keys=keys)


async def after_commit(resources: Resources, ended: Ended) -> None:
    """Count an export that has ended, and delete blobs; retention deletes what fails."""
    count_export(ended.status)
    await delete_blobs(resources.blobs, ended.blob_keys)
