"""Turns at what is scarce: by weight, bounded for each tenant, and lost by nobody."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import pytest

from app.fair_queue import FairQueue, QueueFull, ShareFull
from app.http.decompression import decompressed

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


async def _settled() -> None:
    """Let every task come to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _order(queue: FairQueue, wanted: list[tuple[UUID, int]]) -> list[UUID]:
    """Give the order in which tenants of these weights have turns that all cost the same."""
    order = []

    async def have(tenant: UUID, weight: int) -> None:
        async with queue.turn(tenant, weight=weight, cost=1):
            order.append(tenant)
            await asyncio.sleep(0)

    async with queue.turn(C, cost=0):
        tasks = [asyncio.create_task(have(*each)) for each in wanted]
        await _settled()
    await asyncio.gather(*tasks)
    return order


async def test_one_of_few_requests_waits_for_about_one_turn_of_one_of_many() -> None:
    order = await _order(FairQueue(), [*[(A, 100)] * 40, (B, 100)])

    assert order.index(B) <= 1


async def test_turns_are_had_by_weight() -> None:
    order = await _order(FairQueue(), [*[(A, 300)] * 40, *[(B, 100)] * 40])

    assert order[:40].count(A) == 30


async def test_what_a_turn_takes_counts_not_their_number() -> None:
    queue = FairQueue()
    order = []

    async def have(tenant: UUID, cost: float) -> None:
        async with queue.turn(tenant, cost=cost):
            order.append(tenant)
            await asyncio.sleep(0)

    async with queue.turn(C, cost=0):
        tasks = [asyncio.create_task(have(A, 10)) for _ in range(10)]
        tasks += [asyncio.create_task(have(B, 1)) for _ in range(10)]
        await _settled()
    await asyncio.gather(*tasks)

    assert order[:11].count(B) == 10


async def test_one_who_comes_back_has_saved_nothing_up() -> None:
    queue = FairQueue()
    async with queue.turn(B, cost=0):
        pass
    order = []

    async def have(tenant: UUID) -> None:
        async with queue.turn(tenant, cost=1):
            order.append(tenant)
            await asyncio.sleep(0)

    async with queue.turn(A, cost=50):
        first = [asyncio.create_task(have(A)) for _ in range(4)]
        await _settled()
    await _settled()
    later = [asyncio.create_task(have(B)) for _ in range(4)]
    await asyncio.gather(*first, *later)

    assert order[0] == A
    assert set(order[-2:]) != {A}


async def test_a_tenant_has_its_share_of_the_queue_and_no_more() -> None:
    queue = FairQueue(max_waiting=4, max_waiting_of_tenant=3)

    async def have(tenant: UUID) -> None:
        async with queue.turn(tenant, cost=1):
            pass

    async with queue.turn(C, cost=0):
        tasks = [asyncio.create_task(have(A)) for _ in range(3)]
        await _settled()
        with pytest.raises(ShareFull):
            await have(A)
        tasks.append(asyncio.create_task(have(B)))
        await _settled()
        # The queue is full; who has the most of it gives way to one who has none.
        third = UUID(int=4)
        tasks.append(asyncio.create_task(have(third)))
        await _settled()
        assert queue.waiting == 4
        with pytest.raises(QueueFull):
            await tasks[2]
        # Among equals nobody gives way.
        tasks.append(asyncio.create_task(have(B)))
        await _settled()
        with pytest.raises(QueueFull):
            await tasks[-1]
    await asyncio.gather(*(each for each in tasks if not each.done()))

    assert queue.waiting == 0


async def test_a_turn_of_one_who_has_gone_is_the_next_ones() -> None:
    queue = FairQueue()
    had = []

    async def have(tenant: UUID) -> None:
        async with queue.turn(tenant, cost=1):
            had.append(tenant)

    async with queue.turn(C, cost=0):
        gone, left = asyncio.create_task(have(A)), asyncio.create_task(have(B))
        await _settled()
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        late = asyncio.create_task(have(A))
        await _settled()
    # Its turn has come by now, and it has not heard of it yet.
    late.cancel()
    await left
    with suppress(asyncio.CancelledError):
        await late
    async with asyncio.timeout(5), queue.turn(A, cost=1):
        pass

    assert had[:1] == [B]


async def test_a_flood_of_bombs_leaves_anothers_upload_its_turns() -> None:
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
