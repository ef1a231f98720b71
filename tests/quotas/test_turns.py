"""A tenant has a few turns at once; what is more waits, and only for its own tenant."""

import asyncio
from uuid import uuid4

from app.quotas.turns import TenantTurns


async def test_a_tenant_waits_for_its_own_turns_only() -> None:
    turns = TenantTurns(max_per_tenant=2)
    busy, other = uuid4(), uuid4()
    ends, begun = asyncio.Event(), 0

    async def hold() -> None:
        nonlocal begun
        async with turns.turn(busy):
            begun += 1
            await ends.wait()

    async with asyncio.TaskGroup() as group:
        holders = [group.create_task(hold()) for _ in range(4)]
        await asyncio.sleep(0)
        async with turns.turn(other):
            assert begun == 2
        # One that stops waiting takes no turn.
        holders[3].cancel()
        ends.set()
    assert begun == 3

    # Nothing is left of tenants without work.
    assert turns._turns == {}
