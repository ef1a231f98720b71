"""The callback is added in the transaction that ends an execution, by every way to end."""

import pytest

from app.db import Pool
from app.executions.dispatch import slot_offers
from app.executions.dispatch.outcome_groups import finish_several
from app.executions.model import Finish
from app.executions.retention import delete_executions
from tests.support.queues import FAILURE, SUCCESS, Queues

URL = "https://receiver.example/hook"
COUNT = "SELECT count(*) FROM callbacks"
SHOWN = """
SELECT subject_id, tenant_id, url, host, status FROM callbacks
WHERE subject = 'execution' ORDER BY subject_id
"""


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE], ids=lambda each: each.status)
async def test_success_and_failure_add_a_callback(queues: Queues, outcome: Finish) -> None:
    tenant = await queues.tenant()
    [execution] = await queues.accept(tenant, callback_url=URL)
    [claim] = await queues.claim()
    assert await queues.pool.fetchval(COUNT) == 0

    await queues.finish(claim, outcome)
    # A report may be repeated when its answer was lost.
    await queues.finish(claim, outcome)

    assert await queues.status(execution) is outcome.status
    [row] = await queues.pool.fetch(SHOWN)
    assert tuple(row) == (execution, tenant, URL, "receiver.example", "pending")


async def test_outcomes_that_are_recorded_together_add_theirs(queues: Queues) -> None:
    tenant = await queues.tenant()
    called = await queues.accept(tenant, 3, callback_url=URL)
    await queues.accept(tenant, 2)

    async with queues.pool.acquire() as conn:
        await finish_several(conn, [(each, SUCCESS) for each in await queues.claim(5)])

    assert [row["subject_id"] for row in await queues.pool.fetch(SHOWN)] == called


async def test_an_execution_that_was_handed_over_adds_one_however_it_ends(queues: Queues) -> None:
    tenant = await queues.tenant()
    async with queues.pool.acquire() as conn:
        await slot_offers.offer(conn, queues.worker, slots=2, room=None)
        begun, lost = await queues.accept(tenant, 2, callback_url=URL, may_hand_over=True)
        token = await conn.fetchval("SELECT lease_token FROM executions WHERE id = $1", begun)
        claim = await slot_offers.begin(conn, begun, token, lease_seconds=60)
        await conn.execute(
            "UPDATE executions SET lease_expires_at = now(), attempts = 1 WHERE id = $1", lost
        )
    assert claim is not None

    await queues.finish(claim)
    await queues.rescue(max_attempts=1)

    assert [row["subject_id"] for row in await queues.pool.fetch(SHOWN)] == [begun, lost]


async def test_a_cancellation_adds_a_callback_queued_or_running(queues: Queues) -> None:
    tenant = await queues.tenant()
    running, queued = await queues.accept(tenant, 2, callback_url=URL)
    [claim] = await queues.claim()
    assert claim.id == running

    for each in (running, queued):
        await queues.cancel(tenant, each)
        await queues.cancel(tenant, each)
    await queues.finish(claim)

    assert [row["subject_id"] for row in await queues.pool.fetch(SHOWN)] == [running, queued]


async def test_a_lost_execution_adds_a_callback_and_a_rescued_one_does_not(
    queues: Queues,
) -> None:
    tenant = await queues.tenant()
    [execution] = await queues.accept(tenant, callback_url=URL)
    await queues.claim(lease_seconds=0)

    await queues.rescue(max_attempts=2)
    rescued = await queues.pool.fetchval(COUNT)
    await queues.claim(lease_seconds=0)
    await queues.rescue(max_attempts=2)

    assert rescued == 0
    assert [row["subject_id"] for row in await queues.pool.fetch(SHOWN)] == [execution]


async def test_an_end_without_a_callback_url_adds_nothing(queues: Queues) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, 2)
    [claim, other] = await queues.claim(2)

    await queues.finish(claim)
    await queues.cancel(tenant, other.id)

    assert await queues.pool.fetchval(COUNT) == 0


async def test_a_transaction_that_does_not_commit_adds_nothing(queues: Queues) -> None:
    tenant = await queues.tenant()
    [execution] = await queues.accept(tenant, callback_url=URL)

    async with queues.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(
            "UPDATE executions SET status = 'cancelled', finished_at = now() WHERE id = $1",
            execution,
        )
        within = await conn.fetchval(COUNT)
        await transaction.rollback()

    assert within == 1
    assert await queues.pool.fetchval(COUNT) == 0


async def test_callbacks_go_with_their_execution_but_not_while_they_are_tried(
    queues: Queues,
) -> None:
    tenant = await queues.tenant()
    executions = await queues.accept(tenant, 2, callback_url=URL)
    for each in executions:
        await queues.cancel(tenant, each)
    await queues.pool.execute(
        """
        INSERT INTO callback_attempts (callback_id, number, tenant_id, started_at)
        SELECT id, 1, tenant_id, now() FROM callbacks
        """
    )
    await queues.pool.execute(
        """
        UPDATE callbacks SET status = 'delivered', next_attempt_at = NULL WHERE subject_id = $1
        """,
        executions[1],
    )

    first = await _delete_after(queues, age="9 days")
    kept = await queues.pool.fetch(SHOWN)
    second = await _delete_after(queues, age="13 days")

    assert ([row["subject_id"] for row in kept], first, second) == (executions[:1], 1, 1)
    assert await queues.pool.fetchval(COUNT) == 0
    assert await queues.pool.fetchval("SELECT count(*) FROM callback_attempts") == 0


async def _delete_after(queues: Queues, *, age: str) -> int:
    """Delete what ended more than eight days ago, as if all had ended so long ago."""
    await queues.pool.execute("UPDATE executions SET finished_at = now() - $1::text::interval", age)
    async with queues.pool.acquire() as conn:
        return (await delete_executions(conn, 8, 10)).items
