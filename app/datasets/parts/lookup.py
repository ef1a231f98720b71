"""Find records by key: entries in the index, then the lines that they name."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from app.datasets.parts.key_reader import key_reader
from app.datasets.parts.keys import HashSeed, hash_of
from app.datasets.parts.model import Hit, PartRef, SegmentRef
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.part_reader import read_line
from app.datasets.parts.pointers import Pointer
from app.datasets.parts.segment_search import Found, Reads, search
from app.datasets.parts.segments import Read
from app.off_loop import call_by_size

# Segments that are searched together, if their objects are far away.
_WAVE: Final = 32
# Other requests get a turn after this much work: 2,048 entries of parts that a snapshot does not
# have, 64 segments or 16 records.
_TURN_WORK: Final = 2_048
_SEGMENT_WORK: Final = 32
_RECORD_WORK: Final = 128


async def find_newest(
    cache: ObjectCache,
    key: bytes,
    segments: Sequence[SegmentRef],
    *,
    pointer: Pointer,
    seed: HashSeed,
    part_of: Callable[[int], PartRef | None],
) -> Hit | None:
    """Return the newest record with a key, None if there is none; as `find`."""
    # Closed here: one that is left to the event loop costs a task of its own.
    found = find(cache, key, segments, pointer=pointer, seed=seed, part_of=part_of)
    async with aclosing(found) as hits:
        return await anext(hits, None)


async def find(
    cache: ObjectCache,
    key: bytes,
    segments: Sequence[SegmentRef],
    *,
    pointer: Pointer,
    seed: HashSeed,
    part_of: Callable[[int], PartRef | None],
) -> AsyncGenerator[Hit, None]:
    """Yield the records with a key, the newest first: at most one of each part.

    `segments` are ordered newest first. `part_of` returns the part of a sequence, None if the
    snapshot that is read does not have it. `seed` is the one with which they were stored. Each
    line is verified against the key. Raises BlobMissing, BlobsUnavailable, ObjectDamaged.
    """
    reader, hash_ = key_reader(pointer), hash_of(key, seed)
    work = 0
    for wave in _waves(segments):
        work += len(wave) * _SEGMENT_WORK
        searches = [search(segment, hash_, seed.check) for segment in wave]
        for found in await _search_all(cache, searches):
            for sequence, offset in found.newest_first():
                if work >= _TURN_WORK:
                    await asyncio.sleep(0)
                    work = 0
                part = part_of(sequence)
                if part is None:
                    work += 1
                    continue
                line = await read_line(cache, part, offset)
                if await call_by_size(len(line), reader.read, line) == key:
                    yield Hit(sequence=sequence, offset=offset, line=line)
                work += _RECORD_WORK
        if work >= _TURN_WORK:
            await asyncio.sleep(0)
            work = 0


def _waves(segments: Sequence[SegmentRef]) -> Iterator[Sequence[SegmentRef]]:
    """Group segments that are searched together; most keys that exist are in the newest."""
    if segments:
        yield segments[:1]
    for start in range(1, len(segments), _WAVE):
        yield segments[start : start + _WAVE]


async def _search_all(cache: ObjectCache, searches: Sequence[Reads]) -> list[Found]:
    """Go through searches: at once as far as all is at hand, else waiting together."""
    found: dict[int, Found] = {}
    blocked: list[tuple[int, Read]] = []
    for number, each in enumerate(searches):
        outcome = _advance(cache, each, next(each))
        if isinstance(outcome, Read):
            blocked.append((number, outcome))
        else:
            found[number] = outcome
    if blocked:
        finished = await _all_of([_finish(cache, searches[each], read) for each, read in blocked])
        found.update(zip((number for number, _ in blocked), finished, strict=True))
    return [found[number] for number in range(len(searches))]


def _advance(cache: ObjectCache, search: Reads, read: Read) -> Read | Found:
    """Go on with a search; return the range that is not at hand, or the result."""
    try:
        while (content := cache.at_hand(read)) is not None:
            read = search.send(content)
    except StopIteration as done:
        result: Found = done.value
        return result
    return read


async def _finish(cache: ObjectCache, search: Reads, read: Read) -> Found:
    try:
        while True:
            read = search.send(await cache.read(read))
    except StopIteration as done:
        result: Found = done.value
        return result


async def _all_of(searches: Sequence[Coroutine[None, None, Found]]) -> list[Found]:
    """Wait for all; after an error none goes on."""
    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(each) for each in searches]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [each.result() for each in started]
