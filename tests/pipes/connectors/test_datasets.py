"""Each event is a record of a dataset once, and each record an event once."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.blobs import BlobMissing, Blobs, open_blobs
from app.datasets.deletion_store import delete_dataset
from app.datasets.model import PutDataset
from app.datasets.store import insert_dataset
from app.db import Pool
from app.pipes.connectors.dataset_sink import DatasetSink, open_dataset_sink
from app.pipes.connectors.dataset_source import DatasetSource, open_dataset_source
from app.pipes.connectors.model import ConnectorUnavailable, Event, Outgoing
from app.pipes.delivery import send
from app.pipes.model import (
    DatasetSink as SinkDefinition,
    DatasetSource as SourceDefinition,
    HttpSource,
    LoadedPipe,
    PipeFrom,
    PipeTo,
    PutPipe,
)
from app.pipes.processing import EventOutcome
from app.pipes.store import insert_pipe, load_pipe
from app.resources import Resources
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.pipes.connectors.sinks import send_all


class Parts:
    """A dataset, a pipe and what both need of a worker."""

    def __init__(self, pool: Pool, settings: Settings, blobs: Blobs, pipe_id: UUID) -> None:
        self.pool = pool
        self.pipe_id = pipe_id
        self.blobs = blobs
        needed = SimpleNamespace(pool=pool, settings=settings, blobs=blobs)
        self.resources = cast("Resources", needed)

    async def put_dataset(self) -> UUID:
        dataset = uuid.uuid7()
        async with self.pool.acquire() as conn:
            assert await insert_dataset(conn, DEFAULT_TENANT, dataset, "d", PutDataset(key="/k"))
        return dataset

    async def delete_dataset(self, dataset: UUID) -> None:
        async with self.pool.acquire() as conn, conn.transaction():
            await delete_dataset(conn, DEFAULT_TENANT, dataset)

    async def pipe(self) -> LoadedPipe:
        async with self.pool.acquire() as conn:
            pipe = await load_pipe(conn, DEFAULT_TENANT, self.pipe_id)
        assert pipe is not None
        return pipe

    async def publish(self, sink: DatasetSink) -> None:
        async with self.pool.acquire() as conn, conn.transaction():
            await sink.commit(conn)

    async def append(self, *records: bytes) -> None:
        definition = SinkDefinition(dataset="d")
        async with open_dataset_sink(self.resources, await self.pipe(), definition) as sink:
            assert await send_all(sink, _outgoing(*records)) == {}
            await self.publish(sink)

    async def read(self, source: DatasetSource) -> list[bytes]:
        """Read and commit all that the source has."""
        lines: list[bytes] = []
        while events := await source.receive(max_events=10_000, max_bytes=2**30, wait_seconds=0):
            async with self.pool.acquire() as conn, conn.transaction():
                await source.commit(conn, events)
            await source.acknowledge(events)
            lines += [each.data for each in events]
        return lines


@pytest.fixture
async def parts(pool: Pool, settings: Settings, tmp_path: Path) -> Parts:
    pipe_id = uuid.uuid7()
    definition = PutPipe(
        source=PipeFrom(http=HttpSource()), sink=PipeTo(dataset=SinkDefinition(dataset="d"))
    )
    async with pool.acquire() as conn:
        await insert_pipe(conn, DEFAULT_TENANT, pipe_id, "p", definition)
    blobs = open_blobs(Settings(blob_url=(tmp_path / "blobs").as_uri()))
    return Parts(pool, settings, blobs, pipe_id)


def _outgoing(*records: bytes) -> list[Outgoing]:
    return [Outgoing(id=f"{place}", data=each) for place, each in enumerate(records)]


_SOURCE = SourceDefinition(dataset="d")
_SINK = SinkDefinition(dataset="d")


async def test_a_bad_event_behind_a_whole_part_leaves_each_other_once(parts: Parts) -> None:
    await parts.put_dataset()
    good = [b'{"k":%d,"x":"%s"}' % (place, b"a" * 9_000) for place in range(1_000)]
    huge = b'{"k":1,"x":"%s"}' % (b"a" * 2**25)
    async with open_dataset_sink(parts.resources, await parts.pipe(), _SINK) as sink:
        refused = await send_all(sink, _outgoing(*good, huge, b"no json", good[0]))
        await parts.publish(sink)

    assert list(refused) == [1_000, 1_001]
    async with open_dataset_source(parts.resources, await parts.pipe(), _SOURCE) as source:
        assert await parts.read(source) == [*good, good[0]]
    listed = await parts.pool.fetch("SELECT blob_key, index_key FROM dataset_parts")
    kept = {key for row in listed for key in row.values()}
    assert {each.key async for page in parts.blobs.pages(size=9) for each in page} == kept


async def test_of_two_events_with_one_id_the_one_at_fault_is_refused(parts: Parts) -> None:
    await parts.put_dataset()
    outcomes = [
        EventOutcome(event=Event(id="same", data=each), forward=each)
        for each in (b'{"k":1}', b"no json", b'{"k":2}')
    ]
    outcomes.insert(0, replace(outcomes[0], forward=None))
    async with open_dataset_sink(parts.resources, await parts.pipe(), _SINK) as sink:
        delivered = await send(sink, outcomes)

    assert (delivered.dropped, delivered.forwarded) == ((0,), (1, 3))
    assert {place: each.event for place, each in delivered.letters.items()} == {2: b"no json"}


async def test_a_dataset_that_is_made_again_is_read_from_its_beginning(parts: Parts) -> None:
    first = await parts.put_dataset()
    await parts.append(b'{"k":1}', b'{"k":2}')
    async with open_dataset_source(parts.resources, await parts.pipe(), _SOURCE) as source:
        [one, _] = await source.receive(max_events=9, max_bytes=9_999, wait_seconds=0)
        assert await parts.read(source) == []
        async with parts.pool.acquire() as conn:
            await source.commit(conn, [one])
        await parts.delete_dataset(first)
        await parts.put_dataset()
        await parts.append(b'{"k":3}', b'{"k":4}')
        with pytest.raises(ConnectorUnavailable, match="deleted"):
            await source.receive(max_events=9, max_bytes=9_999, wait_seconds=0)

    async with open_dataset_source(parts.resources, await parts.pipe(), _SOURCE) as source:
        [other, _] = await source.receive(max_events=9, max_bytes=9_999, wait_seconds=0)
        # A receiver that knows the first one must not take this one for it.
        assert (other.data, other.id == one.id) == (b'{"k":3}', False)
    async with open_dataset_source(parts.resources, await parts.pipe(), _SOURCE) as source:
        assert await parts.read(source) == [b'{"k":3}', b'{"k":4}']
    async with open_dataset_source(parts.resources, await parts.pipe(), _SOURCE) as source:
        assert await parts.read(source) == []


async def test_a_lost_blob_stops_the_pipe_and_a_deleted_file_does_not(parts: Parts) -> None:
    await parts.put_dataset()
    await parts.append(b'{"k":1}')
    await parts.append(b'{"k":2}')
    key = await parts.pool.fetchval(
        "SELECT p.blob_key FROM dataset_parts AS p JOIN dataset_files AS f ON f.id = p.file_id "
        "ORDER BY f.added_in LIMIT 1"
    )
    await parts.blobs.delete(key)
    async with open_dataset_source(parts.resources, await parts.pipe(), _SOURCE) as source:
        with pytest.raises(BlobMissing):
            await parts.read(source)
        await parts.pool.execute("DELETE FROM dataset_parts WHERE blob_key = $1", key)
        await parts.pool.execute("DELETE FROM dataset_files WHERE added_in = 1")
        assert await parts.read(source) == [b'{"k":2}']
