"""Pipes take turns at workers: none waits for ever, of whatever tenant and however many there are."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app.background import background
from app.db import Pool
from app.pipes import lease_store, runner
from app.pipes.lease_store import CLAIM_PIPES, COUNT_WAITING
from app.pipes.model import DatasetSink, HttpSource, PipeFrom, PipeTo, PutPipe
from app.pipes.store import insert_pipe
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

_DEFINITION = PutPipe(
    source=PipeFrom(http=HttpSource()), sink=PipeTo(dataset=DatasetSink(dataset="x"))
)


@pytest.fixture
async def resources(
    pool: Pool, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Resources]:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        blob_url=(tmp_path / "blobs").as_uri(),
        lease_seconds=2,
    )
    async with open_resources(settings, cells=1) as opened:
        yield opened


async def _put(pool: Pool, names: list[str], tenant: UUID = DEFAULT_TENANT) -> set[UUID]:
    ids = {uuid.uuid7() for _ in names}
    async with pool.acquire() as conn:
        for pipe_id, name in zip(ids, names, strict=True):
            assert await insert_pipe(conn, tenant, pipe_id, name, _DEFINITION)
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
                rows = await pool.fetch("SELECT id FROM pipes WHERE worker_id IS NOT NULL")
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
        await conn.execute("SET LOCAL enable_seqscan = off")
        for statement, values in ((CLAIM_PIPES, (4, uuid.uuid7(), 60.0)), (COUNT_WAITING, (4,))):
            plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {statement}", *values))
            assert "Seq Scan on pipes" not in plan, plan
            assert "Index Cond: (lease_expires_at < now())" in plan, plan


async def test_a_loop_ends_with_its_lease_though_none_can_be_renewed(
    pool: Pool, resources: Resources
) -> None:
    await _put(pool, ["p"])
    held = runner._Runner(resources, uuid.uuid7(), max_held=2)  # noqa: SLF001 - between its steps
    await held._claim(1)  # noqa: SLF001
    [task] = [each.task for each in held._running.values()]  # noqa: SLF001

    async with background(held.end_expired()), asyncio.timeout(30):
        await asyncio.wait([task])

    assert task.cancelled()
    assert await pool.fetchval("SELECT lease_expires_at >= clock_timestamp() FROM pipes")
