"""Turns are granted by weight and cost, the queue is bounded, and no turn is lost."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import pytest

from app.fair_queue import FairQueue, FairQueueFull, TenantQueueFull
from app.http.decompression import decompressed

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


async def _settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _order(queue: FairQueue, requests: list[tuple[UUID, int]]) -> list[UUID]:
    """Return the order of turns of these tenants and weights, all at the same cost."""
    order = []

    async def take_turn(tenant: UUID, weight: int) -> None:
        async with queue.turn(tenant, weight=weight, cost=1):
            order.append(tenant)
            await asyncio.sleep(0)

    async with queue.turn(C, cost=0):
        tasks = [asyncio.create_task(take_turn(*each)) for each in requests]
        await _settled()
    await asyncio.gather(*tasks)
    return order


async def test_a_single_request_waits_for_about_one_turn_of_a_flood() -> None:
    order = await _order(FairQueue(), [*[(A, 100)] * 40, (B, 100)])

    assert order.index(B) <= 1


async def test_turns_follow_weights() -> None:
    order = await _order(FairQueue(), [*[(A, 300)] * 40, *[(B, 100)] * 40])

    assert order[:40].count(A) == 30


async def test_the_cost_of_turns_counts_not_their_number() -> None:
    queue = FairQueue()
    order = []

    async def take_turn(tenant: UUID, cost: float) -> None:
        async with queue.turn(tenant, cost=cost):
            order.append(tenant)
            await asyncio.sleep(0)

    async with queue.turn(C, cost=0):
        tasks = [asyncio.create_task(take_turn(A, 10)) for _ in range(10)]
        tasks += [asyncio.create_task(take_turn(B, 1)) for _ in range(10)]
        await _settled()
    await asyncio.gather(*tasks)

    assert order[:11].count(B) == 10


async def test_a_returning_tenant_has_earned_no_credit() -> None:
    queue = FairQueue()
    async with queue.turn(B, cost=0):
        pass
    order = []

    async def take_turn(tenant: UUID) -> None:
        async with queue.turn(tenant, cost=1):
            order.append(tenant)
            await asyncio.sleep(0)

    async with queue.turn(A, cost=50):
        first = [asyncio.create_task(take_turn(A)) for _ in range(4)]
        await _settled()
    await _settled()
    later = [asyncio.create_task(take_turn(B)) for _ in range(4)]
    await asyncio.gather(*first, *later)

    assert order[0] == A
    assert set(order[-2:]) != {A}


async def test_a_full_queue_evicts_from_the_largest_share() -> None:
    queue = FairQueue(max_waiting=4, max_waiting_of_tenant=3)

    async def take_turn(tenant: UUID) -> None:
        async with queue.turn(tenant, cost=1):
            pass

    async with queue.turn(C, cost=0):
        tasks = [asyncio.create_task(take_turn(A)) for _ in range(3)]
        await _settled()
        with pytest.raises(TenantQueueFull):
            await take_turn(A)
        tasks.append(asyncio.create_task(take_turn(B)))
        await _settled()
        # The queue is full: the tenant with the largest share loses its newest request.
        third = UUID(int=4)
        tasks.append(asyncio.create_task(take_turn(third)))
        await _settled()
        assert queue.waiting == 4
        with pytest.raises(FairQueueFull):
            await tasks[2]
        # Nothing is evicted for a tenant that would have the largest share itself.
        tasks.append(asyncio.create_task(take_turn(B)))
        await _settled()
        with pytest.raises(FairQueueFull):
            await tasks[-1]
    await asyncio.gather(*(each for each in tasks if not each.done()))

    assert queue.waiting == 0


async def test_the_turn_of_a_cancelled_request_goes_to_the_next() -> None:
    queue = FairQueue()
    order = []

    async def take_turn(tenant: UUID) -> None:
        async with queue.turn(tenant, cost=1):
            order.append(tenant)

    async with queue.turn(C, cost=0):
        gone, left = asyncio.create_task(take_turn(A)), asyncio.create_task(take_turn(B))
        await _settled()
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        late = asyncio.create_task(take_turn(A))
        await _settled()
    # Its turn has been granted, and the task has not run since.
    late.cancel()
    await left
    with suppress(asyncio.CancelledError):
        await late
    async with asyncio.timeout(5), queue.turn(A, cost=1):
        pass

    assert order[:1] == [B]


async def test_decompression_bombs_leave_turns_to_another_tenant() -> None:
    turns = FairQueue()
    compressor = zlib.compressobj(wbits=31)
    bomb = compressor.compress(bytes(64 * 1024 * 1024)) + compressor.flush()
    small = zlib.compressobj(wbits=31)
    upload = small.compress(bytes(1024 * 1024)) + small.flush()
    pieces = {A: 0, B: 0}

    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    async def take(tenant: UUID, data: bytes) -> None:
        async for _ in decompressed(chunks(data), "gzip", turns=turns, tenant=tenant, weight=100):
            pieces[tenant] += 1

    async with asyncio.TaskGroup() as tasks:
        flood = [tasks.create_task(take(A, bomb)) for _ in range(40)]
        await _settled()
        before = pieces[A]
        await tasks.create_task(take(B, upload))
        meanwhile = pieces[A] - before
        for each in flood:
            each.cancel()

    assert pieces[B] >= 4
    assert meanwhile <= 2 * pieces[B] + 2
