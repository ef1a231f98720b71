"""A batch of letters is bounded in time, is one worker's, and records what its sink has taken."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.datasets.model import PutDataset
from app.datasets.parts import Format, ObjectCache
from app.datasets.store import insert_dataset
from app.db import Pool
from app.dead_letters.store import insert_dead_letters
from app.limits import MIB
from app.pipes.connectors.dataset_source import open_dataset_source
from app.pipes.connectors.model import Event
from app.pipes.model import DatasetSource
from app.pipes.problems import PipeTroubled
from app.pipes.processing import EventOutcome
from app.pipes.store import load_pipe
from app.redrives import letter_batches, letter_store, letters, store
from app.redrives.mending import Mending, mend_events
from app.redrives.model import NewRedrive, Redrive, RedriveFilter, RedriveKind
from app.redrives.problems import TooManyToRedrive
from app.redrives.runner import run_next
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.dead_letters.letters import letter
from tests.support.lock_waits import (
    begin_to_count_bytes,
    require_bytes_unlocked,
    until_one_waits,
)
from tests.support.receivers import Receiver, open_receiver

WORKER = uuid.uuid7()
LEASE_SECONDS = 1
_INSERT_PIPE = """
INSERT INTO pipes (id, tenant_id, name, definition, paused_at)
VALUES ($1, $2, 'orders', jsonb_build_object('from', '{"http": {}}'::jsonb, 'to', $3::jsonb), now())
"""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture
async def resources(pool: Pool, settings: Settings) -> AsyncIterator[Resources]:
    """Resources of a process on a database that `pool` has emptied."""
    assert pool is not None
    settings = replace(
        settings, pipe_http=True, pipe_private_networks="127.0.0.1", lease_seconds=LEASE_SECONDS
    )
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def begin(
    resources: Resources, to: dict[str, object], *, events: Sequence[bytes | None] = (None,) * 3
) -> tuple[UUID, list[UUID]]:
    """Begin to re-drive letters into a sink; return the re-drive and the letters."""
    pipe, redrive = uuid.uuid7(), uuid.uuid7()
    new = NewRedrive(
        id=redrive,
        kind=RedriveKind.PIPE,
        filter=RedriveFilter(pipe="orders"),
        subject_id=pipe,
        script_id=None,
        script_version=None,
        per_second=None,
        matched=len(events),
    )
    new_letters = [letter(n, event) for n, event in enumerate(events)]
    async with resources.pool.acquire() as conn:
        await conn.execute(_INSERT_PIPE, pipe, TENANT, to)
        await insert_dead_letters(conn, TENANT, pipe, new_letters)
        rows = await conn.fetch("SELECT id FROM dead_letters ORDER BY id")
        ids = [row["id"] for row in rows]
        assert await letter_store.mark_letters(conn, TENANT, redrive, ids) == len(ids)
        await store.insert_redrive(conn, TENANT, new)
    return redrive, ids


async def after_next(resources: Resources, redrive: UUID) -> Redrive:
    """Try a batch, and return what the re-drive shows then."""
    assert await run_next(resources, ObjectCache(resources.blobs, max_bytes=MIB), WORKER)
    async with resources.pool.acquire() as conn:
        shown = await store.select_redrive(conn, TENANT, redrive)
    assert shown is not None
    return shown


async def to_dataset(resources: Resources) -> dict[str, object]:
    wanted = PutDataset(format=Format.JSONL)
    async with resources.pool.acquire() as conn:
        assert await insert_dataset(conn, TENANT, uuid.uuid7(), "sink", wanted)
    return {"dataset": {"dataset": "sink"}}


def to_url(receiver: Receiver, path: str) -> dict[str, object]:
    return {"http": {"url": f"http://127.0.0.1:{receiver.port}{path}"}}


def numbers(receiver: Receiver) -> list[int]:
    return [json.loads(each.body)["number"] for each in receiver.received]


async def test_a_batch_ends_when_its_time_is_over_and_each_event_is_sent_once(
    resources: Resources, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands in for a receiver that takes its time for each event.
    monkeypatch.setattr(letter_batches, "_BATCH_SECONDS", 0.0)
    redrive, _ = await begin(resources, to_url(receiver, "/ok"))
    assert [(await after_next(resources, redrive)).moved for _ in range(3)] == [1, 2, 3]
    assert numbers(receiver) == [0, 1, 2]
    assert (await after_next(resources, redrive)).status == "finished"


async def test_what_was_sent_before_the_sink_went_away_is_recorded(
    resources: Resources, receiver: Receiver
) -> None:
    redrive, _ = await begin(resources, to_url(receiver, "/once"))
    shown = await after_next(resources, redrive)
    assert (shown.moved, shown.remaining) == (1, 2)
    shown = await after_next(resources, redrive)
    assert (shown.moved, shown.trouble) == (1, "127.0.0.1 answers 503")
    # The first is not sent again.
    assert numbers(receiver) == [0, 1, 1]


async def test_what_a_dataset_has_taken_before_trouble_is_recorded(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = mend_events

    # Stands in for a host that runs out of memory in the second step.
    async def mend_one(
        resources: Resources, events: Sequence[Event], plans: Mending
    ) -> list[EventOutcome]:
        if len(events) > 1:
            message = "the worker has no memory left"
            raise PipeTroubled(message)
        return await mend(resources, events, plans)

    monkeypatch.setattr(letter_batches, "mend_events", mend_one)
    redrive, _ = await begin(resources, await to_dataset(resources))
    assert [(await after_next(resources, redrive)).moved for _ in range(2)] == [1, 3]
    assert await resources.pool.fetchval("SELECT sum(lines) FROM dataset_parts") == 3


async def test_nothing_more_is_sent_once_the_lease_is_lost(
    resources: Resources, receiver: Receiver
) -> None:
    redrive, _ = await begin(resources, to_url(receiver, "/held"))
    batch = asyncio.create_task(after_next(resources, redrive))
    while not receiver.received:
        assert not batch.done(), batch
        await asyncio.sleep(0.01)
    await resources.pool.execute("UPDATE redrives SET lease_token = lease_token - 1")
    # A renewal is refused meanwhile.
    await asyncio.sleep(2 * LEASE_SECONDS)
    receiver.release()
    assert (await batch).moved == 0
    assert numbers(receiver) == [0]


async def test_an_event_that_is_no_record_costs_no_event_of_the_steps_before(
    resources: Resources,
) -> None:
    # Steps of one, two and four letters, of which the last two have a bad one.
    events = [b'{"n":0}', b'{"n":1}', b"no JSON", b'{"n":3}', b'{"n":', b'{"n":5}', b'{"n":6}']
    redrive, _ = await begin(resources, await to_dataset(resources), events=events)
    shown = await after_next(resources, redrive)
    assert (shown.moved, shown.failed_again, shown.remaining) == (5, 2, 0)
    async with resources.pool.acquire() as conn:
        pipe_id = await conn.fetchval("SELECT id FROM pipes")
        pipe = await load_pipe(conn, TENANT, pipe_id)
    assert pipe is not None
    async with open_dataset_source(resources, pipe, DatasetSource(dataset="sink")) as source:
        published = await source.receive(max_events=9, max_bytes=MIB, wait_seconds=0)
    assert [each.data for each in published] == [
        each for each in events if each not in (b"no JSON", b'{"n":')
    ]
    kept = await resources.pool.fetch("SELECT blob_key FROM dataset_parts")
    keys = {each.key async for page in resources.blobs.pages(size=99) for each in page}
    folder = f"{TENANT}/datasets/"
    assert {each for each in keys if each.startswith(folder)} == {row["blob_key"] for row in kept}


async def test_a_sink_that_never_answers_gets_the_lease_for_the_time_of_a_step(
    resources: Resources, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_batches, "STEP_SECONDS", 0.5)
    redrive, _ = await begin(resources, to_url(receiver, "/held"))
    shown = await after_next(resources, redrive)
    assert (shown.status, shown.trouble) == ("running", "the sink has not answered within 0.5 s")
    assert await resources.pool.fetchval("SELECT lease_token FROM redrives") is None
    receiver.release()


async def test_letters_that_are_deleted_meanwhile_cost_the_batch_and_not_the_lease(
    resources: Resources,
) -> None:
    redrive, ids = await begin(resources, await to_dataset(resources))
    await begin_to_count_bytes(resources.pool)
    async with resources.pool.acquire() as conn, conn.transaction():
        await conn.execute("DELETE FROM dead_letters WHERE id = $1", ids[1])
        batch = asyncio.create_task(after_next(resources, redrive))
        await until_one_waits(resources.pool, batch)
        # It waits with nothing in hand that another one would change after the letters.
        await require_bytes_unlocked(conn)
    shown = await batch
    assert (shown.moved, shown.remaining, shown.trouble) == (0, 3, None)
    assert (await after_next(resources, redrive)).moved == 2
    shown = await after_next(resources, redrive)
    assert (shown.status, shown.moved, shown.left_out) == ("finished", 2, 1)
    assert await resources.pool.fetchval("SELECT last_snapshot FROM datasets") == 1


async def test_a_filter_that_matches_too_many_letters_is_refused(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not of the documented number, which take long to insert.
    monkeypatch.setattr(letters, "MAX_LETTERS", 2)
    redrive, _ = await begin(resources, {"dataset": {"dataset": "sink"}})
    async with resources.pool.acquire() as conn:
        await store.cancel_redrive(conn, TENANT, redrive)
        match = await letters.find(conn, TENANT, RedriveFilter(pipe="orders"), None)
        with pytest.raises(TooManyToRedrive, match="/filter: more than 2 dead letters match"):
            await letters.mark(conn, TENANT, match, uuid.uuid7())
