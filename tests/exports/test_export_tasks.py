"""A task is one worker's at a time, in turns of tenants; what a lost one reports is refused."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app.db import Connection, Pool
from app.exports import claim_store, ending, outcome_store, store, task_store
from app.exports.model import ExportStatus
from app.exports.plan.model import Report
from app.exports.retention import delete_exports
from app.exports.task_store import ClaimedTask, LeaseLost
from app.exports.work import Outcome
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, open_exports

WORKER, OTHER = uuid.uuid7(), uuid.uuid7()


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    async with open_exports(pool, settings) as running:
        yield running


async def claim(conn: Connection, *, seconds: float = 60.0, by: UUID = WORKER) -> ClaimedTask:
    task = await claim_store.claim_task(conn, by, lease_seconds=seconds)
    assert task is not None
    return task


async def renew(conn: Connection, task: ClaimedTask, *, reads: bool = True) -> bool:
    # A task that writes reads what has been counted.
    return await task_store.renew(conn, task, lease_seconds=60.0, raw_bytes_done=0, reads=reads)


def outcome() -> Outcome:
    report = Report(
        rows_in=1,
        rows_out=1,
        duplicates=0,
        bad_rows=0,
        bad=(),
        files=(),
        columns=(),
        cpu_ms=1.0,
        peak_memory_bytes=1,
    )
    return Outcome(report=report, files=())


async def test_an_expired_lease_is_another_workers_and_the_late_outcome_is_refused(
    exports: RunningExports,
) -> None:
    export = await exports.create()
    async with exports.pool.acquire() as conn:
        late = await claim(conn, seconds=-1.0)
        taken = await claim(conn, by=OTHER)
        assert (late.attempts, taken.attempts) == (1, 2)
        assert await claim_store.claim_task(conn, WORKER, lease_seconds=60.0) is None
        assert not await renew(conn, late)
        await task_store.release(conn, late, after_seconds=0.0, counts=True)
        with pytest.raises(LeaseLost):
            async with conn.transaction():
                await outcome_store.record(conn, late, outcome())
        assert await renew(conn, taken)
        async with conn.transaction():
            await outcome_store.record(conn, taken, outcome())
        # Once is enough.
        with pytest.raises(LeaseLost):
            async with conn.transaction():
                await outcome_store.record(conn, taken, outcome())
        assert await claim_store.claim_task(conn, WORKER, lease_seconds=60.0) is None
    [row] = await exports.tasks(export)
    assert row["done_token"] == taken.lease_token
    assert (await exports.row(export))["rows_in"] == 1


async def test_trouble_is_told_since_it_began_and_until_the_task_reads(
    exports: RunningExports,
) -> None:
    export = await exports.create()
    async with exports.pool.acquire() as conn:

        async def told() -> tuple[str | None, datetime | None]:
            shown = await store.select_export(conn, TENANT, export)
            assert shown is not None
            return shown.trouble, shown.trouble_since

        async def give_back(trouble: str | None) -> None:
            task = await claim(conn)
            assert await renew(conn, task, reads=False)
            await task_store.release(conn, task, after_seconds=0.0, counts=True, trouble=trouble)

        await give_back("a")
        _, since = await told()
        assert since is not None
        for trouble in ("b", None):
            await give_back(trouble)
        assert await told() == ("b", since)
        task = await claim(conn)
        assert await told() == ("b", since)
        assert await renew(conn, task)
        assert await told() == (None, None)


async def test_one_tenant_has_one_task_in_hand_while_others_wait(exports: RunningExports) -> None:
    other = uuid.uuid7()
    await exports.pool.execute("INSERT INTO tenants (id, name) VALUES ($1, 'other')", other)
    mine = [await exports.create() for _ in range(3)]
    others = [await exports.create(tenant=other) for _ in range(2)]
    async with exports.pool.acquire() as conn:
        claimed = [(await claim(conn)).export_id for _ in range(5)]
    assert claimed == [mine[0], others[0], mine[1], others[1], mine[2]]


async def test_who_comes_late_does_not_wait_for_all_that_another_tenant_has_queued(
    exports: RunningExports,
) -> None:
    other = uuid.uuid7()
    await exports.pool.execute("INSERT INTO tenants (id, name) VALUES ($1, 'other')", other)
    mine = [await exports.create() for _ in range(3)]
    late: list[UUID] = []
    claimed = []
    async with exports.pool.acquire() as conn:
        for _ in range(4):
            task = await claim(conn)
            claimed.append(task.export_id)
            late = late or [await exports.create(tenant=other)]
            async with conn.transaction():
                await outcome_store.record(conn, task, outcome())
    assert claimed == [mine[0], late[0], mine[1], mine[2]]


async def test_those_of_a_suspended_tenant_rest(exports: RunningExports) -> None:
    await exports.create()
    async with exports.pool.acquire() as conn:
        await conn.execute("UPDATE tenants SET suspended_at = now() WHERE id = $1", TENANT)
        assert await claim_store.claim_task(conn, WORKER, lease_seconds=60.0) is None
        await conn.execute("UPDATE tenants SET suspended_at = NULL WHERE id = $1", TENANT)
        await claim(conn)


async def test_a_released_task_is_due_later_and_counts_as_it_is_said(
    exports: RunningExports,
) -> None:
    await exports.create()
    async with exports.pool.acquire() as conn:
        await task_store.release(conn, await claim(conn), after_seconds=0.0, counts=False)
        await task_store.release(conn, await claim(conn), after_seconds=0.0, counts=True)
        task = await claim(conn)
        assert task.attempts == 2
        await task_store.release(conn, task, after_seconds=3600.0, counts=False)
        assert await claim_store.claim_task(conn, WORKER, lease_seconds=60.0) is None


async def test_due_tasks_are_found_by_the_index_of_each_tenant(exports: RunningExports) -> None:
    async with exports.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        values = (WORKER, 1, 60.0, True)
        rows = await conn.fetch(f"EXPLAIN {claim_store.CLAIM_TASK}", *values)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on export_tasks" not in plan, plan
        assert re.search(r"tenant_id = a\w*\.tenant_id\) AND \(due_at <= now\(\)\)", plan), plan


async def test_a_tenant_comes_to_its_turn_beside_many_older_tasks_of_another(
    exports: RunningExports,
) -> None:
    other = uuid.uuid7()
    await exports.pool.execute("INSERT INTO tenants (id, name) VALUES ($1, 'other')", other)
    for _ in range(10):
        await exports.create()
    last = await exports.create(tenant=other)
    async with exports.pool.acquire() as conn:
        await claim(conn)
        assert (await claim(conn)).export_id == last


async def test_an_ended_export_takes_leases_from_its_tasks(exports: RunningExports) -> None:
    export = await exports.create()
    async with exports.pool.acquire() as conn:
        task = await claim(conn)
        async with conn.transaction():
            await ending.end(conn, TENANT, export, ExportStatus.CANCELLED)
        # What was about to end it, too, finds that it has ended.
        assert await ending.lock_unfinished(conn, TENANT, export) is None
        assert not await renew(conn, task)
        await task_store.release(conn, task, after_seconds=0.0, counts=True)
        assert await claim_store.claim_task(conn, OTHER, lease_seconds=60.0) is None
        with pytest.raises(LeaseLost):
            async with conn.transaction():
                await outcome_store.record(conn, task, outcome())


async def test_a_callback_that_is_still_tried_keeps_an_export_for_some_days(
    exports: RunningExports,
) -> None:
    export = await exports.create()
    async with exports.pool.acquire() as conn:
        await conn.execute("UPDATE exports SET callback_url = 'https://example.com/'")
        async with conn.transaction():
            await ending.end(conn, TENANT, export, ExportStatus.CANCELLED)
        for days, deleted in ((31, 0), (35, 1)):
            await conn.execute(
                "UPDATE exports SET created_at = now() - interval '99 days', "
                "finished_at = now() - make_interval(days => $1)",
                days,
            )
            assert (await delete_exports(conn, 30, 10)).items == deleted
