"""Batches driven directly against the database, without a system."""

from uuid import UUID

import uuid_utils.compat as uuid

from app.batches.acceptance import insert_batch
from app.batches.staging_store import StagedInput, stage_inputs
from app.db import Pool
from app.executions.model import Submission
from app.payloads.writer import stored_inline
from app.quotas.model import Caps
from app.scripts.model import ResolvedVersion
from tests.support.queues import POLICY

SCRIPT = "SELECT id FROM scripts WHERE tenant_id = $1"


async def insert(
    pool: Pool,
    tenant: UUID,
    inputs: list[bytes],
    *,
    caps: Caps | None = None,
    callback_url: str | None = None,
    items: int | None = None,
    error: bytes | None = None,
) -> UUID:
    """Accept a batch of a tenant's only script; `items` is what the upload claims to hold."""
    upload, batch = uuid.uuid7(), uuid.uuid7()
    staged = [StagedInput(n, stored_inline(data), error) for n, data in enumerate(inputs, 1)]
    script = await pool.fetchval(SCRIPT, tenant)
    async with pool.acquire() as conn, conn.transaction():
        await stage_inputs(conn, tenant, upload, staged)
        await insert_batch(
            conn,
            tenant,
            batch,
            upload=upload,
            items=len(inputs) if items is None else items,
            version=ResolvedVersion(script_id=script, version=1, archived_at=None),
            submission=Submission(callback_url=callback_url),
            policy=POLICY,
            caps=caps or Caps(),
        )
    return batch
