"""An outcome that fails or waits takes no other of its group with it, nor another tenant's."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.db import Pool
from app.executions.dispatch.completion import record_outcome
from app.executions.dispatch.outcome_groups import finish_several
from app.executions.model import Claim, Finish
from app.payloads.writer import stored_inline
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.support.queues import SUCCESS, Queues
from tests.support.submissions import wait_for_locks

END_WAITING_BACKENDS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
COUNT_RESULTS = "SELECT count(*) FROM payloads WHERE kind = 'result'"
RESULT = replace(SUCCESS, result=stored_inline(b"1"))


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources


@asynccontextmanager
async def locked(pool: Pool, claim: Claim) -> AsyncIterator[None]:
    """Let what records the outcome of a claim wait for the end of the block."""
    async with pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM executions WHERE id = $1 FOR UPDATE", claim.id)
        try:
            yield
        finally:
            await transaction.rollback()


def record(resources: Resources, *outcomes: tuple[Claim, Finish]) -> list["asyncio.Task[None]"]:
    return [asyncio.create_task(record_outcome(resources, *each)) for each in outcomes]


def reports(logs: list[MutableMapping[str, Any]]) -> list[str]:
    return sorted(str(each["id"]) for each in logs if each["event"] == "execution.finished")


async def test_a_value_that_postgresql_refuses_fails_alone(
    queues: Queues, resources: Resources
) -> None:
    await queues.accept(await queues.tenant(), 4)
    held = await queues.claim(4)
    outcomes = [(claim, RESULT) for claim in held]
    outcomes[2] = (held[2], replace(RESULT, v8_version="\0"))

    async with locked(queues.pool, held[0]):
        tasks = record(resources, *outcomes)
        await wait_for_locks(queues.pool)
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(answers[2], asyncpg.PostgresError)
    assert [await queues.status(each.id) for each in held] == [
        "succeeded", "succeeded", "running", "succeeded",
    ]  # fmt: skip
    assert await queues.pool.fetchval(COUNT_RESULTS) == 3


async def test_a_lost_connection_loses_and_doubles_no_outcome_of_a_group(
    queues: Queues, resources: Resources
) -> None:
    await queues.accept(await queues.tenant(), 6)
    held = await queues.claim(6)

    with capture_logs() as logs:
        async with locked(queues.pool, held[3]):
            async with locked(queues.pool, held[0]):
                tasks = record(resources, *((claim, RESULT) for claim in held))
                await wait_for_locks(queues.pool)
            await tasks[0]
            await wait_for_locks(queues.pool)
            assert await queues.pool.fetchval(END_WAITING_BACKENDS) == 1
        await asyncio.gather(*tasks)

    assert [await queues.status(each.id) for each in held] == ["succeeded"] * 6
    assert await queues.pool.fetchval(COUNT_RESULTS) == 6
    assert reports(logs) == sorted(str(each.id) for each in held)


async def test_a_group_whose_reply_was_lost_is_reported_and_changes_nothing(
    queues: Queues, resources: Resources
) -> None:
    await queues.accept(await queues.tenant(), 4)
    held = await queues.claim(4)
    async with queues.pool.acquire() as conn:
        await finish_several(conn, [(claim, RESULT) for claim in held])
    ended = "SELECT array_agg(finished_at ORDER BY id) FROM executions"
    before = await queues.pool.fetchval(ended)

    with capture_logs() as logs:
        again = replace(RESULT, run_ms=9.0)
        await asyncio.gather(*record(resources, *((claim, again) for claim in held)))

    assert reports(logs) == sorted(str(each.id) for each in held)
    assert await queues.pool.fetchval(ended) == before
    assert await queues.pool.fetchval(COUNT_RESULTS) == 4


async def test_a_tenant_that_waits_for_a_lock_delays_no_other(
    queues: Queues, resources: Resources
) -> None:
    await queues.accept(await queues.tenant(), 3)
    mine = await queues.claim(3)
    await queues.accept(await queues.tenant(), 3)
    theirs = await queues.claim(3)

    async with locked(queues.pool, mine[0]):
        waiting = record(resources, *((claim, RESULT) for claim in mine))
        await wait_for_locks(queues.pool)
        await asyncio.gather(*record(resources, *((claim, RESULT) for claim in theirs)))
        assert not any(each.done() for each in waiting)
    await asyncio.gather(*waiting)

    assert await queues.pool.fetchval(COUNT_RESULTS) == 6
    assert len(resources.lanes) == 0


async def test_a_quota_that_comes_near_while_a_group_waits_is_exact(
    queues: Queues, resources: Resources
) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, 4)
    held = await queues.claim(4)
    outcomes = [(claim, RESULT) for claim in held]
    await queues.pool.execute("UPDATE tenants SET max_stored_bytes = 2 ^ 40")

    async with queues.pool.acquire() as other, queues.pool.acquire() as conn:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 1))", str(tenant)
        )
        recording = asyncio.create_task(finish_several(conn, outcomes))
        await wait_for_locks(queues.pool)
        # Room for two results is left.
        await other.execute(
            "INSERT INTO tenant_usage (tenant_id, shard, day, stored_bytes) "
            "SELECT $1, -1, utc_today(), 2 ^ 40 - 2 - sum(stored_bytes) FROM tenant_usage",
            tenant,
        )
        await transaction.commit()
        assert await recording == [None] * 4
    assert await queues.pool.fetchval(COUNT_RESULTS) == 0

    await asyncio.gather(*record(resources, *outcomes))
    assert await queues.pool.fetchval(COUNT_RESULTS) == 2
