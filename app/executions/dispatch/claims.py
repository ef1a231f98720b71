"""Claim, renew, finish and release executions, and rescue those whose lease expired.

The statements serve all tenants at once: they name rows by id and fencing token, which a worker
knows only from its own claim.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from app.db import Connection, from_row
from app.executions.dispatch.completion_report import CompletedExecution
from app.executions.dispatch.stored_bytes import quota_errors
from app.executions.model import Claim, Finish, SlotUsage
from app.limits import WORKER_TIMEOUT_SECONDS, Limits
from app.payloads.model import StoredPayload
from app.sandbox.pool import Room
from app.schemas.pinned import key_of
from app.sql_parameters import in_order

# The function is in migrations/sql/claim_executions_v4.sql.
CLAIM = """
SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms, c.memory_bytes,
       c.max_output_bytes, c.seed, c.clock_ms, c.created_at, c.source, c.sha256, c.size_bytes,
       c.body, c.blob_key, c.script, c.version, c.labels, c.params, c.request_id, c.held,
       c.passed_over, c.batch_id, c.run_id, i.*
FROM claim_executions_v4(
    worker => $1, most => $2, ahead => $3, lease_seconds => $4, default_max_running => $5,
    served => $6, served_seconds => $7,
    room_bytes => $8, largest_bytes => $9, overhead_bytes => $10, may_wait => $11,
    seen_within_seconds => $12, only_executions => $13
) AS c
CROSS JOIN LATERAL input_of_execution_v2(tenant => c.tenant_id, execution => c.id) AS i
"""


class Claimed(Struct, frozen=True, kw_only=True):
    """What a worker has claimed; `passed_over`: another claim at once may find more."""

    executions: list[Claim]
    passed_over: bool


NOTHING: Final = Claimed(executions=[], passed_over=False)


async def claim(  # noqa: PLR0913 - one keyword for each part of a claim
    conn: Connection,
    worker: UUID,
    *,
    limit: int,
    ahead: int = 0,
    lease_seconds: float,
    room: Room | None = None,
    default_max_running: int | None = None,
    served: Sequence[SlotUsage] = (),
    only_executions: bool = False,
) -> Claimed:
    """Claim up to `limit` queued executions, each with a new fencing token.

    The next turn is the tenant's with the fewest worker-seconds for its weight; within a tenant
    the order is priority, then age. A tenant never runs more than its cap, or than
    `default_max_running` if it has none. What does not fit into the worker's memory is passed
    over, except for one execution, which then waits for memory here (`room` None: any fits).
    Up to `ahead` more are claimed to be held until a slot is free, but none that other workers
    could begin at once, none of a tenant with a cap and none that any worker has lost.
    `only_executions` leaves parts of runs to others. `served` is what the worker's slots were held
    for since its last claim.
    """
    values = in_order(
        CLAIM,
        worker=worker,
        most=limit,
        ahead=ahead,
        lease_seconds=lease_seconds,
        default_max_running=default_max_running,
        served=[each.tenant for each in served],
        served_seconds=[each.seconds for each in served],
        room_bytes=None if room is None else room.now_bytes,
        largest_bytes=None if room is None else room.largest_bytes,
        overhead_bytes=0 if room is None else room.overhead_bytes,
        may_wait=room is not None and room.may_wait,
        seen_within_seconds=WORKER_TIMEOUT_SECONDS,
        only_executions=only_executions,
    )
    rows = await conn.fetch(CLAIM, *values)
    return Claimed(
        executions=[claim_of(row) for row in rows],
        passed_over=any(row["passed_over"] for row in rows),
    )


# Rows are locked in the order of their ids, as finish_executions_v1 locks them: the two cannot
# deadlock.
RENEW = """
WITH valid AS MATERIALIZED (
    SELECT e.id, claim.lease_token, claim.begun_ms_ago
    FROM unnest($1::uuid[], $2::bigint[], $3::float8[]) AS claim (id, lease_token, begun_ms_ago)
    JOIN executions AS e ON e.id = claim.id
    WHERE e.status = 'running' AND e.lease_token = claim.lease_token
    ORDER BY e.id
    FOR NO KEY UPDATE OF e
)
UPDATE executions AS e
SET lease_expires_at = clock_timestamp() + make_interval(secs => $4),
    -- A crash of PostgreSQL may have lost the begin of a hand-over, which counts the attempt.
    attempts = greatest(e.attempts, 1),
    held = e.held AND valid.begun_ms_ago IS NULL,
    started_at = CASE WHEN e.held AND valid.begun_ms_ago IS NOT NULL
                      THEN greatest(e.started_at,
                                    clock_timestamp() - valid.begun_ms_ago * interval '1 ms')
                      ELSE e.started_at END
FROM valid
WHERE e.id = valid.id AND e.status = 'running' AND e.lease_token = valid.lease_token
RETURNING e.lease_token
"""


async def renew(
    conn: Connection,
    claims: Sequence[Claim],
    *,
    lease_seconds: float,
    begun_ms_ago: Sequence[float | None] | None = None,
) -> set[int]:
    """Extend leases and return their tokens; a token that is missing is no longer valid.

    `begun_ms_ago` says of each how long ago it has begun: None for one that is held, or for all if
    they have begun with their claims. From then on a rescue counts an attempt.
    """
    rows = await conn.fetch(
        RENEW,
        [each.id for each in claims],
        [each.lease_token for each in claims],
        begun_ms_ago or [0.0] * len(claims),
        lease_seconds,
    )
    return {row["lease_token"] for row in rows}


# The procedure is in migrations/sql/finish_execution_v6.sql. It commits, so no transaction may be
# open around it, and then notifies the readers that wait (app/notifications.py).
FINISH = """
CALL finish_execution_v6(
    execution => $1,
    token => $2,
    its_status => $3,
    its_error_kind => $4,
    its_error => $5,
    its_v8_version => $6,
    its_run_ms => $7,
    its_cpu_ms => $8,
    its_peak_bytes => $9,
    result_sha256 => $10,
    result_bytes => $11,
    result_body => $12,
    result_key => $13,
    result_type => $14,
    logs_sha256 => $15,
    logs_bytes => $16,
    logs_body => $17,
    logs_key => $18,
    its_warnings => $19,
    its_isolation => $20,
    begun_ms_ago => $21
)
"""


async def finish(conn: Connection, claim: Claim, result: Finish) -> CompletedExecution | None:
    """Record an outcome and notify the readers that wait for it.

    Returns the completed execution, None if the claim is no longer valid. Safe to repeat, and to
    overlap with itself: the reply can be lost with its connection, and the token tells whether
    the recorded outcome is the same claim's. Raises StoredBytesExceeded, and then
    nothing is recorded.
    """
    values = in_order(
        FINISH,
        execution=claim.id,
        token=claim.lease_token,
        its_status=result.status,
        its_error_kind=result.error_kind,
        its_error=result.error,
        its_v8_version=result.v8_version,
        its_run_ms=result.run_ms,
        its_cpu_ms=result.cpu_ms,
        its_peak_bytes=result.peak_memory_bytes,
        **payload_columns("result", result.result),
        result_type=None if result.result is None else result.result.media_type,
        **payload_columns("logs", result.logs),
        its_warnings=result.warnings,
        its_isolation=result.isolation,
        begun_ms_ago=result.begun_ms_ago(),
    )
    try:
        with quota_errors():
            row = await conn.fetchrow(FINISH, *values)
    except asyncpg.SerializationError:
        # The tenant came near its quota meanwhile; the next attempt takes the exclusive lock.
        return await finish(conn, claim, result)
    if row is None or row["finished_at"] is None:
        return None
    return completed(dict(row), claim, result)


RELEASE = """
UPDATE executions
SET status = 'queued',
    attempts = CASE WHEN $3 THEN attempts ELSE greatest(attempts - 1, 0) END,
    held = false,
    started_at = NULL,
    worker_id = NULL,
    lease_token = NULL,
    lease_expires_at = NULL
WHERE id = $1 AND status = 'running' AND lease_token = $2
RETURNING true
"""


async def release(conn: Connection, claim: Claim, *, counted: bool = False) -> bool:
    """Return an execution to the queue, without counting the attempt unless `counted`.

    False if the claim is no longer valid.
    """
    return await conn.fetchval(RELEASE, claim.id, claim.lease_token, counted) is not None


# A cancellation replaces the token with its negative, which no other claim has.
REPORT_USAGE = """
UPDATE executions
SET run_ms = $3, cpu_ms = $4, peak_memory_bytes = $5
WHERE id = $1 AND status = 'cancelled' AND lease_token = -$2::bigint
"""


async def report_usage(
    conn: Connection,
    claim: Claim,
    *,
    run_ms: float,
    cpu_ms: float | None = None,
    peak_memory_bytes: int | None = None,
) -> None:
    """Record the resource usage of a claim that was cancelled while it ran; of others, nothing."""
    await conn.execute(REPORT_USAGE, claim.id, claim.lease_token, run_ms, cpu_ms, peak_memory_bytes)


# Without a token the row is fenced off from the worker that lost its lease and may still report.
# What was held counts no attempt. It keeps its worker_id, and so is never claimed ahead again: were
# it to kill workers within moments of its begin, it would come back uncounted only once.
RESCUE_EXPIRED = """
WITH expired AS (
    SELECT id, held, started_at, lease_expires_at, attempts >= $1 AND NOT held AS used_up
    FROM executions
    WHERE status = 'running' AND lease_expires_at < clock_timestamp() AND (attempts = 0 OR $3)
    ORDER BY lease_expires_at
    FOR UPDATE SKIP LOCKED
    LIMIT 1000
)
UPDATE executions AS e
SET status = CASE WHEN expired.used_up THEN 'failed' ELSE 'queued' END,
    error_kind = CASE WHEN expired.used_up THEN 'worker_lost' END,
    error = CASE WHEN expired.used_up THEN $2::bytea END,
    finished_at = CASE WHEN expired.used_up THEN clock_timestamp() END,
    started_at = CASE WHEN expired.used_up THEN e.started_at END,
    attempts = e.attempts - e.held::integer,
    held = false,
    lease_token = NULL,
    lease_expires_at = NULL
FROM expired
WHERE e.id = expired.id
RETURNING e.id, e.tenant_id, e.status, e.attempts,
          CASE WHEN expired.held THEN 0
               ELSE extract(epoch FROM expired.lease_expires_at - expired.started_at)
          END::double precision AS held_seconds
"""


class Rescued(Struct, frozen=True, kw_only=True):
    """An execution whose lease expired: queued again, or failed as `worker_lost`."""

    id: UUID
    tenant_id: UUID
    status: str
    attempts: int
    held_seconds: float


async def rescue_expired(
    conn: Connection, *, max_attempts: int, error: bytes, begun: bool = True
) -> list[Rescued]:
    """End expired leases; an execution without attempts left fails with `error`.

    Without `begun`, only of executions that were handed over and have not begun.
    """
    rows = await conn.fetch(RESCUE_EXPIRED, max_attempts, error, begun)
    return [from_row(Rescued, row) for row in rows]


def claim_of(row: asyncpg.Record) -> Claim:
    """Convert a row of CLAIM."""
    parts = {
        "limits": from_row(Limits, row),
        "input": from_row(StoredPayload, row),
        "input_schema": key_of(row, "input"),
        "output_schema": key_of(row, "output"),
    }
    return msgspec.convert({**row, **parts}, Claim)


def completed(row: dict[str, Any], claim: Claim, result: Finish) -> CompletedExecution:
    """Put together what there is to report of a recorded outcome."""
    return CompletedExecution(
        id=claim.id,
        outcome=result.error_kind or result.status,
        run_ms=result.run_ms,
        cpu_ms=result.cpu_ms,
        peak_memory_bytes=result.peak_memory_bytes,
        input_bytes=claim.input.size_bytes,
        output_bytes=None if result.result is None else result.result.size_bytes,
        request_id=claim.request_id,
        **row,
    )


def payload_columns(
    kind: str, payload: StoredPayload | None
) -> dict[str, bytes | int | str | None]:
    """Return the parameters that store a payload, or none."""
    return {
        f"{kind}_sha256": None if payload is None else payload.sha256,
        f"{kind}_bytes": None if payload is None else payload.size_bytes,
        f"{kind}_body": None if payload is None else payload.body,
        f"{kind}_key": None if payload is None else payload.blob_key,
    }
