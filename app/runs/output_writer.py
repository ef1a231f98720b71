"""Store what a script writes as parts of a dataset, while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from app.blobs import Blobs
from app.datasets.blob_cleanup import delete_blobs, new_index_key, new_part_key
from app.datasets.parts import Format, HashSeed, Pointer, parse_pointer, store_part
from app.datasets.splitting import split_parts
from app.datasets.upload_store import PartKeys
from app.runs.task_store import Written

# Chunks that wait to be encoded; the script stops meanwhile.
_WAITING: Final = 4


class OutputWriter:
    """Takes chunks, and stores them as one or more parts, at least one.

    A context manager: after an error in its block, or in storing, no object stays. `written` is
    complete once the block has ended.
    """

    def __init__(
        self, blobs: Blobs, tenant: UUID, *, format_: Format, key: str | None, hash_seed: int
    ) -> None:
        """Take the format, key and seed of the dataset that will have the parts."""
        self.written: list[Written] = []
        self._blobs = blobs
        self._tenant = tenant
        self._format = format_
        self._key: Pointer | None = None if key is None else parse_pointer(key)
        self._seed = HashSeed.of(hash_seed)
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._storing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to store."""
        self._storing = asyncio.create_task(self._store())
        return self

    async def write(self, chunk: bytes) -> None:
        """Take a chunk when there is room. Raises what `store_part` raises about earlier ones."""
        await self._put(chunk)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store the rest, or delete everything after an error."""
        assert self._storing is not None  # noqa: S101 - entered
        try:
            if error is None:
                await self._put(None)
                await self._storing
        except BaseException:
            await self._discard()
            raise
        if error is not None:
            await self._discard()

    async def discard(self) -> None:
        """Delete what was stored; for a block that has ended."""
        keys = [key for each in self.written for key in (each.keys.blob, each.keys.index)]
        self.written.clear()
        await delete_blobs(self._blobs, keys)

    async def _put(self, chunk: bytes | None) -> None:
        """Put a chunk, unless storing has failed, of which nothing would take it."""
        assert self._storing is not None  # noqa: S101 - entered
        putting = asyncio.create_task(self._chunks.put(chunk))
        try:
            await asyncio.wait({putting, self._storing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not putting.done():
                putting.cancel()
        if self._storing.done() and not putting.done():
            # It has failed: without an error it waits for the end, which it takes itself.
            await self._storing

    async def _discard(self) -> None:
        assert self._storing is not None  # noqa: S101 - entered
        self._storing.cancel()
        with suppress(BaseException):
            await asyncio.shield(asyncio.gather(self._storing, return_exceptions=True))
        await asyncio.shield(self.discard())

    async def _store(self) -> None:
        async for data in split_parts(self._taken(), self._format):
            keys = PartKeys(blob=new_part_key(self._tenant), index=new_index_key(self._tenant))
            part = await store_part(
                data,
                format=self._format,
                key=self._key,
                seed=self._seed,
                blobs=self._blobs,
                part_key=keys.blob,
                index_key=keys.index,
            )
            self.written.append(Written(part=part, keys=keys))

    async def _taken(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
