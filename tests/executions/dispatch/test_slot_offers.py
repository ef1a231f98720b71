"""An acceptance hands over to an offered slot where that takes nobody's turn, and never twice."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuid

from app.db import Pool
from app.executions.dispatch import slot_offers
from app.executions.model import Claim, Status
from app.sandbox.pool import Room
from tests.support.queues import Queues

MIB = 2**20


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def handed(queues: Queues) -> AsyncIterator[list[str]]:
    """What is handed over to the worker, in notifications."""
    payloads: list[str] = []
    channel = slot_offers.channel_of(queues.worker)
    async with queues.pool.acquire() as conn:
        await conn.add_listener(channel, lambda *notice: payloads.append(str(notice[3])))
        yield payloads
        await conn.reset()


async def test_an_offered_slot_gets_the_execution_with_its_acceptance(
    queues: Queues, handed: list[str]
) -> None:
    await offer(queues)
    [execution] = await accept(queues, await queues.tenant())

    [(sent, token)] = await sent_to(queues, handed)
    assert sent == execution
    assert await queues.status(execution) is Status.RUNNING
    assert await queues.claim() == []
    await queues.require_consistent()
    row = await queues.pool.fetchrow(
        "SELECT attempts, worker_id, lease_token FROM executions WHERE id = $1", execution
    )
    assert row is not None
    assert tuple(row) == (0, queues.worker, token)


async def test_what_begins_is_what_a_claim_returns(queues: Queues, handed: list[str]) -> None:
    tenant = await queues.tenant(source=b"a source")
    [queued] = await queues.accept(tenant, labels={"a": "b"}, params=b"[1]")
    [claimed] = await queues.claim()
    await queues.finish(claimed)
    await queues.claim()
    await offer(queues)
    [execution] = await accept(queues, tenant, labels={"a": "b"}, params=b"[1]")

    begun = await begin(queues, *(await sent_to(queues, handed))[0])

    assert begun is not None
    assert (claimed.id, begun.id) == (queued, execution)
    for name in Claim.__struct_fields__:
        if name not in {"id", "lease_token", "clock_ms", "created_at"}:
            assert getattr(begun, name) == getattr(claimed, name), name
    assert await queues.finish(begun) is not None
    assert await queues.status(execution) is Status.SUCCEEDED


async def test_a_hand_over_begins_once(queues: Queues, handed: list[str]) -> None:
    await offer(queues)
    await accept(queues, await queues.tenant())
    [sent] = await sent_to(queues, handed)

    begun = await asyncio.gather(*(begin(queues, *sent) for _ in range(4)))

    assert sum(each is not None for each in begun) == 1


async def test_a_slot_is_taken_once(queues: Queues, handed: list[str]) -> None:
    await offer(queues, slots=2)
    tenant = await queues.tenant()

    ids = [each for _ in range(3) for each in await accept(queues, tenant)]

    assert [sent for sent, _ in await sent_to(queues, handed)] == ids[:2]
    assert [each.id for each in await queues.claim(3)] == ids[2:]


async def test_acceptances_at_once_take_a_slot_each(queues: Queues, handed: list[str]) -> None:
    await offer(queues, slots=2)
    tenant = await queues.tenant()

    ids = [each for [each] in await asyncio.gather(*(accept(queues, tenant) for _ in range(6)))]

    sent = [sent for sent, _ in await sent_to(queues, handed)]
    assert len(set(sent)) == len(sent) <= 2
    assert {each.id for each in await queues.claim(6)} == set(ids) - set(sent)


@pytest.mark.parametrize("way", ["expired", "withdrawn", "partly withdrawn", "never made"])
async def test_without_an_offer_the_execution_is_queued(
    queues: Queues, handed: list[str], way: str
) -> None:
    if way != "never made":
        await offer(queues, slots=1)
    async with queues.pool.acquire() as conn:
        if way == "expired":
            await conn.execute("UPDATE slot_offers SET expires_at = now()")
        elif way == "withdrawn":
            await slot_offers.withdraw(conn, queues.worker)
        elif way == "partly withdrawn":
            await slot_offers.withdraw(conn, queues.worker, above=0)

    await _require_queued(queues, handed, await queues.tenant())


async def test_nothing_overtakes_what_is_queued(queues: Queues, handed: list[str]) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant)
    await offer(queues)

    await _require_queued(queues, handed, tenant)


async def test_nothing_is_handed_over_beside_an_active_tenant(
    queues: Queues, handed: list[str]
) -> None:
    # Whose turn it is, a claim decides.
    other = await queues.tenant()
    await queues.accept(other)
    [claim] = await queues.claim()
    await offer(queues)
    tenant = await queues.tenant()
    await _require_queued(queues, handed, tenant)

    await queues.finish(claim)
    for each in await queues.claim():
        await queues.finish(each)
    await queues.claim()
    await accept(queues, tenant)

    assert len(await sent_to(queues, handed)) == 1


async def test_a_tenant_that_was_handed_something_is_active(
    queues: Queues, handed: list[str]
) -> None:
    # A newcomer then starts with its usage, and not below it.
    await offer(queues, slots=2)
    tenant, other = await queues.tenant(), await queues.tenant()
    await accept(queues, tenant)

    await accept(queues, other)

    assert len(await sent_to(queues, handed)) == 1
    assert await queues.pool.fetchval(
        "SELECT active FROM tenant_shares WHERE tenant_id = $1", tenant
    )


async def test_a_running_cap_is_left_to_claims(queues: Queues, handed: list[str]) -> None:
    await offer(queues)

    await _require_queued(queues, handed, await queues.tenant(max_running=5))


async def test_a_suspended_tenant_gets_no_slot(queues: Queues, handed: list[str]) -> None:
    await offer(queues)
    tenant = await queues.tenant()
    await queues.pool.execute("UPDATE tenants SET suspended_at = now() WHERE id = $1", tenant)

    await accept(queues, tenant)

    assert await sent_to(queues, handed) == []


async def test_an_execution_larger_than_the_offer_is_queued(
    queues: Queues, handed: list[str]
) -> None:
    room = Room(
        now_bytes=160 * MIB, largest_bytes=500 * MIB, overhead_bytes=10 * MIB, may_wait=True
    )
    tenant = await queues.tenant()
    # Two slots share the room.
    await offer(queues, slots=2, room=room)
    [small] = await accept(queues, tenant, memory_bytes=70 * MIB)
    assert [sent for sent, _ in await sent_to(queues, handed)] == [small]

    await _require_queued(queues, handed, tenant, memory_bytes=71 * MIB)


async def test_a_slot_that_is_being_taken_is_not_waited_for(
    queues: Queues, handed: list[str]
) -> None:
    await offer(queues)
    async with queues.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM slot_offers FOR UPDATE")
        await _require_queued(queues, handed, await queues.tenant())


async def test_a_refused_submission_takes_no_slot(queues: Queues, handed: list[str]) -> None:
    await offer(queues)
    tenant = await queues.tenant()
    [first] = await accept(queues, tenant)
    await offer(queues)
    with pytest.raises(asyncpg.UniqueViolationError):
        await queues.accept(tenant, ids=[first], may_hand_over=True)
    [second] = await accept(queues, tenant)

    assert [sent for sent, _ in await sent_to(queues, handed)] == [first, second]


async def test_a_lost_hand_over_costs_no_attempt_and_no_share(
    queues: Queues, handed: list[str]
) -> None:
    await offer(queues)
    [execution] = await accept(queues, await queues.tenant())
    [sent] = await sent_to(queues, handed)
    left = await queues.pool.fetchval(
        "SELECT extract(epoch FROM lease_expires_at - now())::float8 FROM executions"
    )
    assert 0 < left <= 1
    await _expire(queues, execution)

    [rescued] = await queues.rescue(max_attempts=1)

    assert (rescued.id, rescued.status, rescued.attempts) == (execution, "queued", 0)
    assert await begin(queues, *sent) is None
    [claim] = await queues.claim()
    assert (claim.id, claim.attempts) == (execution, 1)


async def test_one_that_has_begun_counts_and_has_a_full_lease(
    queues: Queues, handed: list[str]
) -> None:
    await offer(queues)
    [execution] = await accept(queues, await queues.tenant())
    await begin(queues, *(await sent_to(queues, handed))[0])
    assert await queues.rescue() == []
    await _expire(queues, execution)

    [rescued] = await queues.rescue()

    assert (rescued.status, rescued.attempts) == ("queued", 1)


async def test_a_cancelled_hand_over_does_not_begin(queues: Queues, handed: list[str]) -> None:
    await offer(queues)
    tenant = await queues.tenant()
    [execution] = await accept(queues, tenant)
    [sent] = await sent_to(queues, handed)

    assert await queues.cancel(tenant, execution) is Status.RUNNING

    assert await begin(queues, *sent) is None
    assert await queues.status(execution) is Status.CANCELLED


async def test_a_declined_hand_over_is_queued_again(queues: Queues, handed: list[str]) -> None:
    await offer(queues)
    [execution] = await accept(queues, await queues.tenant())
    [sent] = await sent_to(queues, handed)

    async with queues.pool.acquire() as conn:
        assert await slot_offers.return_to_queue(conn, *sent)
        assert not await slot_offers.return_to_queue(conn, *sent)

    await queues.require_consistent()
    assert [each.attempts for each in await queues.claim()] == [1]
    assert await begin(queues, *sent) is None
    assert await queues.status(execution) is Status.RUNNING


async def test_a_begun_hand_over_cannot_be_declined(queues: Queues, handed: list[str]) -> None:
    await offer(queues)
    await accept(queues, await queues.tenant())
    [sent] = await sent_to(queues, handed)
    begun = await begin(queues, *sent)
    assert begun is not None

    async with queues.pool.acquire() as conn:
        assert not await slot_offers.return_to_queue(conn, *sent)

    assert await queues.finish(begun) is not None


async def offer(queues: Queues, *, slots: int = 1, room: Room | None = None) -> None:
    async with queues.pool.acquire() as conn:
        await slot_offers.offer(conn, queues.worker, slots=slots, room=room)


async def accept(
    queues: Queues,
    tenant: UUID,
    *,
    memory_bytes: int = 2**26,
    labels: dict[str, str] | None = None,
    params: bytes | None = None,
) -> list[UUID]:
    return await queues.accept(
        tenant, may_hand_over=True, memory_bytes=memory_bytes, labels=labels, params=params
    )


async def sent_to(queues: Queues, handed: list[str]) -> list[tuple[UUID, int]]:
    """Return execution and token of each hand-over until now."""
    mark = str(uuid.uuid7())
    channel = slot_offers.channel_of(queues.worker)
    await queues.pool.execute("SELECT pg_notify($1, $2)", channel, mark)
    while mark not in handed:  # noqa: ASYNC110 - asyncpg has no event for a notification
        await asyncio.sleep(0.01)
    handed.remove(mark)
    pairs = [each.split() for each in handed if " " in each]
    return [(UUID(execution), int(token)) for execution, token in pairs]


async def begin(queues: Queues, execution: UUID, token: int) -> Claim | None:
    async with queues.pool.acquire() as conn:
        return await slot_offers.begin(conn, execution, token, lease_seconds=60)


async def _require_queued(
    queues: Queues, handed: list[str], tenant: UUID, *, memory_bytes: int = 2**26
) -> None:
    before = await sent_to(queues, handed)
    [execution] = await accept(queues, tenant, memory_bytes=memory_bytes)

    assert await sent_to(queues, handed) == before
    assert await queues.status(execution) is Status.QUEUED
    await queues.require_consistent()


async def _expire(queues: Queues, execution: UUID) -> None:
    await queues.pool.execute(
        "UPDATE executions SET lease_expires_at = now() - interval '1 ms' WHERE id = $1", execution
    )
