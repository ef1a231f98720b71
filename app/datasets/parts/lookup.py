"""Find records by key: entries in the index, then the lines that they name."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from typing import Final

from app.datasets.parts.key_reader import key_reader
from app.datasets.parts.keys import Pointer, hash_of
from app.datasets.parts.model import Hit, PartRef, RunRef
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.part_reader import read_line
from app.datasets.parts.run_search import Entry, Reads, search
from app.datasets.parts.runs import Read

# Runs that are searched together, if their objects are far away.
_WAVE: Final = 32
# Other requests get a turn after this many candidates.
_TURN: Final = 16


async def find(
    cache: ObjectCache,
    key: bytes,
    runs: Sequence[RunRef],
    *,
    pointer: Pointer,
    part_of: Callable[[int], PartRef | None],
) -> AsyncIterator[Hit]:
    """Yield the records with a key, the newest first: at most one of each part.

    `runs` are ordered newest first. `part_of` returns the part of a sequence, None if the snapshot
    that is read does not have it. Each line is verified against the key. Raises BlobMissing,
    BlobsUnavailable, ObjectDamaged.
    """
    reader = key_reader(pointer)
    candidates = 0
    async for entry in _entries(cache, runs, hash_of(key)):
        part = part_of(entry.sequence)
        if part is None:
            continue
        line = await read_line(cache, part, entry.offset)
        if reader.read(line) == key:
            yield Hit(sequence=entry.sequence, offset=entry.offset, line=line)
        candidates += 1
        if candidates % _TURN == 0:
            await asyncio.sleep(0)


async def _entries(cache: ObjectCache, runs: Sequence[RunRef], hash_: int) -> AsyncIterator[Entry]:
    """Yield the entries of a hash, the newest first."""
    # Most keys that exist are in the newest run.
    waiting, size = iter(runs), 1
    while wave := list(islice(waiting, size)):
        for entries in await _search_all(cache, [search(run, hash_) for run in wave]):
            for entry in reversed(entries):
                yield entry
        size = _WAVE


async def _search_all(cache: ObjectCache, searches: Sequence[Reads]) -> list[list[Entry]]:
    """Run searches: at once as far as all is at hand, else waiting together."""
    found: dict[int, list[Entry]] = {}
    blocked: list[tuple[int, Read]] = []
    for number, each in enumerate(searches):
        outcome = _advance(cache, each, next(each))
        if isinstance(outcome, Read):
            blocked.append((number, outcome))
        else:
            found[number] = outcome
    finished = await asyncio.gather(
        *(_finish(cache, searches[number], read) for number, read in blocked)
    )
    found.update(zip((number for number, _ in blocked), finished, strict=True))
    return [found[number] for number in range(len(searches))]


def _advance(cache: ObjectCache, search: Reads, read: Read) -> Read | list[Entry]:
    """Go on with a search; return the range that is not at hand, or the result."""
    try:
        while (content := cache.at_hand(read)) is not None:
            read = search.send(content)
    except StopIteration as done:
        result: list[Entry] = done.value
        return result
    return read


async def _finish(cache: ObjectCache, search: Reads, read: Read) -> list[Entry]:
    try:
        while True:
            read = search.send(await cache.read(read))
    except StopIteration as done:
        result: list[Entry] = done.value
        return result
