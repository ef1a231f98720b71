"""Claim re-drives that are due, and record what their batches have come to.

A claim is a lease with a random fencing token: what a worker records that was presumed dead is
refused. The claim serves all tenants; statements after it name the tenant that it has returned.
"""

import json
import secrets
from typing import Final
from uuid import UUID

from app.db import Connection, optional_from_row
from app.errors import CrivoError
from app.redrives.model import ClaimedRedrive, RedriveStatus, Retried, RetryFailure, Tally
from app.sql_parameters import in_order

_TOKEN_BITS: Final = 63
_MAX_FAILURES: Final = 10


class LeaseLost(CrivoError):
    """Another worker has claimed the re-drive: nothing of this batch is recorded."""


# Across tenants: any worker tries what is due, in turns: first of the tenants with the fewest
# batches in hand, then behind the others that wait. Those of a suspended tenant rest.
CLAIM_REDRIVE = """
WITH busy AS (
    SELECT tenant_id, count(*) AS batches
    FROM redrives
    WHERE status IN ('queued', 'running') AND lease_expires_at >= clock_timestamp()
    GROUP BY tenant_id
)
UPDATE redrives
SET status = 'running', started_at = coalesce(started_at, clock_timestamp()),
    worker_id = $1, lease_token = $2,
    lease_expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE id = (
    SELECT r.id
    FROM redrives AS r
    JOIN tenants AS t ON t.id = r.tenant_id
    LEFT JOIN busy AS b ON b.tenant_id = r.tenant_id
    WHERE r.status IN ('queued', 'running') AND r.due_at <= clock_timestamp()
      AND (r.lease_expires_at IS NULL OR r.lease_expires_at < clock_timestamp())
      AND t.suspended_at IS NULL
    ORDER BY coalesce(b.batches, 0), r.due_at
    LIMIT 1
    FOR NO KEY UPDATE OF r SKIP LOCKED
)
RETURNING id, tenant_id, kind, pipe_id, run_id, batch_id, script_id, script_version, per_second,
          lease_token
"""


async def claim_redrive(
    conn: Connection, worker_id: UUID, *, lease_seconds: float
) -> ClaimedRedrive | None:
    """Claim the re-drive that is due first; None if none is."""
    token = secrets.randbits(_TOKEN_BITS)
    row = await conn.fetchrow(CLAIM_REDRIVE, worker_id, token, lease_seconds)
    return optional_from_row(ClaimedRedrive, row)


RENEW_REDRIVE = """
UPDATE redrives
SET lease_expires_at = clock_timestamp() + make_interval(secs => $4)
WHERE tenant_id = $1 AND id = $2 AND lease_token = $3
RETURNING true
"""


async def renew(conn: Connection, claimed: ClaimedRedrive, *, lease_seconds: float) -> bool:
    """Renew a lease; return whether it was still this worker's."""
    renewed = await conn.fetchval(
        RENEW_REDRIVE, claimed.tenant_id, claimed.id, claimed.lease_token, lease_seconds
    )
    return renewed is not None


LOCK_LEASED = """
SELECT status
FROM redrives
WHERE tenant_id = $1 AND id = $2 AND lease_token = $3
FOR NO KEY UPDATE
"""


async def lock_leased(conn: Connection, claimed: ClaimedRedrive) -> RedriveStatus:
    """Lock a claimed re-drive before its batch is recorded. Raises LeaseLost."""
    status = await conn.fetchval(LOCK_LEASED, claimed.tenant_id, claimed.id, claimed.lease_token)
    if status is None:
        raise LeaseLost(f"re-drive {claimed.id} has been claimed by another worker")
    return RedriveStatus(status)


SELECT_FAILURES = """
SELECT failures
FROM redrives
WHERE tenant_id = $1 AND id = $2
"""

# Also of a cancelled one: what was moved before its worker knew has been moved.
COUNT_BATCH = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS id,
           $3::bigint AS lease_token,
           $4::bigint AS moved,
           $5::bigint AS dropped,
           $6::bigint AS failed_again,
           $7::bigint AS left_out,
           $8::bytea AS failures
)
UPDATE redrives AS r
SET moved = r.moved + parameters.moved,
    dropped = r.dropped + parameters.dropped,
    failed_again = r.failed_again + parameters.failed_again,
    left_out = r.left_out + parameters.left_out,
    failures = parameters.failures,
    trouble = NULL
FROM parameters
WHERE r.tenant_id = parameters.tenant_id AND r.id = parameters.id
  AND r.lease_token = parameters.lease_token
"""


async def count_batch(conn: Connection, claimed: ClaimedRedrive, tally: Tally) -> None:
    """Add what a batch has come to, in the transaction that marks it, under `lock_leased`."""
    held: bytes = await conn.fetchval(SELECT_FAILURES, claimed.tenant_id, claimed.id)
    values = in_order(
        COUNT_BATCH,
        tenant_id=claimed.tenant_id,
        id=claimed.id,
        lease_token=claimed.lease_token,
        moved=tally.moved,
        dropped=tally.dropped,
        failed_again=tally.failed_again,
        left_out=tally.left_out,
        failures=_with_failures(held, tally),
    )
    await conn.execute(COUNT_BATCH, *values)


NAME_OUTPUT = """
UPDATE redrives
SET output_dataset = $3, output_snapshot = $4
WHERE tenant_id = $1 AND id = $2
"""


async def name_output(
    conn: Connection, claimed: ClaimedRedrive, dataset: str, snapshot: int
) -> None:
    """Name the snapshot that a batch has published."""
    await conn.execute(NAME_OUTPUT, claimed.tenant_id, claimed.id, dataset, snapshot)


RELEASE_REDRIVE = """
UPDATE redrives
SET worker_id = NULL, lease_token = NULL, lease_expires_at = NULL,
    due_at = clock_timestamp() + make_interval(secs => $4),
    trouble = CASE WHEN status = 'cancelled' THEN NULL ELSE coalesce($5, trouble) END
WHERE tenant_id = $1 AND id = $2 AND lease_token = $3
"""


async def release(
    conn: Connection,
    claimed: ClaimedRedrive,
    *,
    after_seconds: float,
    trouble: str | None = None,
) -> None:
    """Give a lease back; the next batch is due in `after_seconds`."""
    await conn.execute(
        RELEASE_REDRIVE,
        claimed.tenant_id,
        claimed.id,
        claimed.lease_token,
        after_seconds,
        None if trouble is None else trouble.replace("\x00", "\ufffd"),
    )


# What has not been counted by now could not be tried: it was deleted.
END_REDRIVE = """
UPDATE redrives
SET status = CASE WHEN status = 'cancelled' THEN status ELSE $4 END,
    finished_at = coalesce(finished_at, clock_timestamp()),
    left_out = CASE WHEN status <> 'cancelled' AND $4 = 'finished'
                    THEN matched - moved - dropped - failed_again ELSE left_out END,
    trouble = CASE WHEN status = 'cancelled' THEN NULL ELSE $5 END,
    worker_id = NULL, lease_token = NULL, lease_expires_at = NULL
WHERE tenant_id = $1 AND id = $2 AND lease_token = $3
RETURNING status
"""


async def end(
    conn: Connection,
    claimed: ClaimedRedrive,
    status: RedriveStatus,
    *,
    trouble: str | None = None,
) -> RedriveStatus | None:
    """End a re-drive, unless it was cancelled; return its status, None if the lease is lost."""
    ended = await conn.fetchval(
        END_REDRIVE, claimed.tenant_id, claimed.id, claimed.lease_token, status, trouble
    )
    return None if ended is None else RedriveStatus(ended)


# Across tenants: time alone decides.
DELETE_REDRIVES = """
DELETE FROM redrives
WHERE id IN (
    SELECT id
    FROM redrives
    WHERE finished_at < now() - make_interval(days => $1)
    ORDER BY finished_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
"""


async def delete_redrives(conn: Connection, days: int, limit: int) -> int:
    """Delete up to `limit` re-drives that ended days ago; return their number."""
    status = await conn.execute(DELETE_REDRIVES, days, limit)
    return int(status.rpartition(" ")[2])


def _with_failures(held: bytes, tally: Tally) -> bytes:
    room = _MAX_FAILURES - len(json.loads(held))
    if room <= 0 or not tally.failures:
        return held
    added = [_failure(each) for each in tally.failures[:room]]
    return held[:-1] + (b", " if len(held) > len(b"[]") else b"") + b", ".join(added) + b"]"


def _failure(each: Retried) -> bytes:
    # Errors are ASCII JSON as they are; ids need not be ASCII.
    named = b'{"id": ' + json.dumps(each.id).encode()
    error = b', "error": ' + bytes(each.error) if isinstance(each, RetryFailure) else b""
    return named + error + b"}"
