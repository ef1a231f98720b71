"""Accept a batch: limits, quotas and an execution for each staged input, in one transaction."""

from typing import Final
from uuid import UUID

import asyncpg

from app.batches.problems import UploadLost
from app.db import Connection
from app.executions.model import Submission
from app.limits import MIN_MEMORY_BYTES, WORKER_TIMEOUT_SECONDS, LimitPolicy
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.scripts.model import ResolvedVersion
from app.sql_parameters import in_order
from app.workers.model import NoWorkerLargeEnough

# A statement about all items of a large batch takes seconds.
ALL_ITEMS_SECONDS: Final = 300.0

# The function is in migrations/sql/accept_batch_v2.sql.
ACCEPT_BATCH = """
SELECT quota, cap, used, limit_bytes, largest_bytes
FROM accept_batch_v2(
    tenant => $1,
    batch => $2,
    upload => $3,
    items => $4,
    script => $5,
    script_version => $6,
    wall_ms => $7,
    max_cpu_ms => $8,
    memory_bytes => $9,
    max_output_bytes => $10,
    default_wall_ms => $11,
    default_memory_bytes => $12,
    min_memory_bytes => $13,
    ceiling_wall_ms => $14,
    ceiling_cpu_ms => $15,
    ceiling_memory_bytes => $16,
    ceiling_output_bytes => $17,
    labels => $18,
    seed => $19,
    priority => $20,
    params => $21,
    traceparent => $22,
    request_id => $23,
    callback_url => $24,
    max_queued => $25,
    max_stored_bytes => $26,
    max_bytes_per_day => $27,
    seen_within_seconds => $28
)
"""


SELECT_REFUSAL = """
SELECT quota, cap, used
FROM quota_against_batch_v1(
    tenant => $1,
    items => $2,
    input_bytes => $3,
    params_bytes => 0,
    max_queued => $4,
    max_stored_bytes => $5,
    max_bytes_per_day => $6
)
"""


async def require_room_for_items(
    conn: Connection, tenant: UUID, *, items: int, size_bytes: int, caps: Caps
) -> None:
    """Refuse what exceeds a quota before it is staged; `insert_batch` counts exactly.

    Raises QuotaExceeded.
    """
    quotas = (caps.max_queued, caps.max_stored_bytes, caps.max_bytes_per_day)
    row = await conn.fetchrow(SELECT_REFUSAL, tenant, items, size_bytes, *quotas)
    if row is not None:
        raise QuotaExceeded(row["quota"], limit=row["cap"], used=row["used"])


async def insert_batch(  # noqa: PLR0913 - one parameter a column
    conn: Connection,
    tenant: UUID,
    batch_id: UUID,
    *,
    upload: UUID,
    items: int,
    version: ResolvedVersion | None,
    submission: Submission,
    policy: LimitPolicy,
    caps: Caps,
    traceparent: str | None = None,
    request_id: str | None = None,
) -> None:
    """Store a batch and an execution for each of the `items` that an upload has staged.

    `version` None: each staged row names its own. To be called in a transaction, which is to be
    rolled back if this raises QuotaExceeded, NoWorkerLargeEnough or UploadLost.
    """
    values = in_order(
        ACCEPT_BATCH,
        tenant=tenant,
        batch=batch_id,
        upload=upload,
        items=items,
        script=None if version is None else version.script_id,
        script_version=None if version is None else version.version,
        wall_ms=submission.limits.wall_ms,
        max_cpu_ms=submission.limits.max_cpu_ms,
        memory_bytes=submission.limits.memory_bytes,
        max_output_bytes=submission.limits.max_output_bytes,
        default_wall_ms=policy.default_wall_ms,
        default_memory_bytes=policy.default_memory_bytes,
        min_memory_bytes=MIN_MEMORY_BYTES,
        ceiling_wall_ms=policy.ceilings.wall_ms,
        ceiling_cpu_ms=policy.ceilings.max_cpu_ms,
        ceiling_memory_bytes=policy.ceilings.memory_bytes,
        ceiling_output_bytes=policy.ceilings.max_output_bytes,
        labels=submission.labels,
        seed=submission.seed,
        priority=submission.priority,
        params=submission.params,
        traceparent=traceparent,
        request_id=request_id,
        callback_url=submission.callback_url,
        max_queued=caps.max_queued,
        max_stored_bytes=caps.max_stored_bytes,
        max_bytes_per_day=caps.max_bytes_per_day,
        seen_within_seconds=WORKER_TIMEOUT_SECONDS,
    )
    try:
        row = await conn.fetchrow(ACCEPT_BATCH, *values, timeout=ALL_ITEMS_SECONDS)
    except asyncpg.SerializationError:
        raise UploadLost from None
    if row is None:
        return
    if row["quota"] is not None:
        raise QuotaExceeded(row["quota"], limit=row["cap"], used=row["used"])
    raise NoWorkerLargeEnough(
        f"the memory limit is {row['limit_bytes']} bytes; no live worker can enforce more than "
        f"{row['largest_bytes']}"
    )
