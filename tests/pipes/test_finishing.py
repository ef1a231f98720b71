"""A batch is finished in steps: what its sink has confirmed is stored, whatever else happens."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Pool
from app.pipes import inbox_store, lease_store
from app.pipes.commits import CommitTurns
from app.pipes.connectors import sending
from app.pipes.inbox_store import NewRow
from app.pipes.model import HttpSink, HttpSource, Pipe, PipeFrom, PipeTo, PutPipe
from app.pipes.pipe_loop import PipeLoop
from app.pipes.store import insert_pipe, lock_pipe, select_pipe
from app.resources import Resources
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.support.lock_waits import until_one_waits
from tests.support.receivers import Receiver, open_receiver


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with open_receiver() as receiver:
        yield receiver


async def _put(pool: Pool, receiver: Receiver, path: str) -> None:
    """Put a pipe to a path of the receiver, whose inbox has one row of three events."""
    sink = HttpSink(url=f"http://127.0.0.1:{receiver.port}{path}")
    definition = PutPipe(source=PipeFrom(http=HttpSource()), sink=PipeTo(http=sink))
    pipe = uuid.uuid7()
    async with pool.acquire() as conn:
        await insert_pipe(conn, DEFAULT_TENANT, pipe, "p", definition)
        row = NewRow(events=3, body=b"1\n2\n3")
        await inbox_store.insert_events(conn, DEFAULT_TENANT, pipe, [row], None)


@asynccontextmanager
async def _running(
    pool: Pool, settings: Settings, turns: CommitTurns
) -> "AsyncIterator[tuple[PipeLoop, asyncio.Task[None]]]":
    settings = replace(settings, pipe_http=True, pipe_private_networks="127.0.0.1")
    resources = SimpleNamespace(pool=pool, settings=settings)
    async with pool.acquire() as conn:
        [held] = await lease_store.claim_pipes(conn, uuid.uuid7(), limit=9, lease_seconds=60)
    loop = PipeLoop(cast("Resources", resources), held, turns)
    loop.lease.renewed(until=asyncio.get_running_loop().time() + 60)
    task = asyncio.create_task(loop.run())
    try:
        yield loop, task
    finally:
        loop.stop()
        await asyncio.wait([task])


async def _shown(pool: Pool) -> Pipe:
    async with pool.acquire() as conn:
        pipe = await select_pipe(conn, DEFAULT_TENANT, "p")
    assert pipe is not None
    return pipe


async def test_a_failing_event_makes_no_other_arrive_again(
    pool: Pool, settings: Settings, receiver: Receiver
) -> None:
    await _put(pool, receiver, "/once")

    async with _running(pool, settings, CommitTurns()), asyncio.timeout(30):
        while len(receiver.received) < 4:  # noqa: ASYNC110 - of a thread
            await asyncio.sleep(0.02)

    assert [each.body for each in receiver.received[:4]] == [b"1", b"2", b"2", b"2"]
    shown = await _shown(pool)
    assert (shown.counts.forwarded, shown.lag.events) == (1, 2)
    assert shown.trouble == "127.0.0.1 answers 503"


async def test_a_pipe_stops_between_events_that_take_their_time(
    pool: Pool, settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands in for a receiver that is slow.
    monkeypatch.setattr(sending, "_SECONDS", 0.0)
    await _put(pool, receiver, "/held")

    async with _running(pool, settings, CommitTurns()) as (loop, _), asyncio.timeout(30):
        while not receiver.received:  # noqa: ASYNC110 - of a thread
            await asyncio.sleep(0.02)
        loop.stop()
        receiver.release()

    shown = await _shown(pool)
    assert (shown.counts.forwarded, shown.lag.events) == (1, 2)
    assert [each.body for each in receiver.received] == [b"1"]


async def test_what_is_confirmed_is_stored_though_the_loop_ends_while_it_waits_for_a_lock(
    pool: Pool, settings: Settings, receiver: Receiver
) -> None:
    await _put(pool, receiver, "/ok")
    turns = CommitTurns()

    async with _running(pool, settings, turns) as (_, task), asyncio.timeout(60):
        async with pool.acquire() as conn, conn.transaction():
            await lock_pipe(conn, DEFAULT_TENANT, "p")
            await until_one_waits(pool)
            # Nobody waits for its turn until the lock is free.
            async with turns.turn(DEFAULT_TENANT):
                task.cancel()
        await asyncio.wait([task])

    assert task.cancelled()
    assert (await _shown(pool)).counts.forwarded == 3
    assert len(receiver.received) == 3
