"""Forward events as records of a dataset: each batch is a file, and becomes a snapshot."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import uuid_utils.compat as uuid

from app.datasets.blob_cleanup import delete_blobs, new_index_key, new_part_key
from app.datasets.parts import (
    BadLine,
    CollidingKeys,
    Format,
    HashSeed,
    PartTooLarge,
    parse_pointer,
    store_part,
)
from app.datasets.parts.encoder import PartEncoder
from app.datasets.splitting import split_parts
from app.datasets.store import lock_dataset
from app.datasets.upload_store import PartKeys
from app.db import Connection
from app.errors import InvalidRequest
from app.metrics import SNAPSHOTS_PUBLISHED
from app.pipes.connectors import dataset_store
from app.pipes.connectors.dataset_store import FoundDataset, WrittenPart
from app.pipes.connectors.model import ConnectorUnavailable, Outgoing, Sent
from app.pipes.model import DatasetSink as Definition, LoadedPipe
from app.resources import Resources

_FOLDER: Final = "pipes"


@asynccontextmanager
async def open_dataset_sink(
    resources: Resources, pipe: LoadedPipe, definition: Definition
) -> AsyncIterator["DatasetSink"]:
    """Open a dataset to append to. Raises ConnectorUnavailable."""
    async with resources.pool.acquire() as conn:
        dataset = await dataset_store.find_dataset(conn, pipe.tenant_id, definition.dataset)
    if dataset is None:
        raise ConnectorUnavailable(f"there is no dataset {definition.dataset!r}")
    if dataset.format is not Format.JSONL:
        message = f"the dataset {definition.dataset!r} has the format {dataset.format}, not jsonl"
        raise ConnectorUnavailable(message)
    sink = DatasetSink(resources, pipe, definition.dataset, dataset)
    try:
        yield sink
    finally:
        await asyncio.shield(sink.discard())


class DatasetSink:
    """A dataset whose snapshots are batches of a pipe or a re-drive, each with a file of its own.

    An event that is no line of JSON is refused, and so is one with a line break in it, since the
    bytes of an event do not change.
    """

    def __init__(
        self, resources: Resources, pipe: LoadedPipe, name: str, dataset: FoundDataset
    ) -> None:
        """Begin with nothing sent."""
        self._resources = resources
        self._pipe = pipe
        self._name = name
        self._dataset = dataset
        self._key = None if dataset.key is None else parse_pointer(dataset.key)
        self._seed = HashSeed.of(dataset.hash_seed)
        self._written: list[WrittenPart] = []
        self._published = False

    async def send(self, events: Sequence[Outgoing]) -> Sent:
        """Store events as parts that no snapshot has yet; those that no record can be are refused.

        All at once, since a batch is one snapshot. Parts of earlier calls stay for the same
        snapshot, whatever becomes of these events.
        """
        if self._published:
            self._written, self._published = [], False
        refused: dict[int, str] = {}
        for place, each in enumerate(events):
            if reason := _refusal(each.data):
                refused[place] = reason
        try:
            written = await self._store(_without(events, refused))
        except (BadLine, CollidingKeys, PartTooLarge):
            refused |= await asyncio.to_thread(self._refusals, events)
            written = await self._store_rest(events, refused)
        self._written += written
        return Sent(count=len(events), refused=refused)

    async def lock(self, conn: Connection) -> None:
        """Lock the dataset's row, before the tenant's bytes: all writers take both in turn."""
        if self._written and not self._published:
            dataset = await lock_dataset(conn, self._pipe.tenant_id, self._dataset.id)
            if dataset is None:
                raise ConnectorUnavailable(f"the dataset {self._name!r} has been deleted")

    async def commit(self, conn: Connection) -> None:
        """Publish what was stored as the next snapshot."""
        if not self._written or self._published:
            return
        path = f"{_FOLDER}/{self._pipe.name}/{uuid.uuid7()}.jsonl"
        try:
            number = await dataset_store.publish_file(
                conn,
                self._pipe.tenant_id,
                self._dataset.id,
                path,
                self._written,
            )
        except InvalidRequest as error:
            raise ConnectorUnavailable(f"the dataset {self._name!r}: {error.detail}") from None
        if number is None:
            raise ConnectorUnavailable(f"the dataset {self._name!r} has been deleted")
        SNAPSHOTS_PUBLISHED.inc()
        # From here on the caller's transaction may commit: the blobs are not ours any more.
        self._published = True

    async def discard(self) -> None:
        """Delete what was stored and never published."""
        if not self._published:
            written, self._written = self._written, []
            await self._delete(written)

    async def _store(self, events: Sequence[Outgoing]) -> list[WrittenPart]:
        """Store events as parts; if that fails, none of these stays."""
        written: list[WrittenPart] = []
        if not events:
            return written
        try:
            async for data in split_parts(_lines(events), Format.JSONL):
                tenant = self._pipe.tenant_id
                keys = PartKeys(blob=new_part_key(tenant), index=new_index_key(tenant))
                part = await store_part(
                    data,
                    format=Format.JSONL,
                    key=self._key,
                    seed=self._seed,
                    blobs=self._resources.blobs,
                    part_key=keys.blob,
                    index_key=keys.index,
                )
                written.append(WrittenPart(part=part, keys=keys))
        except BaseException:
            await asyncio.shield(self._delete(written))
            raise
        return written

    async def _store_rest(
        self, events: Sequence[Outgoing], refused: dict[int, str]
    ) -> list[WrittenPart]:
        """Store what is not refused; if that fits into no file, refuse it, too."""
        try:
            return await self._store(_without(events, refused))
        except (CollidingKeys, PartTooLarge) as error:
            refused |= {place: str(error) for place in range(len(events)) if place not in refused}
            return []

    async def _delete(self, written: Sequence[WrittenPart]) -> None:
        keys = [key for each in written for key in (each.keys.blob, each.keys.index)]
        await delete_blobs(self._resources.blobs, keys)

    def _refusals(self, events: Sequence[Outgoing]) -> dict[int, str]:
        """Return the events that are no records, each looked at alone."""
        bad: dict[int, str] = {}
        for place, event in enumerate(events):
            encoder = PartEncoder(Format.JSONL, self._key, self._seed)
            try:
                encoder.feed(event.data + b"\n")
                encoder.finish()
            except BadLine as error:
                bad[place] = error.message
            except PartTooLarge as error:
                bad[place] = str(error)
        return bad


def _refusal(data: bytes) -> str | None:
    if b"\n" in data:
        return (
            "it has a line break, and a record of a dataset is one line; several events are sent "
            "as application/x-ndjson"
        )
    return None if data.strip() else "it is empty"


def _without(events: Sequence[Outgoing], refused: Mapping[int, str]) -> list[Outgoing]:
    return [each for place, each in enumerate(events) if place not in refused]


async def _lines(events: Sequence[Outgoing]) -> AsyncIterator[bytes]:
    yield b"".join([each.data + b"\n" for each in events])
