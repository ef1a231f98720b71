"""Turns go by the worker-seconds that tenants have used: accounted, not timed."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from app.db import Pool
from app.executions.model import Claim, SlotUsage
from tests.support.queues import Queues


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


async def _work(
    queues: Queues, seconds_of: Mapping[UUID, float], *, turns: int, slots: int = 1
) -> Counter[UUID]:
    """Run executions that each take `seconds_of` their tenant; return the tenants' worker-ms."""
    used_ms: Counter[UUID] = Counter()
    slot_usage: tuple[SlotUsage, ...] = ()
    for _ in range(turns):
        held = await queues.claim(slots, slot_usage=slot_usage)
        for each in held:
            await queues.finish(each)
            used_ms[each.tenant_id] += int(1_000 * seconds_of[each.tenant_id])
        slot_usage = tuple(
            SlotUsage(tenant=each.tenant_id, seconds=seconds_of[each.tenant_id]) for each in held
        )
    await queues.claim(0, slot_usage=slot_usage)
    return used_ms


@pytest.mark.parametrize("slots", [1, 4])
async def test_worker_seconds_follow_weights_however_long_executions_take(
    queues: Queues, slots: int
) -> None:
    heavy, light = await queues.tenant(weight=300), await queues.tenant(weight=100)
    await queues.accept(heavy, 400)
    await queues.accept(light, 400)

    # Light's executions take ten times as long: equal counts would give it most of the time.
    used_ms = await _work(queues, {heavy: 0.5, light: 5.0}, turns=360 // slots, slots=slots)

    assert 3 * 0.9 <= used_ms[heavy] / used_ms[light] <= 3 * 1.1


async def test_a_small_tenant_gets_the_next_turn_in_a_flood(queues: Queues) -> None:
    flood, small = await queues.tenant(), await queues.tenant()
    await queues.accept(flood, 60)
    await _work(queues, {flood: 1.0}, turns=20)

    for _ in range(10):
        [busy] = await queues.claim(1)
        [mine] = await queues.accept(small)
        [next_one] = await queues.claim(1)
        assert (busy.tenant_id, next_one.id) == (flood, mine)
        for each in (busy, next_one):
            await queues.finish(each)
        lasted = (SlotUsage(tenant=flood, seconds=1.0), SlotUsage(tenant=small, seconds=0.01))
        await queues.claim(0, slot_usage=lasted)


async def test_idling_earns_neither_credit_nor_debt(queues: Queues) -> None:
    stayed, left = await queues.tenant(), await queues.tenant()
    await queues.accept(stayed, 100)
    # `left` idles for a long time.
    await _work(queues, {stayed: 1.0}, turns=60)
    await queues.accept(left, 40)

    used_ms = await _work(queues, {stayed: 1.0, left: 1.0}, turns=20)

    assert abs(used_ms[stayed] - used_ms[left]) <= 1_000


async def test_idling_erases_no_debt(queues: Queues) -> None:
    greedy, other = await queues.tenant(), await queues.tenant()
    await queues.accept(greedy, 1)
    await _work(queues, {greedy: 60.0}, turns=1)
    await queues.accept(other, 20)
    await queues.claim(0)
    await queues.accept(greedy, 20)

    used_ms = await _work(queues, {greedy: 1.0, other: 1.0}, turns=20)

    assert used_ms == {other: 20_000}


async def test_running_executions_count_as_usage(queues: Queues) -> None:
    one, other = await queues.tenant(), await queues.tenant()
    # A running execution counts for its tenant's usual duration: longer than this test can take.
    hours = tuple(SlotUsage(tenant=each, seconds=3_600) for each in (one, other))
    await queues.claim(0, slot_usage=hours)
    await queues.accept(one, 5)
    await queues.accept(other, 5)

    held = [each.tenant_id for _ in range(4) for each in await queues.claim(1)]

    assert Counter(held) == {one: 2, other: 2}


async def test_slots_claimed_together_are_shared_by_weight(queues: Queues) -> None:
    one, other = await queues.tenant(weight=300), await queues.tenant(weight=100)
    await queues.accept(one, 20)
    await queues.accept(other, 20)

    assert Counter(each.tenant_id for each in await queues.claim(8)) == {one: 6, other: 2}


async def test_priority_precedes_age_within_a_tenant_only(queues: Queues) -> None:
    mine, other = await queues.tenant(), await queues.tenant()
    [old] = await queues.accept(mine)
    [low] = await queues.accept(mine, priority=-1)
    [urgent] = await queues.accept(mine, priority=10)
    [theirs] = await queues.accept(other, priority=-10)

    order = [each.id for _ in range(4) for each in await queues.claim(1)]

    assert [each for each in order if each != theirs] == [urgent, old, low]
    assert order.index(theirs) < 2


async def test_a_released_execution_keeps_its_place(queues: Queues) -> None:
    tenant = await queues.tenant()
    ids = await queues.accept(tenant, 3)
    [first] = await queues.claim(1)

    await queues.release(first)

    assert [each.id for each in await queues.claim(3)] == ids
    await queues.require_consistent()


async def test_concurrent_claims_exceed_no_cap_and_claim_nothing_twice(queues: Queues) -> None:
    capped, free = await queues.tenant(max_running=3), await queues.tenant()
    await queues.accept(capped, 60)
    await queues.accept(free, 30)
    done: list[UUID] = []

    async def work() -> None:
        while await queues.pool.fetchval("SELECT EXISTS (SELECT FROM queue)"):
            held = await queues.claim(2)
            running = await queues.pool.fetchval(
                "SELECT count(*) FROM executions WHERE tenant_id = $1 AND status = 'running'",
                capped,
            )
            assert running <= 3
            for each in held:
                assert await queues.finish(each) is not None
                done.append(each.id)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(work())

    assert len(done) == len(set(done)) == 90
    await queues.require_consistent()


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.integers(0, 2), st.integers(-10, 10)),
        st.tuples(st.just("claim"), st.integers(1, 3), st.integers(0, 20)),
        st.tuples(
            st.sampled_from(["finish", "back", "lose", "cancel"]), st.integers(0, 9), st.just(0)
        ),
    ),
    max_size=40,
)


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
async def test_caps_hold_and_nothing_starves_in_any_history(
    queues: Queues, steps: list[tuple[str, int, int]]
) -> None:
    await queues.pool.execute(
        "TRUNCATE executions, payloads, queue, tenant_shares, tenant_usage CASCADE"
    )
    caps = (1, 2, None)
    tenants = [
        await queues.tenant(weight=weight, max_running=cap)
        for weight, cap in zip((1, 100, 10_000), caps, strict=True)
    ]
    held: list[Claim] = []
    for what, number, more in steps:
        if what == "accept":
            await queues.accept(tenants[number], priority=more)
        elif what == "claim":
            slot_usage = tuple(
                SlotUsage(tenant=tenant, seconds=more) for tenant in tenants[:number]
            )
            held += await queues.claim(number, slot_usage=slot_usage)
        elif held:
            await _end(queues, what, held.pop(number % len(held)))
        running = Counter(each.tenant_id for each in held)
        for tenant, cap in zip(tenants, caps, strict=True):
            assert cap is None or running[tenant] <= cap
        await queues.require_consistent()

    # As long as a slot becomes free again, every queued execution gets its turn.
    for each in held:
        await queues.finish(each)
    for _ in range(await queues.pool.fetchval("SELECT count(*) FROM queue")):
        [each] = await queues.claim(1)
        await queues.finish(each)
    assert await queues.claim(1) == []


async def _end(queues: Queues, how: str, held: Claim) -> None:
    match how:
        case "finish":
            assert await queues.finish(held) is not None
        case "back":
            assert await queues.release(held)
        case "cancel":
            assert await queues.cancel(held.tenant_id, held.id)
        case _:
            await queues.pool.execute(
                "UPDATE executions SET lease_expires_at = now() - interval '1 s' WHERE id = $1",
                held.id,
            )
            assert len(await queues.rescue(max_attempts=100)) == 1
