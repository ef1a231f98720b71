"""SQL of executions as their workers see them: claim, renew, finish, hand back, sweep.

These statements serve every tenant at once: they name rows by id and fencing token, which
a worker has only from its own claim.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from app.db import Connection, from_row
from app.errors import CrivoError
from app.executions.dispatch.completion_report import CompletedExecution
from app.executions.model import Claim, Finish, SlotUsage
from app.limits import Limits
from app.payloads.model import StoredPayload
from app.sandbox.pool import Room

# The function is in migrations/versions/0014_memory.py, with the reasons of 0005_claims.py. Whose
# turn it is depends on the seconds that tenants have had of the workers; what `served` says comes
# first.
CLAIM = """
SELECT id, tenant_id, lease_token, attempts, wall_ms, max_cpu_ms, memory_bytes,
       max_output_bytes, seed, clock_ms, created_at, source, sha256, size_bytes, body, blob_key,
       script, version, labels, params, request_id, passed_over
FROM claim_executions_v2(
    worker => $1, most => $2, lease_seconds => $3, default_max_running => $4,
    served => $5, served_seconds => $6,
    room_bytes => $7, largest_bytes => $8, overhead_bytes => $9, may_wait => $10
)
"""


class Claimed(Struct, frozen=True, kw_only=True):
    """What a worker has claimed; `passed_over`: it had no memory for more, or may have by now."""

    executions: list[Claim]
    passed_over: bool


async def claim(
    conn: Connection,
    worker: UUID,
    *,
    most: int,
    lease_seconds: float,
    room: Room | None = None,
    default_max_running: int | None = None,
    served: Sequence[SlotUsage] = (),
) -> Claimed:
    """Take up to `most` queued executions, each with a new fencing token, in the order of turns.

    The tenant's turn is next that has had fewest worker-seconds for its weight; within a tenant
    priority counts, then age. A tenant never runs more than its cap, or than
    `default_max_running` where it has none. What has no room in the worker's memory is passed
    over, but for one, which then waits for it here (None: there is room for any). `served` is what
    the worker's slots were held for since its last claim.
    """
    rows = await conn.fetch(
        CLAIM,
        worker,
        most,
        lease_seconds,
        default_max_running,
        [each.tenant for each in served],
        [each.seconds for each in served],
        None if room is None else room.now_bytes,
        None if room is None else room.largest_bytes,
        0 if room is None else room.overhead_bytes,
        room is not None and room.may_wait,
    )
    return Claimed(
        executions=[_claim(row) for row in rows],
        passed_over=any(row["passed_over"] for row in rows),
    )


RENEW = """
UPDATE executions AS e
SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
FROM unnest($1::uuid[], $2::bigint[]) AS held (id, lease_token)
WHERE e.id = held.id AND e.status = 'running' AND e.lease_token = held.lease_token
RETURNING e.lease_token
"""


async def renew(conn: Connection, held: Sequence[Claim], *, lease_seconds: float) -> set[int]:
    """Prolong leases; the tokens that are missing from the answer are ours no longer."""
    rows = await conn.fetch(
        RENEW, [each.id for each in held], [each.lease_token for each in held], lease_seconds
    )
    return {row["lease_token"] for row in rows}


# The procedure is in migrations/versions/0010_warnings.py. It commits, so it takes no transaction
# around it, and then sends the notice of app/notifications.py.
FINISH = """
CALL finish_execution_v2(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
)
"""


async def finish(conn: Connection, held: Claim, result: Finish) -> CompletedExecution | None:
    """Record an outcome and tell those who wait; None when the claim is ours no longer.

    Give what there is to tell of it otherwise.

    Safe to repeat, and to overlap with itself: the answer to a report may get lost with its
    connection, and the token says that what is recorded is the same claim's. Raises
    StoredBytesExceeded, and then nothing is recorded.
    """
    try:
        row = await conn.fetchrow(
            FINISH,
            held.id,
            held.lease_token,
            result.status,
            result.error_kind,
            result.error,
            result.v8_version,
            result.run_ms,
            result.cpu_ms,
            result.peak_memory_bytes,
            *_columns(result.result),
            *_columns(result.logs),
            result.warnings,
        )
    except asyncpg.SerializationError:
        # The tenant came near its quota just then; the next time it is counted exactly.
        return await finish(conn, held, result)
    except asyncpg.PostgresError as error:
        if error.sqlstate != _OVER_QUOTA:
            raise
        raise msgspec.json.decode(error.detail or "", type=_Refusal).exceeded() from None
    return (
        None
        if row is None or row["finished_at"] is None
        else _ended(row, held, result, request_id=held.request_id)
    )


# As migrations/versions/0012_stored_bytes.py raises it.
_OVER_QUOTA: Final = "CR507"


class StoredBytesExceeded(CrivoError):
    """A result or a console would take its tenant over its quota of stored bytes."""

    def __init__(self, limit: int, used: int) -> None:
        """Take the quota and what is used of it, both in bytes."""
        super().__init__(f"{used} of {limit} bytes are used")
        self.limit = limit
        self.used = used


class _Refusal(Struct, frozen=True):
    limit: int
    used: int

    def exceeded(self) -> StoredBytesExceeded:
        return StoredBytesExceeded(self.limit, self.used)


HAND_BACK = """
UPDATE executions
SET status = 'queued',
    attempts = attempts - 1,
    started_at = NULL,
    worker_id = NULL,
    lease_token = NULL,
    lease_expires_at = NULL
WHERE id = $1 AND status = 'running' AND lease_token = $2
RETURNING true
"""


async def release(conn: Connection, held: Claim) -> bool:
    """Return a claim that this worker will not finish; it does not count as an attempt.

    False when it was ours no longer.
    """
    return await conn.fetchval(HAND_BACK, held.id, held.lease_token) is not None


# Whoever cancelled has turned the token into its negative, which nobody else's can be.
REPORT_USAGE = """
UPDATE executions
SET run_ms = $3, cpu_ms = $4, peak_memory_bytes = $5
WHERE id = $1 AND status = 'cancelled' AND lease_token = -$2::bigint
"""


async def report_usage(
    conn: Connection,
    held: Claim,
    *,
    run_ms: float,
    cpu_ms: float | None = None,
    peak_memory_bytes: int | None = None,
) -> None:
    """Say what a claim has used that was cancelled under our hands; of any other, nothing."""
    await conn.execute(REPORT_USAGE, held.id, held.lease_token, run_ms, cpu_ms, peak_memory_bytes)


# The new token (none) shuts out the worker that lost its lease, should it still report.
SWEEP = """
WITH expired AS (
    SELECT id, started_at, lease_expires_at
    FROM executions
    WHERE status = 'running' AND lease_expires_at < clock_timestamp()
    ORDER BY lease_expires_at
    FOR UPDATE SKIP LOCKED
    LIMIT 1000
)
UPDATE executions AS e
SET status = CASE WHEN e.attempts >= $1 THEN 'failed' ELSE 'queued' END,
    error_kind = CASE WHEN e.attempts >= $1 THEN 'worker_lost' END,
    error = CASE WHEN e.attempts >= $1 THEN $2::bytea END,
    finished_at = CASE WHEN e.attempts >= $1 THEN clock_timestamp() END,
    started_at = CASE WHEN e.attempts >= $1 THEN e.started_at END,
    lease_token = NULL,
    lease_expires_at = NULL
FROM expired
WHERE e.id = expired.id
RETURNING e.id, e.tenant_id, e.status, e.attempts,
          extract(epoch FROM expired.lease_expires_at - expired.started_at)::double precision
          AS held_seconds
"""


class Rescued(Struct, frozen=True, kw_only=True):
    """An execution whose worker went silent: queued again, or failed as `worker_lost`."""

    id: UUID
    tenant_id: UUID
    status: str
    attempts: int
    held_seconds: float


async def sweep(conn: Connection, *, max_attempts: int, error: bytes) -> list[Rescued]:
    """Take expired leases away; `error` is recorded where the attempts are used up."""
    rows = await conn.fetch(SWEEP, max_attempts, error)
    return [from_row(Rescued, row) for row in rows]


def _claim(row: asyncpg.Record) -> Claim:
    parts = {"limits": from_row(Limits, row), "input": from_row(StoredPayload, row)}
    return msgspec.convert({**row, **parts}, Claim)


def _ended(
    row: asyncpg.Record, held: Claim, result: Finish, *, request_id: str | None
) -> CompletedExecution:
    return CompletedExecution(
        id=held.id,
        outcome=result.error_kind or result.status,
        run_ms=result.run_ms,
        cpu_ms=result.cpu_ms,
        peak_memory_bytes=result.peak_memory_bytes,
        input_bytes=held.input.size_bytes,
        output_bytes=None if result.result is None else result.result.size_bytes,
        request_id=request_id,
        **row,
    )


def _columns(
    payload: StoredPayload | None,
) -> tuple[bytes | None, int | None, bytes | None, str | None]:
    if payload is None:
        return None, None, None, None
    return payload.sha256, payload.size_bytes, payload.body, payload.blob_key
