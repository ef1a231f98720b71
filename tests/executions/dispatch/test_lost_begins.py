"""A crash of PostgreSQL may lose the begin of a hand-over; what its worker then does counts it."""

import pytest

from app.db import Pool
from app.executions.dispatch import claims, slot_offers
from app.executions.model import Claim
from tests.support.queues import SUCCESS, Queues


@pytest.fixture
async def begun(pool: Pool) -> Claim:
    """An execution that its worker has begun, and whose begin PostgreSQL has lost."""
    queues = Queues(pool)
    async with pool.acquire() as conn:
        await slot_offers.offer(conn, queues.worker, slots=1, room=None)
        [execution] = await queues.accept(await queues.tenant(), may_hand_over=True)
        token = await conn.fetchval("SELECT lease_token FROM executions WHERE id = $1", execution)
        claim = await slot_offers.begin(conn, execution, token, lease_seconds=60)
        await conn.execute("UPDATE executions SET attempts = 0 WHERE id = $1", execution)
    assert claim is not None
    return claim


async def _attempts(pool: Pool, claim: Claim) -> int:
    return int(await pool.fetchval("SELECT attempts FROM executions WHERE id = $1", claim.id))


async def test_a_renewal_counts_the_attempt(pool: Pool, begun: Claim) -> None:
    async with pool.acquire() as conn:
        assert await claims.renew(conn, [begun], lease_seconds=60) == {begun.lease_token}

    assert await _attempts(pool, begun) == 1


async def test_an_outcome_counts_the_attempt(pool: Pool, begun: Claim) -> None:
    async with pool.acquire() as conn:
        await claims.finish(conn, begun, SUCCESS)

    assert await _attempts(pool, begun) == 1


async def test_a_release_leaves_no_negative_count(pool: Pool, begun: Claim) -> None:
    async with pool.acquire() as conn:
        assert await claims.release(conn, begun)

    assert await _attempts(pool, begun) == 0
