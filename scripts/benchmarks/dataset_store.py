"""Keep a dataset without a database, for benchmarks: parts, segments of the index, lookups."""

from collections.abc import AsyncIterator
from uuid import uuid4

from app.blobs import Blobs
from app.datasets.parts import (
    Format,
    HashSeed,
    ObjectCache,
    PartRef,
    SegmentRef,
    encode_key,
    find_newest,
    merge_segments,
    parse_pointer,
    store_part,
)
from app.limits import PART_BYTES

_KEY = parse_pointer("/pk")
_SEED = HashSeed.of(1)


class StoredDataset:
    """Parts in order, and the segments that index them, oldest first."""

    def __init__(self, blobs: Blobs) -> None:
        """Begin without parts."""
        self._blobs = blobs
        self._cache = ObjectCache(blobs)
        self._parts: list[PartRef] = []
        self._segments: list[SegmentRef] = []

    @property
    def stored_bytes(self) -> int:
        """The size of all objects that are in use."""
        parts = sum(each.stored_bytes for each in self._parts)
        return parts + sum(each.stored_bytes for each in self._segments)

    async def add_file(self, chunks: AsyncIterator[bytes]) -> None:
        """Store a file in parts of whole lines."""
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= PART_BYTES:
                end = waiting.rfind(b"\n") + 1
                await self.add_part(bytes(waiting[:end]))
                del waiting[:end]
        if waiting:
            await self.add_part(bytes(waiting))

    async def add_part(self, raw: bytes) -> None:
        """Store one part."""
        part_key, index_key = f"t/datasets/{uuid4()}", f"t/indexes/{uuid4()}"
        stored = await store_part(
            _in_chunks(raw),
            format=Format.JSONL,
            key=_KEY,
            seed=_SEED,
            blobs=self._blobs,
            part_key=part_key,
            index_key=index_key,
        )
        sequence = len(self._parts)
        self._parts.append(
            PartRef(blob_key=part_key, raw_bytes=stored.raw_bytes, stored_bytes=stored.stored_bytes)
        )
        self._segments.append(
            SegmentRef(blob_key=index_key, stored_bytes=stored.index_bytes, sequence=sequence)
        )

    async def merge(self) -> None:
        """Merge all segments into one."""
        await self.merge_newest(len(self._segments))

    async def merge_newest(self, count: int) -> None:
        """Merge the newest segments into one."""
        old = self._segments[-count:]
        key = f"t/indexes/{uuid4()}"
        merged = await merge_segments(self._blobs, old, to=key, live=[range(len(self._parts))])
        self._segments[-count:] = [SegmentRef(blob_key=key, stored_bytes=merged.stored_bytes)]
        await self._blobs.delete(*(each.blob_key for each in old))

    async def find(self, key: int) -> bytes:
        """Return the newest record of a key, empty if there is none."""
        hit = await find_newest(
            self._cache,
            encode_key(str(key)),
            self._segments[::-1],
            pointer=_KEY,
            seed=_SEED,
            part_of=self._parts.__getitem__,
        )
        return hit.line if hit else b""


async def _in_chunks(raw: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]
