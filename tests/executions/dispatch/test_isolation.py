"""A receipt says what its execution shared with no other."""

from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from app.db import Pool
from app.executions import store
from app.executions.dispatch import claims, outcome_groups
from app.executions.dispatch.executor import run
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Receipt
from app.resources import open_resources
from app.sandbox.protocol import Isolation
from app.settings import Settings
from tests.support.queues import SUCCESS, Queues


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


async def claimed(queues: Queues, count: int = 1) -> list[Claim]:
    tenant = await queues.tenant(source=b"const process = data => data")
    await queues.accept(tenant, count)
    return await queues.claim(count)


async def receipt(queues: Queues, tenant: UUID, execution: UUID) -> Receipt:
    async with queues.pool.acquire() as conn:
        found = await store.select_execution(conn, tenant, execution)
    assert found is not None
    assert isinstance(found.receipt, Receipt)
    return found.receipt


@pytest.mark.parametrize("isolation", Isolation)
async def test_a_receipt_has_the_isolation_in_force(
    queues: Queues, settings: Settings, isolation: Isolation
) -> None:
    [claim] = await claimed(queues)
    async with open_resources(
        replace(settings, sandbox_isolation=isolation.value), cells=1
    ) as resources:
        finish = await run(resources, claim, ResourceUsage())
    async with queues.pool.acquire() as conn:
        await claims.finish(conn, claim, finish)

    assert (await receipt(queues, claim.tenant_id, claim.id)).isolation is isolation


async def test_outcomes_recorded_together_have_their_own_isolation(queues: Queues) -> None:
    held = await claimed(queues, len(Isolation))
    outcomes = [
        (claim, replace(SUCCESS, isolation=isolation))
        for claim, isolation in zip(held, Isolation, strict=True)
    ]
    async with queues.pool.acquire() as conn:
        await outcome_groups.finish_several(conn, outcomes)

    for claim, finish in outcomes:
        found = await receipt(queues, claim.tenant_id, claim.id)
        assert found.isolation is finish.isolation


async def test_an_isolation_that_does_not_exist_is_refused(queues: Queues, pool: Pool) -> None:
    [claim] = await claimed(queues)
    with pytest.raises(asyncpg.CheckViolationError, match="executions_isolation_check"):
        await pool.execute("UPDATE executions SET isolation = 'none' WHERE id = $1", claim.id)
