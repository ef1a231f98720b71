"""Parts and segments of one dataset in a blob store, for tests."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from app.blobs import Blobs
from app.datasets.parts import (
    Format,
    HashSeed,
    MergedSegment,
    ObjectCache,
    PartRef,
    SegmentRef,
    StoredPart,
    encode_key,
    find,
    find_newest,
    merge_segments,
    parse_pointer,
    read_lines,
    read_range,
    store_part,
)

PK: Final = parse_pointer("/pk")
SEED: Final = HashSeed.of(7)


async def in_chunks(raw: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


class Parts:
    """Parts in order of their sequences, from 0, and the segments that index them, oldest first."""

    def __init__(self, blobs: Blobs, seed: HashSeed = SEED) -> None:
        self.seed = seed
        self.blobs = blobs
        self.cache = ObjectCache(blobs)
        self.refs: list[PartRef] = []
        self.segments: list[SegmentRef] = []
        self._merged = 0

    async def add(
        self, raw: bytes, *, content: Format = Format.JSONL, chunk_bytes: int = 65_536
    ) -> StoredPart:
        number = len(self.refs)
        part_key, index_key = f"t/datasets/{number}", f"t/indexes/{number}"
        stored = await store_part(
            in_chunks(raw, chunk_bytes),
            format=content,
            key=PK if content is Format.JSONL else None,
            seed=self.seed,
            blobs=self.blobs,
            part_key=part_key,
            index_key=index_key,
        )
        self.refs.append(
            PartRef(blob_key=part_key, raw_bytes=stored.raw_bytes, stored_bytes=stored.stored_bytes)
        )
        if stored.index_bytes:
            self.segments.append(
                SegmentRef(blob_key=index_key, stored_bytes=stored.index_bytes, sequence=number)
            )
        return stored

    async def merge(
        self,
        start: int = 0,
        end: int | None = None,
        *,
        live: Sequence[range] = (range(2**32),),
        files: Sequence[range] = (),
        slice_entries: int = 2**20,
    ) -> MergedSegment:
        """Replace the segments from `start` up to `end` by one."""
        self._merged += 1
        key = f"t/indexes/merged-{self._merged}"
        merged = await merge_segments(
            self.blobs,
            self.segments[start:end],
            to=key,
            live=live,
            files=files,
            slice_entries=slice_entries,
        )
        segment = SegmentRef(blob_key=key, stored_bytes=merged.stored_bytes)
        self.segments[start:end] = [segment] if merged.entries else []
        return merged

    async def values(self, key: str, *, of: Sequence[int] | None = None) -> list[bytes]:
        """Return all values of a key, the newest first; `of` are the parts of the snapshot."""

        def part_of(sequence: int) -> PartRef | None:
            return self.refs[sequence] if of is None or sequence in of else None

        arguments = self.cache, encode_key(key), self.segments[::-1]
        found = find(*arguments, pointer=PK, seed=self.seed, part_of=part_of)
        hits = [hit async for hit in found]
        newest = await find_newest(*arguments, pointer=PK, seed=self.seed, part_of=part_of)
        assert newest == (hits[0] if hits else None)
        return [hit.line for hit in hits]

    async def bytes_of(self, number: int, start: int = 0, end: int = 2**40) -> bytes:
        chunks = read_range(self.cache, self.refs[number], start, end)
        return b"".join([chunk async for chunk in chunks])

    async def lines_of(self, number: int, first: int, count: int) -> list[bytes]:
        return [line async for line in read_lines(self.cache, self.refs[number], first, count)]

    async def object_of(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self.blobs.read(key)])
