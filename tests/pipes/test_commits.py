"""A batch commits beside other writers of its dataset, and makes room in a quota that is full."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app.blobs import open_blobs
from app.datasets.model import PutDataset
from app.datasets.store import insert_dataset, lock_dataset
from app.datasets.upload_store import require_room
from app.db import Pool
from app.pipes import inbox_store, lease_store
from app.pipes.commits import CommitTurns
from app.pipes.inbox_store import NewRow
from app.pipes.model import DatasetSink, HttpSource, Pipe, PipeFrom, PipeTo, PutPipe
from app.pipes.pipe_loop import PipeLoop
from app.pipes.store import insert_pipe, select_pipe
from app.quotas.model import Caps
from app.resources import Resources
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.support.lock_waits import until_one_waits

_DEFINITION = PutPipe(
    source=PipeFrom(http=HttpSource()), sink=PipeTo(dataset=DatasetSink(dataset="d"))
)
_BAD = b"no json" * 10_000
_GOOD = b'"%s"' % (b"a" * 10_000)
_FULL = "UPDATE tenants SET max_stored_bytes = (SELECT sum(stored_bytes) FROM tenant_usage)"


@pytest.fixture
async def dataset(pool: Pool) -> UUID:
    """A dataset, and a pipe into it whose inbox has two good events and a bad one."""
    dataset, pipe = uuid.uuid7(), uuid.uuid7()
    row = NewRow(events=3, body=b"\n".join([_GOOD, _BAD, _GOOD]))
    async with pool.acquire() as conn:
        assert await insert_dataset(conn, DEFAULT_TENANT, dataset, "d", PutDataset())
        await insert_pipe(conn, DEFAULT_TENANT, pipe, "p", _DEFINITION)
        await inbox_store.insert_events(conn, DEFAULT_TENANT, pipe, [row], None)
    return dataset


@asynccontextmanager
async def _running(pool: Pool, settings: Settings) -> AsyncIterator[None]:
    resources = SimpleNamespace(pool=pool, settings=settings, blobs=open_blobs(settings))
    async with pool.acquire() as conn:
        [held] = await lease_store.claim_pipes(conn, uuid.uuid7(), limit=9, lease_seconds=60)
    loop = PipeLoop(cast("Resources", resources), held, CommitTurns())
    loop.lease.renewed(until=asyncio.get_running_loop().time() + 60)
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        loop.stop()
        await task


async def _pipe_when_it_has_worked(pool: Pool) -> Pipe:
    async with asyncio.timeout(30):
        while True:
            async with pool.acquire() as conn:
                pipe = await select_pipe(conn, DEFAULT_TENANT, "p")
            assert pipe is not None
            if pipe.counts.received or pipe.trouble:
                return pipe
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("dataset")
async def test_what_a_batch_frees_makes_room_for_its_outcome(
    pool: Pool, settings: Settings
) -> None:
    await pool.execute(_FULL)

    async with _running(pool, settings):
        pipe = await _pipe_when_it_has_worked(pool)

    assert pipe.trouble is None
    assert (pipe.counts.forwarded, pipe.counts.refused, pipe.dead_letters) == (2, 1, 1)


@pytest.mark.usefixtures("dataset")
async def test_the_trouble_names_a_quota(pool: Pool, settings: Settings) -> None:
    await pool.execute("UPDATE tenants SET max_stored_bytes = 7")

    async with _running(pool, settings):
        pipe = await _pipe_when_it_has_worked(pool)

    assert pipe.trouble is not None
    assert pipe.trouble.startswith("the quota 'stored-bytes' is exceeded: ")


async def test_batches_and_other_writers_of_a_dataset_take_locks_in_one_order(
    pool: Pool, settings: Settings, dataset: UUID
) -> None:
    cap = 2**30
    await pool.execute("UPDATE tenants SET max_stored_bytes = $1", cap)

    async with _running(pool, settings):
        async with pool.acquire() as conn, conn.transaction():
            await lock_dataset(conn, DEFAULT_TENANT, dataset)
            await until_one_waits(pool)
            caps = Caps(max_stored_bytes=cap)
            await require_room(conn, DEFAULT_TENANT, caps, stored_bytes=1, raw_bytes=0)
        pipe = await _pipe_when_it_has_worked(pool)

    assert pipe.trouble is None
    assert pipe.counts.forwarded == 2
