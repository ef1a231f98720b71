"""Pipes take turns at workers: each is held after a while, of whatever tenant it is."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest
import uuid_utils.compat as uuid

from app.background import background
from app.db import Pool
from app.pipes import lease_store, runner
from app.pipes.commits import CommitTurns
from app.pipes.lease_store import CLAIM_PIPES, COUNT_WAITING
from app.pipes.model import DatasetSink, HttpSource, PipeFrom, PipeTo, PutPipe
from app.pipes.store import insert_pipe
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

_DEFINITION = PutPipe(
    source=PipeFrom(http=HttpSource()), sink=PipeTo(dataset=DatasetSink(dataset="x"))
)

_INSERT_HELD = """
INSERT INTO pipes (id, tenant_id, name, definition, worker_id, lease_token, lease_expires_at)
SELECT gen_random_uuid(), $1, 'held-' || n, $2, gen_random_uuid(), n, now() + interval '1 hour'
FROM generate_series(1, 2000) AS n
"""


@pytest.fixture
async def resources(
    settings: Settings,
) -> AsyncIterator[Resources]:
    async with open_resources(
        msgspec.structs.replace(settings, lease_seconds=2), cells=1
    ) as opened:
        yield opened


async def _put(pool: Pool, names: list[str], tenant: UUID = DEFAULT_TENANT) -> set[UUID]:
    ids = {uuid.uuid7() for _ in names}
    async with pool.acquire() as conn:
        for pipe_id, name in zip(ids, names, strict=True):
            await insert_pipe(conn, tenant, pipe_id, name, _DEFINITION)
    return ids


async def _add_tenant(pool: Pool) -> UUID:
    tenant = uuid.uuid7()
    async with pool.acquire() as conn:
        await conn.execute("INSERT INTO tenants (id, name) VALUES ($1, 'other')", tenant)
    return tenant


async def test_more_pipes_than_a_worker_holds_take_turns(pool: Pool, resources: Resources) -> None:
    pipes = await _put(pool, [f"p{number}" for number in range(5)])
    seen: set[UUID] = set()

    async with background(runner.run_pipes(resources, uuid.uuid7(), max_held=2)):
        async with asyncio.timeout(60):
            while seen != pipes:
                # On a busy machine a lease can run out before it is given back.
                rows = await pool.fetch("SELECT id FROM pipes WHERE lease_expires_at > now()")
                seen |= {row["id"] for row in rows}
                assert len(rows) <= 2
                await asyncio.sleep(0.05)

    assert await pool.fetchval("SELECT count(*) FROM pipes WHERE worker_id IS NOT NULL") == 0


async def test_a_tenant_with_few_pipes_comes_before_the_many_of_another(pool: Pool) -> None:
    await _put(pool, [f"p{number}" for number in range(10)])
    other = await _add_tenant(pool)
    [last] = await _put(pool, ["last"], other)

    async with pool.acquire() as conn:
        first = await lease_store.claim_pipes(conn, uuid.uuid7(), limit=2, lease_seconds=60)
        again = await lease_store.claim_pipes(conn, uuid.uuid7(), limit=1, lease_seconds=60)

    assert last in {each.id for each in first}
    assert [each.tenant_id for each in again] == [DEFAULT_TENANT]


async def test_waiting_pipes_are_found_by_an_index(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(_INSERT_HELD, DEFAULT_TENANT, _DEFINITION)
        # Of what is deleted again, tests before have left other statistics.
        await conn.execute("ANALYZE pipes, tenants")
        await conn.execute("SET LOCAL enable_seqscan = off")
        for statement, values in ((CLAIM_PIPES, (4, uuid.uuid7(), 60.0)), (COUNT_WAITING, (4,))):
            plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {statement}", *values))
            assert "Seq Scan on pipes" not in plan, plan
            assert "Index Cond: (lease_expires_at < now())" in plan, plan


async def test_a_loop_ends_with_its_lease_though_none_can_be_renewed(
    pool: Pool, resources: Resources
) -> None:
    await _put(pool, ["p"])
    held = runner._Runner(resources, uuid.uuid7(), max_held=2)
    await held._claim(1)
    [task] = [each.task for each in held._running.values()]

    async with background(held.end_expired()), asyncio.timeout(30):
        await asyncio.wait([task])

    assert task.cancelled()
    assert await pool.fetchval("SELECT lease_expires_at >= clock_timestamp() FROM pipes")


async def test_a_tenant_commits_one_batch_at_a_time_and_a_worker_two() -> None:
    turns, go = CommitTurns(), asyncio.Event()
    inside: list[int] = []

    async def commit(tenant: int) -> None:
        async with turns.turn(UUID(int=tenant)):
            inside.append(tenant)
            await go.wait()

    tasks = [asyncio.create_task(commit(tenant)) for tenant in (1, 1, 1, 2, 3)]
    for _ in range(20):
        await asyncio.sleep(0)

    assert inside == [1, 2]
    go.set()
    await asyncio.wait(tasks)
    assert sorted(inside) == [1, 1, 1, 2, 3]
