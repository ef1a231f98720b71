"""An upload or a lookup leaves the process to others, and nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from app.blobs import BlobMissing, Blobs, open_blobs
from app.datasets.parts import (
    Format,
    LineTooSlow,
    ObjectCache,
    StoredPart,
    encode_key,
    find,
    find_newest,
    long_lines,
    object_cache,
    store_part,
)
from app.datasets.parts.long_lines import LONG_LINE_BYTES, MAX_LONG_LINES
from app.datasets.parts.segments import Read
from app.limits import KIB, MIB
from app.settings import Settings
from tests.datasets.parts.stored import PK, SEED, Parts, in_chunks


@pytest.fixture
def in_memory() -> Parts:
    return Parts(open_blobs(Settings(blob_url="memory:///")))


class _SlowLine:
    """An upload whose first line is long, and ends when it is told to."""

    def __init__(self, blobs: Blobs, number: int) -> None:
        self.sent = 0
        self.end = asyncio.Event()
        self.stored: asyncio.Task[StoredPart] = asyncio.create_task(
            store_part(
                self._chunks(),
                format=Format.TEXT,
                key=None,
                seed=SEED,
                blobs=blobs,
                part_key=f"t/datasets/slow-{number}",
                index_key=f"t/indexes/slow-{number}",
            )
        )

    async def _chunks(self) -> AsyncIterator[bytes]:
        for _ in range(8):
            self.sent += LONG_LINE_BYTES
            yield b"x" * LONG_LINE_BYTES
        await self.end.wait()
        yield b"\n"


async def _sent(*uploads: _SlowLine) -> None:
    """Wait until these have sent all of their line."""
    async with asyncio.timeout(30):
        while any(each.sent < 8 * LONG_LINE_BYTES for each in uploads):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.002)


async def test_few_uploads_at_a_time_have_a_long_line(
    in_memory: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [_SlowLine(in_memory.blobs, number) for number in range(MAX_LONG_LINES + 1)]
    first, *others, waiting = uploads
    await _sent(first, *others)
    assert waiting.sent <= 3 * LONG_LINE_BYTES

    # One that ends its line gives its turn to another.
    first.end.set()
    assert (await first.stored).lines == 1
    await _sent(waiting)

    # Another wait begins, and the time of those that have a turn is over.
    monkeypatch.setattr(long_lines, "LINE_SECONDS", 0.0)
    last = _SlowLine(in_memory.blobs, len(uploads))
    for each in (*others, waiting):
        with pytest.raises(LineTooSlow):
            await each.stored
    last.end.set()
    assert (await last.stored).lines == 1


async def test_an_upload_is_not_cut_while_no_other_waits(
    in_memory: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lines, "LINE_SECONDS", 0.0)
    uploads = [_SlowLine(in_memory.blobs, number) for number in range(MAX_LONG_LINES)]
    await _sent(*uploads)

    for each in uploads:
        each.end.set()
        assert (await each.stored).lines == 1


class _Turns:
    """Counts the turns that the event loop gives to another task."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._take())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()

    async def _take(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


async def test_a_lookup_in_many_segments_gives_turns(parts: Parts) -> None:
    await parts.add(b'{"pk":"a"}\n')
    arguments = parts.cache, encode_key("b"), parts.segments * 3_000
    await find_newest(*arguments, pointer=PK, seed=SEED, part_of=parts.refs.__getitem__)

    async with _Turns() as turns:
        assert (
            await find_newest(*arguments, pointer=PK, seed=SEED, part_of=parts.refs.__getitem__)
            is None
        )
    assert turns.count > 3_000 // 100


async def test_a_lookup_of_parts_that_a_snapshot_does_not_have_gives_turns(parts: Parts) -> None:
    for _ in range(30):
        await parts.add(b'{"pk":"a"}\n')
    await parts.merge()
    arguments = parts.cache, encode_key("a"), parts.segments * 1_000
    await find_newest(*arguments, pointer=PK, seed=SEED, part_of=lambda _: None)

    async with _Turns() as turns:
        assert await find_newest(*arguments, pointer=PK, seed=SEED, part_of=lambda _: None) is None
    # Those for the segments alone are 16.
    assert turns.count > 25


async def test_long_lines_are_read_in_threads(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    read = object_cache._read_without_waiting

    def note(path: Path, start: int, end: int) -> bytes | None:
        sizes.append(end - start)
        return read(path, start, end)

    monkeypatch.setattr(object_cache, "_read_without_waiting", note)
    line = b'{"pk":"a","x":"%s"}' % b"".join(b"%07x" % (n * n) for n in range(200_000))
    await parts.add(line)

    for _ in range(2):
        assert await parts.values("a") == [line]
    assert sizes
    assert max(sizes) <= 256 * KIB


async def test_a_missing_object_tells_nothing_about_the_file_system(parts: Parts) -> None:
    await parts.add(b'{"pk":"a"}\n')
    existing = Read(parts.refs[0].blob_key, 0, 10)
    other = ObjectCache(parts.blobs, max_bytes=0)
    await other.read(existing)

    cache = ObjectCache(parts.blobs, max_bytes=0)
    with pytest.raises(BlobMissing):
        await cache.read(Read("t/datasets/missing", 0, 10))
    await cache.read(existing)
    assert cache.at_hand(existing) == other.at_hand(existing)


async def test_a_download_asks_the_store_seldom(
    in_memory: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b'{"pk":"a","some":"text that compresses well"}\n' * (6 * MIB // 48)
    await in_memory.add(raw, content=Format.TEXT)
    requests = []
    read = in_memory.blobs.read

    def note(key: str, **range_: int) -> AsyncIterator[bytes]:
        requests.append(range_)
        return read(key, **range_)

    monkeypatch.setattr(in_memory.blobs, "read", note)
    assert await in_memory.bytes_of(0) == raw
    # The seek table, and the frames.
    assert len(requests) == 2


async def test_searches_end_with_the_lookup(in_memory: Parts) -> None:
    for number in range(40):
        await in_memory.add(b'{"pk":"%d"}\n' % number)
    await in_memory.blobs.delete(in_memory.segments[20].blob_key)
    hits = find(
        in_memory.cache,
        encode_key("?"),
        in_memory.segments,
        pointer=PK,
        seed=SEED,
        part_of=in_memory.refs.__getitem__,
    )

    with pytest.raises(BlobMissing):
        await anext(hits)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_part_that_is_cancelled_leaves_nothing(parts: Parts) -> None:
    raw = b"".join(b'{"pk":"%d"}\n' % number for number in range(5_000))
    turns = 0
    while True:
        stored = asyncio.create_task(
            store_part(
                in_chunks(raw),
                format=Format.JSONL,
                key=PK,
                seed=SEED,
                blobs=parts.blobs,
                part_key=f"t/datasets/{turns}",
                index_key=f"t/indexes/{turns}",
            )
        )
        # The first ones are turns of the loop, of which storing takes some on any machine.
        for turn in range(turns):
            await asyncio.sleep(0 if turn < 10 else 0.0005)
        if stored.done():
            break
        stored.cancel()
        with suppress(asyncio.CancelledError):
            await stored
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
        assert [page async for page in parts.blobs.pages(size=10)] in ([], [[]])
        turns += 1
    assert turns > 5
