"""Offer a worker's idle slots to acceptances, and begin the executions that they hand over.

An offer is a row that lives for seconds. An acceptance that finds nothing queued takes one and
hands its execution over: PostgreSQL notifies the worker with the commit, and nothing is claimed.
A hand-over that does not arrive costs no attempt: the execution is rescued after a second.
"""

from typing import Final
from uuid import UUID

from app.db import Connection
from app.executions.dispatch import claims
from app.executions.model import Claim
from app.sandbox.pool import Room

# A worker that looks for work every second renews its offers in time.
OFFER_SECONDS: Final = 2.5


def channel_of(worker: UUID) -> str:
    """Return the name of the channel on which executions are handed over to a worker."""
    return f"crivo_slots_{worker.hex}"


OFFER_SLOTS = """
INSERT INTO slot_offers AS o (worker_id, slot, max_memory_bytes, expires_at)
SELECT $1, n, $3, clock_timestamp() + make_interval(secs => $4)
FROM generate_series(1, $2::integer) AS n
ON CONFLICT (worker_id, slot) DO UPDATE
SET max_memory_bytes = excluded.max_memory_bytes, expires_at = excluded.expires_at
"""


async def offer(conn: Connection, worker: UUID, *, slots: int, room: Room | None) -> None:
    """Offer slots, or renew the offer; each is of the memory that all of them have together.

    `room` None: an execution of any size fits.
    """
    max_memory_bytes = None if room is None else room.now_bytes // slots - room.overhead_bytes
    await conn.execute(OFFER_SLOTS, worker, slots, max_memory_bytes, OFFER_SECONDS)


WITHDRAW_OFFERS = """
DELETE FROM slot_offers
WHERE (worker_id = $1 AND slot > $2) OR expires_at < now() - interval '1 day'
"""


async def withdraw(conn: Connection, worker: UUID, *, above: int = 0) -> None:
    """Withdraw a worker's offers of more than `above` slots."""
    await conn.execute(WITHDRAW_OFFERS, worker, above)


# The function is in migrations/sql/begin_execution_v1.sql.
BEGIN_EXECUTION = """
SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms, c.memory_bytes,
       c.max_output_bytes, c.seed, c.clock_ms, c.created_at, c.source, c.sha256, c.size_bytes,
       c.body, c.blob_key, c.script, c.version, c.labels, c.params, c.request_id, i.*
FROM begin_execution_v1(execution => $1, token => $2, lease_seconds => $3) AS c
CROSS JOIN LATERAL input_of_execution_v2(tenant => c.tenant_id, execution => c.id) AS i
"""


async def begin(
    conn: Connection, execution: UUID, token: int, *, lease_seconds: float
) -> Claim | None:
    """Begin an execution that was handed over; None if the hand-over is no longer valid."""
    row = await conn.fetchrow(BEGIN_EXECUTION, execution, token, lease_seconds)
    return None if row is None else claims.claim_of(row)


# An execution that was handed over counts no attempt before it begins.
RETURN_EXECUTION = """
UPDATE executions
SET status = 'queued', started_at = NULL, worker_id = NULL, lease_token = NULL,
    lease_expires_at = NULL
WHERE id = $1 AND status = 'running' AND lease_token = $2 AND attempts = 0
RETURNING true
"""


async def return_to_queue(conn: Connection, execution: UUID, token: int) -> bool:
    """Queue an execution that was handed over and not begun; False if that is no longer valid."""
    return await conn.fetchval(RETURN_EXECUTION, execution, token) is not None
