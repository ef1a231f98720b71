"""A submission that fails, leaves or waits takes no other of its group, nor another tenant's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuid
from structlog.testing import capture_logs

from app.db import Connection, Pool
from app.limits import LimitChoice
from app.outages import DatabaseUnavailable
from app.quotas.model import Caps
from app.resources import Resources, open_resources
from app.scripts import store as scripts
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from app.tenants.store import insert_tenant
from tests.support.submissions import (
    COUNT_STATEMENTS,
    accept,
    accept_together,
    accepting,
    locked_tenant,
    wait_for_locks,
)

END_WAITING_BACKENDS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
async def resources(pool: Pool, settings: Settings) -> AsyncIterator[Resources]:
    async with pool.acquire() as conn:
        await _add_script(conn, TENANT)
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def _add_script(conn: Connection, tenant: UUID) -> None:
    script = uuid.uuid7()
    await scripts.insert_script(conn, tenant, script, name="plain", description="")
    await scripts.insert_version(conn, tenant, script, source=b"x", limits=LimitChoice(), note="")


async def stored(pool: Pool) -> set[UUID]:
    return {row["id"] for row in await pool.fetch("SELECT id FROM executions")}


async def test_a_value_that_postgresql_refuses_fails_alone(resources: Resources) -> None:
    with capture_logs() as logs:
        first, second, third, fourth = await accept_together(
            resources, {}, {}, {"label": "a secret \0"}, {}
        )

    assert isinstance(third, asyncpg.PostgresError)
    assert await stored(resources.pool) == {first, second, fourth}
    [line] = [each for each in logs if each["event"] == "shared_statement.failed"]
    assert (line["kind"], line["calls"]) == ("acceptances", 3)
    assert "secret" not in str(line)


async def test_a_client_that_leaves_while_it_waits_takes_no_other_with_it(
    resources: Resources,
) -> None:
    async with accepting(resources, [{}, {}, {}, {}]) as tasks:
        tasks[2].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(answers.pop(2), asyncio.CancelledError)
    assert await stored(resources.pool) == set(answers)
    assert len(resources.lanes) == 0


@asynccontextmanager
async def group_waiting(
    resources: Resources, count: int
) -> AsyncIterator[list["asyncio.Task[UUID]"]]:
    """Submit; within the block the first is accepted, and a group of the rest waits for a lock."""
    async with resources.pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        # Far from its quota, a single acceptance shares this lock; a group does not.
        await blocker.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended($1::text, 1))", str(TENANT)
        )
        async with accepting(resources, [{"caps": Caps(max_queued=1_000)}] * count) as tasks:
            pass
        await tasks[0]
        await wait_for_locks(resources.pool)
        try:
            yield tasks
        finally:
            await transaction.rollback()


async def test_a_client_that_leaves_while_its_group_is_stored_takes_no_other_with_it(
    resources: Resources,
) -> None:
    async with group_waiting(resources, 4) as tasks:
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])

    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(1), asyncio.CancelledError)
    # Its execution is stored, as when a client leaves after the commit.
    assert await stored(resources.pool) > set(answers)
    assert await resources.pool.fetchval(COUNT_STATEMENTS) == 2


async def test_after_a_lost_connection_nothing_of_a_group_is_stored_nor_acknowledged(
    resources: Resources,
) -> None:
    async with group_waiting(resources, 5) as tasks:
        assert await resources.pool.fetchval(END_WAITING_BACKENDS) == 1
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(each) for each in others] == [DatabaseUnavailable] * 4
    assert await stored(resources.pool) == {first}
    assert await accept(resources) in await stored(resources.pool)
    assert len(resources.lanes) == 0


async def test_a_tenant_that_waits_for_a_lock_delays_no_other(resources: Resources) -> None:
    other = uuid.uuid7()
    async with resources.pool.acquire() as conn:
        await insert_tenant(conn, other, name="other", weight=100, caps=Caps())
        await _add_script(conn, other)

    async with locked_tenant(resources.pool):
        waiting = [asyncio.create_task(accept(resources)) for _ in range(3)]
        await wait_for_locks(resources.pool)
        theirs = await asyncio.gather(*(accept(resources, tenant=other) for _ in range(3)))
        assert not any(each.done() for each in waiting)

    mine = await asyncio.gather(*waiting)
    assert await stored(resources.pool) == {*theirs, *mine}
