"""Store which worker holds a pipe, and what its batches have done, fenced by its token."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.db import Connection, from_row
from app.pipes.connectors.model import Lag
from app.pipes.model import LoadedPipe
from app.pipes.problems import LeaseLost
from app.pipes.store import LOAD_HELD, loaded
from app.sql_parameters import in_order

# Across tenants: each pipe that can run is held by some worker. Tenants of which the fewest pipes
# are held come first, and of a tenant the pipe that has waited longest. `now()` serves an index.
CLAIM_PIPES = """
WITH held AS MATERIALIZED (
    SELECT p.tenant_id, count(*) AS pipes
    FROM pipes AS p
    WHERE p.lease_expires_at >= now() AND p.worker_id IS NOT NULL AND p.paused_at IS NULL
    GROUP BY p.tenant_id
),
waiting AS MATERIALIZED (
    SELECT p.id, p.tenant_id, p.lease_expires_at
    FROM pipes AS p
    JOIN tenants AS t ON t.id = p.tenant_id
    WHERE p.paused_at IS NULL AND t.suspended_at IS NULL AND p.lease_expires_at < now()
    ORDER BY p.lease_expires_at
    LIMIT 1000
),
turns AS MATERIALIZED (
    SELECT w.id, w.lease_expires_at,
           coalesce(h.pipes, 0)
           + row_number() OVER (PARTITION BY w.tenant_id ORDER BY w.lease_expires_at) AS turn
    FROM waiting AS w
    LEFT JOIN held AS h ON h.tenant_id = w.tenant_id
),
free AS MATERIALIZED (
    SELECT p.id
    FROM turns AS w
    JOIN pipes AS p ON p.id = w.id
    WHERE p.paused_at IS NULL AND p.lease_expires_at < now()
    ORDER BY w.turn, w.lease_expires_at
    LIMIT $1
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE pipes AS p
SET worker_id = $2,
    lease_token = hashtextextended(gen_random_uuid()::text, 0),
    lease_expires_at = clock_timestamp() + make_interval(secs => $3)
FROM free
WHERE p.id = free.id
RETURNING p.id, p.tenant_id, p.lease_token
"""


class HeldPipe(Struct, frozen=True, kw_only=True):
    """A pipe that a worker holds, with its fencing token."""

    id: UUID
    tenant_id: UUID
    lease_token: int


async def claim_pipes(
    conn: Connection, worker_id: UUID, *, limit: int, lease_seconds: float
) -> list[HeldPipe]:
    """Claim pipes that nobody holds and that are neither paused nor of a suspended tenant."""
    rows = await conn.fetch(CLAIM_PIPES, limit, worker_id, lease_seconds)
    return [from_row(HeldPipe, row) for row in rows]


# Across tenants: what a worker without room for them gives up others for.
COUNT_WAITING = """
SELECT count(*)
FROM (
    SELECT
    FROM pipes AS p
    JOIN tenants AS t ON t.id = p.tenant_id
    WHERE p.paused_at IS NULL AND t.suspended_at IS NULL AND p.lease_expires_at < now()
    LIMIT $1
) AS waiting
"""


async def count_waiting(conn: Connection, *, limit: int) -> int:
    """Count the pipes that could be claimed, up to a limit."""
    count: int = await conn.fetchval(COUNT_WAITING, limit)
    return count


# Across tenants: a worker's heartbeat. A pipe that rests is renewed, too, until its batch ends.
# One whose row is locked does not keep the others waiting.
RENEW_LEASES = """
WITH held AS MATERIALIZED (
    SELECT h.id, h.lease_token
    FROM unnest($1::uuid[], $2::bigint[]) AS h (id, lease_token)
),
free AS MATERIALIZED (
    SELECT p.id
    FROM pipes AS p
    JOIN held AS h ON h.id = p.id AND h.lease_token = p.lease_token
    FOR NO KEY UPDATE OF p SKIP LOCKED
),
renewed AS (
    UPDATE pipes AS p
    SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
    FROM free AS f
    WHERE p.id = f.id
    RETURNING p.id
)
SELECT p.id, p.paused_at IS NOT NULL OR t.suspended_at IS NOT NULL AS rests,
       r.id IS NOT NULL AS is_renewed
FROM held AS h
JOIN pipes AS p ON p.id = h.id AND p.lease_token = h.lease_token
JOIN tenants AS t ON t.id = p.tenant_id
LEFT JOIN renewed AS r ON r.id = p.id
"""


class StillHeld(Struct, frozen=True, kw_only=True):
    """A pipe whose token is still the worker's.

    `is_renewed`: unless its row is locked, by a batch that commits or by a change of the pipe; then
    its lease runs on as it is, and is renewed next time. `rests`: it is to do no other batch.
    """

    is_renewed: bool
    rests: bool


async def renew_leases(
    conn: Connection, held: Sequence[HeldPipe], *, lease_seconds: float
) -> dict[UUID, StillHeld]:
    """Renew leases, without waiting for a pipe; return those that are still held."""
    ids, tokens = [each.id for each in held], [each.lease_token for each in held]
    rows = await conn.fetch(RENEW_LEASES, ids, tokens, lease_seconds)
    return {row["id"]: StillHeld(is_renewed=row["is_renewed"], rests=row["rests"]) for row in rows}


# The lease of one whose row is locked runs out on its own: a worker that stops waits for nobody.
RELEASE_LEASES = """
WITH free AS MATERIALIZED (
    SELECT p.id
    FROM pipes AS p
    JOIN unnest($1::uuid[], $2::bigint[]) AS h (id, lease_token)
      ON h.id = p.id AND h.lease_token = p.lease_token
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE pipes AS p
SET worker_id = NULL, lease_token = NULL, lease_expires_at = clock_timestamp()
FROM free AS f
WHERE p.id = f.id
"""


async def release_leases(conn: Connection, held: Sequence[HeldPipe]) -> None:
    """Give up pipes, which other workers can claim at once, without waiting for any."""
    ids, tokens = [each.id for each in held], [each.lease_token for each in held]
    await conn.execute(RELEASE_LEASES, ids, tokens)


async def load_held(conn: Connection, held: HeldPipe) -> LoadedPipe:
    """Read a pipe to work on. Raises LeaseLost, also if it is to rest."""
    row = await conn.fetchrow(LOAD_HELD, held.tenant_id, held.id, held.lease_token)
    if row is None:
        raise LeaseLost(f"the pipe {held.id} is held by another worker, or rests")
    return loaded(row)


IS_HELD = """
SELECT EXISTS (
    SELECT FROM pipes
    WHERE tenant_id = $1 AND id = $2 AND worker_id IS NOT NULL AND lease_expires_at >= now()
)
"""


async def is_held(conn: Connection, tenant: UUID, pipe_id: UUID) -> bool:
    """Return whether a worker may be at a batch of a pipe."""
    held: bool = await conn.fetchval(IS_HELD, tenant, pipe_id)
    return held


# The fence, the counts and the rates, by one statement a batch.
COUNT_BATCH = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS pipe_id,
           $3::bigint AS lease_token,
           $4::bigint AS events_in,
           $5::bigint AS forwarded,
           $6::bigint AS refused
),
counted AS (
    UPDATE pipes AS p
    SET events_in = p.events_in + b.events_in,
        events_forwarded = p.events_forwarded + b.forwarded,
        events_refused = p.events_refused + b.refused,
        last_event_at = clock_timestamp(),
        trouble = NULL,
        trouble_since = NULL
    FROM parameters AS b
    WHERE p.tenant_id = b.tenant_id AND p.id = b.pipe_id AND p.lease_token = b.lease_token
    RETURNING p.tenant_id, p.id, b.events_in, b.forwarded, b.refused
),
forgotten AS (
    DELETE FROM pipe_activity AS a
    USING counted AS c
    WHERE a.tenant_id = c.tenant_id AND a.pipe_id = c.id
      AND a.slot < now() - interval '2 minutes'
),
active AS (
    INSERT INTO pipe_activity AS a (pipe_id, slot, tenant_id, events_in, forwarded, refused)
    SELECT c.id, date_bin('10 seconds', clock_timestamp(), timestamptz 'epoch'), c.tenant_id,
           c.events_in, c.forwarded, c.refused
    FROM counted AS c
    ON CONFLICT (pipe_id, slot) DO UPDATE
    SET events_in = a.events_in + excluded.events_in,
        forwarded = a.forwarded + excluded.forwarded,
        refused = a.refused + excluded.refused
    WHERE a.tenant_id = excluded.tenant_id
)
SELECT id FROM counted
"""


async def count_batch(
    conn: Connection, held: HeldPipe, *, events_in: int, forwarded: int, refused: int
) -> None:
    """Count a batch, in the transaction of its outcome. Raises LeaseLost: nothing may commit."""
    values = in_order(
        COUNT_BATCH,
        tenant_id=held.tenant_id,
        pipe_id=held.id,
        lease_token=held.lease_token,
        events_in=events_in,
        forwarded=forwarded,
        refused=refused,
    )
    if await conn.fetchval(COUNT_BATCH, *values) is None:
        raise LeaseLost(f"the pipe {held.id} is held by another worker")


NOTE_TROUBLE = """
UPDATE pipes
SET trouble = $4, trouble_since = coalesce(trouble_since, clock_timestamp())
WHERE tenant_id = $1 AND id = $2 AND lease_token = $3 AND trouble IS DISTINCT FROM $4
"""

NOTE_WORKING = """
UPDATE pipes
SET trouble = NULL, trouble_since = NULL
WHERE tenant_id = $1 AND id = $2 AND lease_token = $3 AND trouble IS NOT NULL
"""


async def note_trouble(conn: Connection, held: HeldPipe, trouble: str | None) -> None:
    """Say why a pipe stands still; None: it does not."""
    if trouble is None:
        await conn.execute(NOTE_WORKING, held.tenant_id, held.id, held.lease_token)
    else:
        await conn.execute(NOTE_TROUBLE, held.tenant_id, held.id, held.lease_token, trouble)


NOTE_LAG = """
UPDATE pipes
SET lag_events = $4, oldest_at = clock_timestamp() - make_interval(secs => $5::double precision)
WHERE tenant_id = $1 AND id = $2 AND lease_token = $3
  AND NOT (lag_events IS NOT DISTINCT FROM $4 AND oldest_at IS NULL
           AND $5::double precision IS NULL)
"""


async def note_lag(conn: Connection, held: HeldPipe, lag: Lag) -> None:
    """Note what the source still has; one that has nothing is not written again."""
    await conn.execute(
        NOTE_LAG, held.tenant_id, held.id, held.lease_token, lag.events, lag.oldest_seconds
    )
