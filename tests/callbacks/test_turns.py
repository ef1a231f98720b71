"""Callbacks of many tenants take turns, and no host gets more than its part."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.callbacks.delivery.claims import ClaimedCallback, claim, record, release
from app.callbacks.model import CallbackStatus
from app.callbacks.store import disable_url
from app.db import Pool
from app.prometheus.store import select_pending_callbacks
from app.settings import Settings
from tests.callbacks.deliveries import Deliveries
from tests.support.receivers import Receiver, open_receiver

HOST_A, HOST_B = "https://a.example/", "https://b.example/"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture
def deliveries(pool: Pool, settings: Settings) -> Deliveries:
    return Deliveries(pool, settings)


async def _claim(
    pool: Pool,
    room: int = 100,
    *,
    reserved: int = 0,
    most_of_tenant: int = 100,
    most_of_host: int = 100,
    busy: list[ClaimedCallback] | None = None,
) -> list[ClaimedCallback]:
    busy = busy or []
    async with pool.acquire() as conn:
        return await claim(
            conn,
            room=room,
            reserved=reserved,
            most_of_tenant=most_of_tenant,
            most_of_host=most_of_host,
            tenants=Counter(each.tenant_id for each in busy),
            hosts=Counter(each.host for each in busy),
        )


def _by_tenant(claimed: list[ClaimedCallback]) -> dict[UUID, int]:
    return dict(Counter(each.tenant_id for each in claimed))


async def test_tenants_take_turns_however_many_callbacks_one_has(deliveries: Deliveries) -> None:
    many, few = [await deliveries.queues.tenant() for _ in range(2)]
    await deliveries.ended(HOST_A, tenant=many, count=20)
    await deliveries.ended(HOST_A, tenant=few, count=3)

    first = await _claim(deliveries.pool, 4)
    second = await _claim(deliveries.pool, 4, busy=first)

    assert _by_tenant(first) == {many: 2, few: 2}
    assert _by_tenant(second) == {many: 3, few: 1}


async def test_a_tenant_and_a_host_get_no_more_than_their_part(deliveries: Deliveries) -> None:
    one, other = [await deliveries.queues.tenant() for _ in range(2)]
    await deliveries.ended(HOST_A, tenant=one, count=9)
    await deliveries.ended(HOST_B, tenant=one, count=9)
    await deliveries.ended(HOST_A, tenant=other, count=9)

    claimed: list[ClaimedCallback] = []
    while more := await _claim(deliveries.pool, most_of_tenant=6, most_of_host=4, busy=claimed):
        claimed += more

    hosts = Counter(each.host for each in claimed)
    assert hosts == {"a.example": 4, "b.example": 4}
    assert _by_tenant(claimed) == {one: 6, other: 2}


async def test_callbacks_to_a_full_host_are_passed_over_and_not_read(
    deliveries: Deliveries,
) -> None:
    tenant = await deliveries.queues.tenant()
    await deliveries.pool.execute(
        """
        INSERT INTO callbacks (tenant_id, subject, subject_id, url, status, next_attempt_at)
        SELECT $1, 'execution', gen_random_uuid(), 'https://full.example/', 'pending',
               now() - interval '1 hour'
        FROM generate_series(1, 2000)
        """,
        tenant,
    )
    executions = await deliveries.ended(HOST_B, tenant=tenant, count=3)

    async with deliveries.pool.acquire() as conn, conn.transaction():
        claimed = await claim(
            conn,
            room=100,
            reserved=0,
            most_of_tenant=8,
            most_of_host=4,
            tenants={},
            hosts={"full.example": 4},
        )
        read = await conn.fetchval(
            """
            SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
            WHERE relname = 'callbacks'
            """
        )

    assert {each.subject_id for each in claimed} == set(executions)
    assert read < 200


async def test_the_last_of_the_room_is_for_tenants_without_attempts(
    deliveries: Deliveries,
) -> None:
    slow, other = [await deliveries.queues.tenant() for _ in range(2)]
    await deliveries.ended(HOST_A, tenant=slow, count=9)
    held = await _claim(deliveries.pool, 4, reserved=2)
    none = await _claim(deliveries.pool, 2, reserved=2, busy=held)

    await deliveries.ended(HOST_B, tenant=other, count=3)
    first = await _claim(deliveries.pool, 2, reserved=2, busy=held)

    assert (_by_tenant(held), none) == ({slow: 2}, [])
    assert _by_tenant(first) == {other: 1}


async def test_two_processes_never_claim_the_same(deliveries: Deliveries) -> None:
    await deliveries.ended(HOST_A, count=40)

    claimed = await asyncio.gather(*(_claim(deliveries.pool, 10) for _ in range(8)))
    rest = await _claim(deliveries.pool)

    ids = [each.id for batch in [*claimed, rest] for each in batch]
    assert len(ids) == len(set(ids)) == 40


async def test_a_claim_expires_and_its_late_report_is_refused(deliveries: Deliveries) -> None:
    [execution] = await deliveries.ended(HOST_A)
    [lost] = await _claim(deliveries.pool)
    assert await _claim(deliveries.pool) == []

    await deliveries.make_due()
    [claimed] = await _claim(deliveries.pool)

    assert (claimed.id, claimed.unrecorded) == (lost.id, 2)
    assert not await _record(deliveries.pool, lost)
    assert (await deliveries.callback(execution)).status is CallbackStatus.PENDING
    assert await _record(deliveries.pool, claimed)
    assert not await _record(deliveries.pool, claimed)
    callback = await deliveries.callback(execution)
    assert callback.status is CallbackStatus.DELIVERED
    assert [each.number for each in callback.attempts] == [2]


async def test_lost_attempts_use_nothing_of_the_schedule_but_come_ever_later(
    deliveries: Deliveries,
) -> None:
    await deliveries.ended(HOST_A)
    leases, claims = [], []
    for _ in range(12):
        await deliveries.make_due()
        claims += await _claim(deliveries.pool)
        leases.append(
            await deliveries.pool.fetchval(
                "SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM callbacks"
            )
        )
    assert [(each.tries, each.unrecorded) for each in claims] == [(1, n) for n in range(1, 13)]
    assert leases == pytest.approx([min(25 * 2**n, 21_600) for n in range(12)], abs=12)

    assert await _record(deliveries.pool, claims[-1], CallbackStatus.PENDING)

    [after] = await _claim(deliveries.pool)
    assert (after.tries, after.unrecorded) == (2, 1)


async def test_a_released_claim_is_due_at_once(deliveries: Deliveries) -> None:
    await deliveries.ended(HOST_A, count=2)
    claimed = await _claim(deliveries.pool)

    async with deliveries.pool.acquire() as conn:
        await release(conn, claimed[:1])

    [again] = await _claim(deliveries.pool)
    assert (again.id, again.tries, again.unrecorded) == (claimed[0].id, 1, 1)


async def test_a_410_leaves_the_attempts_under_way_their_records(deliveries: Deliveries) -> None:
    tenant = await deliveries.queues.tenant()
    [sent] = await deliveries.ended(HOST_A, tenant=tenant)
    [under_way] = await _claim(deliveries.pool)
    [waiting, lost] = await deliveries.ended(HOST_A, tenant=tenant, count=2)
    await deliveries.pool.execute(
        "UPDATE callbacks SET lease_token = 0, unrecorded = 1 WHERE subject_id = $1", lost
    )

    async with deliveries.pool.acquire() as conn:
        await disable_url(conn, tenant, uuid.uuid7(), HOST_A)

    for each in (waiting, lost):
        assert (await deliveries.callback(each)).status is CallbackStatus.DISABLED
    assert await _record(deliveries.pool, under_way)
    assert (await deliveries.callback(sent)).status is CallbackStatus.DELIVERED


async def test_a_suspended_tenants_callbacks_wait(deliveries: Deliveries) -> None:
    tenant = await deliveries.queues.tenant()
    [execution] = await deliveries.ended(HOST_A, tenant=tenant)
    await deliveries.pool.execute("UPDATE tenants SET suspended_at = now() WHERE id = $1", tenant)

    suspended = await _claim(deliveries.pool)
    async with deliveries.pool.acquire() as conn:
        overdue = await select_pending_callbacks(conn)
    await deliveries.pool.execute("UPDATE tenants SET suspended_at = NULL WHERE id = $1", tenant)
    resumed = await _claim(deliveries.pool)

    assert suspended == []
    # They are nobody's delay.
    assert (overdue.pending, overdue.overdue_seconds) == (1, 0)
    assert [each.subject_id for each in resumed] == [execution]


async def test_only_the_last_fifty_attempts_are_kept(deliveries: Deliveries) -> None:
    [execution] = await deliveries.ended(HOST_A)
    await deliveries.pool.execute("UPDATE callbacks SET attempts = 58")
    for _ in range(3):
        [claimed] = await _claim(deliveries.pool)
        await deliveries.pool.execute(
            """
            INSERT INTO callback_attempts (callback_id, number, tenant_id, started_at)
            SELECT id, n, tenant_id, now() FROM callbacks, generate_series(1, 58) AS n
            ON CONFLICT DO NOTHING
            """
        )
        assert await _record(deliveries.pool, claimed, CallbackStatus.PENDING)

    numbers = [each.number for each in (await deliveries.callback(execution)).attempts]
    assert numbers == list(range(12, 62))


async def test_a_slow_receiver_of_one_tenant_does_not_hold_up_another(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    deliveries.settings = replace(deliveries.settings, callback_slots=4)
    slow, quick = [await deliveries.queues.tenant() for _ in range(2)]
    await deliveries.ended(f"http://127.0.0.1:{receiver.port}/slow", tenant=slow, count=20)
    with open_receiver(host="127.0.0.2") as other:
        ids = await deliveries.ended(f"http://127.0.0.2:{other.port}/ok", tenant=quick, count=10)
        async with deliveries.running():
            for each in ids:
                await deliveries.reaches(each, CallbackStatus.DELIVERED)
            most = receiver.most_at_once["/slow"]

    # A quarter of four.
    assert most == 1


async def _record(
    pool: Pool, claimed: ClaimedCallback, status: CallbackStatus = CallbackStatus.DELIVERED
) -> bool:
    async with pool.acquire() as conn:
        return await record(
            conn,
            claimed,
            status,
            delay_seconds=0 if status is CallbackStatus.PENDING else None,
            started_at=await conn.fetchval("SELECT now()"),
            status_code=204,
        )
