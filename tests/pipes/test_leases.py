"""One worker holds a pipe; what an earlier holder reports late changes nothing."""

import asyncio
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app.db import Pool
from app.pipes import lease_store
from app.pipes.connectors.model import Lag
from app.pipes.lease_store import HeldPipe, StillHeld
from app.pipes.model import DatasetSink, HttpSource, PipeFrom, PipeTo, PutPipe
from app.pipes.problems import LeaseLost
from app.pipes.store import insert_pipe, lock_pipe, select_pipe, set_paused
from app.tenants.model import DEFAULT_TENANT

_DEFINITION = PutPipe(
    source=PipeFrom(http=HttpSource()), sink=PipeTo(dataset=DatasetSink(dataset="x"))
)


@pytest.fixture
async def pipe(pool: Pool) -> UUID:
    """A pipe that nobody holds."""
    pipe_id = uuid.uuid7()
    async with pool.acquire() as conn:
        await insert_pipe(conn, DEFAULT_TENANT, pipe_id, "orders", _DEFINITION)
    return pipe_id


async def _claim(pool: Pool, *, lease_seconds: float = 60) -> list[HeldPipe]:
    async with pool.acquire() as conn:
        return await lease_store.claim_pipes(
            conn, uuid.uuid7(), limit=10, lease_seconds=lease_seconds
        )


async def _count(pool: Pool, held: HeldPipe) -> None:
    async with pool.acquire() as conn:
        await lease_store.count_batch(conn, held, events_in=3, forwarded=2, refused=1)


async def test_a_pipe_is_held_once_and_by_the_next_one_after_its_lease(
    pool: Pool, pipe: UUID
) -> None:
    [held] = await _claim(pool)
    assert await _claim(pool) == []
    async with pool.acquire() as conn:
        await lease_store.release_leases(conn, [held])
    [first] = await _claim(pool, lease_seconds=0.05)
    later: list[HeldPipe] = []
    async with asyncio.timeout(30):
        while not later:
            later = await _claim(pool)
    [second] = later

    with pytest.raises(LeaseLost):
        await _count(pool, first)
    await _count(pool, second)

    async with pool.acquire() as conn:
        await lease_store.note_trouble(conn, first, "late")
        await lease_store.note_lag(conn, first, Lag(events=99, oldest_seconds=1.0))
        await lease_store.release_leases(conn, [first])
        assert await lease_store.renew_leases(conn, [first, second], lease_seconds=60) == {
            pipe: StillHeld(is_renewed=True, rests=False)
        }
        shown = await select_pipe(conn, DEFAULT_TENANT, "orders")
    assert shown is not None
    assert (shown.counts.received, shown.counts.forwarded, shown.counts.refused) == (3, 2, 1)
    assert shown.trouble is None


async def test_a_pipe_that_rests_is_not_claimed(pool: Pool, pipe: UUID) -> None:
    async with pool.acquire() as conn:
        await set_paused(conn, DEFAULT_TENANT, pipe, paused=True)
    assert await _claim(pool) == []

    async with pool.acquire() as conn:
        await set_paused(conn, DEFAULT_TENANT, pipe, paused=False)
    [held] = await _claim(pool)
    async with pool.acquire() as conn:
        await set_paused(conn, DEFAULT_TENANT, pipe, paused=True)
        renewed = await lease_store.renew_leases(conn, [held], lease_seconds=60)
        assert renewed == {pipe: StillHeld(is_renewed=True, rests=True)}
        with pytest.raises(LeaseLost):
            await lease_store.load_held(conn, held)


async def test_a_pipe_whose_row_is_locked_keeps_no_other_from_being_renewed_or_released(
    pool: Pool, pipe: UUID
) -> None:
    other = uuid.uuid7()
    async with pool.acquire() as conn:
        await insert_pipe(conn, DEFAULT_TENANT, other, "other", _DEFINITION)
    held = await _claim(pool)
    async with pool.acquire() as conn, conn.transaction():
        await lock_pipe(conn, DEFAULT_TENANT, "orders")
        async with pool.acquire() as renewing, asyncio.timeout(30):
            renewed = await lease_store.renew_leases(renewing, held, lease_seconds=60)

    assert renewed == {
        pipe: StillHeld(is_renewed=False, rests=False),
        other: StillHeld(is_renewed=True, rests=False),
    }
    async with pool.acquire() as conn:
        renewed = await lease_store.renew_leases(conn, held, lease_seconds=60)
    assert renewed[pipe].is_renewed

    async with pool.acquire() as conn, conn.transaction():
        await lock_pipe(conn, DEFAULT_TENANT, "orders")
        async with pool.acquire() as releasing, asyncio.timeout(30):
            await lease_store.release_leases(releasing, held)
    assert [each.id for each in await _claim(pool)] == [other]
