"""The newest value of a key is found, in any snapshot, however the segments are merged."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from msgspec import structs

from app.blobs import BlobMissing, open_blobs
from app.datasets.parts import (
    CollidingKeys,
    ObjectCache,
    ObjectDamaged,
    RawNumber,
    SegmentRef,
    encode_key,
    find,
)
from app.datasets.parts.duplicates import MAX_KEYS_OF_A_HASH, drop_replaced
from app.datasets.parts.keys import hash_of
from app.datasets.parts.segment_writer import write_segment
from app.datasets.parts.segments import Read, tail_of
from app.limits import MAX_NESTING
from app.settings import Settings
from tests.datasets.parts.stored import PK, SEED, Parts, in_chunks

_KEYS = [*map(str, range(9)), "é", ""]
_VALUES = st.lists(st.sampled_from(_KEYS), max_size=12)


def _part(keys: list[str], number: int) -> bytes:
    lines = (f'{{"pk":"{key}","at":[{number},{at}]}}\n' for at, key in enumerate(keys))
    return "".join(lines).encode()


def _others_than(dead: set[int]) -> list[range]:
    ends = [-1, *sorted(dead), 2**32]
    ranges = (range(before + 1, after) for before, after in pairwise(ends))
    return [each for each in ranges if each]


@settings(max_examples=80)
@given(parts=st.lists(_VALUES, max_size=6), data=st.data())
async def test_lookups_agree_with_a_dictionary(parts: list[list[str]], data: st.DataObject) -> None:
    stored = Parts(open_blobs(Settings(blob_url="memory:///")))
    # The values of a key, newest first: one of each part.
    model: dict[str, dict[int, bytes]] = {key: {} for key in _KEYS}
    for number, keys in enumerate(parts):
        raw = _part(keys, number)
        assert (await stored.add(raw)).duplicates == len(keys) - len(set(keys))
        for key, line in zip(keys, raw.splitlines(), strict=True):
            model[key] = {number: line} | {n: v for n, v in model[key].items() if n != number}
    dead: set[int] = set()
    for _ in range(data.draw(st.integers(0, 3))):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(stored.segments))] * 2)))
        dead |= data.draw(st.sets(st.sampled_from(range(len(parts)))) if parts else st.just(set()))
        merged = await stored.merge(start, end, live=_others_than(dead))
        assert (merged.stored_bytes == 0) == (merged.entries == 0)

    of = data.draw(st.sets(st.sampled_from(range(len(parts)))) if parts else st.just(set()))
    for key in _KEYS:
        expected = [line for number, line in model[key].items() if number in of - dead]
        assert await stored.values(key, of=[*(of - dead)]) == expected


async def test_a_merge_in_slices_gives_the_same_run(parts: Parts) -> None:
    for number in range(5):
        await parts.add(_part([str(key) for key in range(number, 9_000, number + 1)], number))
    small = await parts.add(_part(["7", "x"], 5))
    assert small.records == 2
    before = list(parts.segments)

    files = [range(number, number + 2) for number in (0, 2, 4)]
    whole = await parts.merge(files=files)
    whole_object = await parts.object_of(parts.segments[0].blob_key)
    parts.segments[:] = before
    sliced = await parts.merge(files=files, slice_entries=1_000)

    assert sliced == whole
    assert await parts.object_of(parts.segments[0].blob_key) == whole_object
    places = [(5, 0), (3, 1), (1, 3), (0, 7)]
    assert await parts.values("7") == [b'{"pk":"7","at":[%d,%d]}' % place for place in places]


async def test_a_merge_drops_what_is_gone(parts: Parts) -> None:
    for number, keys in enumerate((["a", "b"], ["a", "c"], ["a"])):
        await parts.add(_part(keys, number))

    assert (await parts.merge(live=_others_than({1}))).entries == 3
    assert await parts.values("a") == [b'{"pk":"a","at":[%d,0]}' % number for number in (2, 0)]
    assert await parts.values("c") == []
    assert (await parts.merge(live=[range(2, 3)])).entries == 1
    assert await parts.values("b") == []
    gone = await parts.merge(live=[])
    assert (gone.entries, gone.stored_bytes, parts.segments) == (0, 0, [])
    assert await parts.values("a") == []


async def test_sequences_may_lie_far_apart(parts: Parts) -> None:
    # A part's sequence is known when it is published: only its reference has it.
    sequences = [7, 70_000, 2**32 - 1]
    for number in range(3):
        await parts.add(_part(["a", f"b{number}"], number))
    refs = [
        structs.replace(segment, sequence=sequence)
        for segment, sequence in zip(parts.segments, sequences, strict=True)
    ]
    part_of = dict(zip(sequences, parts.refs, strict=True)).get

    async def found(key: str) -> list[int]:
        hits = find(
            parts.cache,
            encode_key(key),
            parts.segments[::-1],
            pointer=PK,
            seed=SEED,
            part_of=part_of,
        )
        return [hit.sequence async for hit in hits]

    parts.segments[:] = refs[:2]
    merged = await parts.merge()
    assert (merged.first_sequence, merged.last_sequence) == (7, 70_000)
    parts.segments.append(refs[2])
    assert await found("a") == sequences[::-1]
    assert await found("b1") == [70_000]


async def test_duplicates_are_counted_within_a_file(parts: Parts) -> None:
    for number, keys in enumerate((["a", "b", "b"], ["b", "c"], ["a"], ["a", "b"])):
        await parts.add(_part(keys, number))

    files = [range(3), range(3, 4)]
    merged = await parts.merge(0, 2, files=files)
    assert merged.duplicates == Counter({0: 1})
    # Those of a merged segment are counted already.
    merged = await parts.merge(files=files)

    assert merged.duplicates == Counter({0: 1})
    assert merged.entries == 7


async def test_keys_with_one_hash_are_told_apart(parts: Parts) -> None:
    await parts.add(_part(["a", "b", "a", "c"], 0))
    starts = np.array([0, 22, 44, 66], np.uint32)
    colliding = np.full(4, hash_of(encode_key("a"), SEED), np.uint64)

    kept = await drop_replaced(colliding, starts, blobs=parts.blobs, part=parts.refs[0], key=PK)
    assert sorted(kept[1].tolist()) == [22, 44, 66]

    segment = write_segment(*kept, SEED.check)
    await parts.blobs.put("t/indexes/colliding", in_chunks(segment))
    parts.segments[:] = [
        SegmentRef(blob_key="t/indexes/colliding", stored_bytes=len(segment), sequence=0)
    ]
    assert await parts.values("a") == [b'{"pk":"a","at":[0,2]}']
    assert await parts.values("b") == []


async def test_many_keys_with_one_hash_are_refused(parts: Parts) -> None:
    keys = [f"{number:02}" for number in range(MAX_KEYS_OF_A_HASH + 1)]
    raw = _part(keys, 0)
    await parts.add(raw)
    starts = np.array([raw.index(b'{"pk":"%s"' % key.encode()) for key in keys], np.uint32)

    same = np.zeros(len(keys), np.uint64)
    await drop_replaced(same[1:], starts[1:], blobs=parts.blobs, part=parts.refs[0], key=PK)
    with pytest.raises(CollidingKeys):
        await drop_replaced(same, starts, blobs=parts.blobs, part=parts.refs[0], key=PK)


async def test_strings_and_numbers_are_different_keys(parts: Parts) -> None:
    await parts.add(b'{"pk":"12"}\r\n{"pk":12,"n":1}\r\n{"pk":12.0,"n":2}\r')

    async def found(key: str) -> list[bytes]:
        hits = find(
            parts.cache,
            encode_key(key),
            parts.segments,
            pointer=PK,
            seed=SEED,
            part_of=parts.refs.__getitem__,
        )
        return [hit.line async for hit in hits]

    assert await found("12") == [b'{"pk":"12"}']
    assert await found(RawNumber("12")) == [b'{"pk":12,"n":1}']
    assert await found(RawNumber("12.0")) == [b'{"pk":12.0,"n":2}']
    assert await found(RawNumber("12.00")) == []


async def test_the_deepest_record_is_found_from_a_deep_stack(parts: Parts) -> None:
    deepest = b'{"pk":"a","x":%s1%s}' % (
        b"[" * (MAX_NESTING - 1),
        b"]" * (MAX_NESTING - 1),
    )
    # With half a surrogate pair, and without a key.
    await parts.add(deepest + b"\n" + deepest.replace(b'"a"', b'"b","y":"\\ud800"'))

    async def values_below(frames: int, key: str) -> list[bytes]:
        return await (values_below(frames - 1, key) if frames else parts.values(key))

    assert await values_below(300, "a") == [deepest]
    assert len(await values_below(300, "b")) == 1


async def test_everywhere_records_are_found_and_bytes_come_back(parts_anywhere: Parts) -> None:
    raws = [
        _part([f"k{key}" for key in range(number * 1_000, number * 1_000 + 30_000)], number)
        for number in range(3)
    ]
    for raw in raws:
        await parts_anywhere.add(raw)

    for _ in ("parts", "merged"):
        assert (
            await parts_anywhere.values("k1500")
            == [raw.splitlines()[1_500 - number * 1_000] for number, raw in enumerate(raws[:2])][
                ::-1
            ]
        )
        assert len(await parts_anywhere.values("k2500")) == 3
        assert await parts_anywhere.values("k32000") == []
        await parts_anywhere.merge(slice_entries=20_000)
    for number, raw in enumerate(raws):
        assert await parts_anywhere.bytes_of(number) == raw
        assert await parts_anywhere.bytes_of(number, 70_000, 70_001) == raw[70_000:70_001]
        assert await parts_anywhere.lines_of(number, 29_999, 5) == raw.splitlines()[-1:]


async def test_a_lookup_reads_no_more_with_more_parts(parts: Parts) -> None:
    async def read_for(key: str) -> int:
        cache = parts.cache = ObjectCache(parts.blobs)
        assert len(await parts.values(key)) == 1
        return cache.size_bytes

    await parts.add(_part([f"0-{key}" for key in range(200)], 0))
    alone = await read_for("0-7")
    for number in range(1, 300):
        await parts.add(_part([f"{number}-{key}" for key in range(200)], number))
    apart = await read_for("0-7")
    await parts.merge()

    # The tail of the segment with its directory, a block, the frame and its table.
    assert await read_for("0-7") <= alone + 40_000
    assert apart > 10 * alone
    assert len(parts.segments) == 1


async def test_a_cache_stays_within_its_bound(parts: Parts) -> None:
    await parts.add(_part([str(key) for key in range(50_000)], 0))
    parts.cache = ObjectCache(parts.blobs, max_bytes=500_000)

    for key in range(0, 50_000, 500):
        assert len(await parts.values(str(key))) == 1
        assert parts.cache.size_bytes <= 500_000
    assert parts.cache.size_bytes > 400_000


# In a block, in the directory (the count of a block, and its checksum) and in the footer.
@pytest.mark.parametrize("at", [10, -60, -42, -40, -20])
async def test_a_damaged_index_is_an_error_and_no_missing_record(parts: Parts, at: int) -> None:
    await parts.add(_part([str(key) for key in range(9_000)], 0))
    segment = parts.segments[0]
    content = bytearray(await parts.object_of(segment.blob_key))
    content[at] ^= 1
    await parts.blobs.put(segment.blob_key, in_chunks(bytes(content)))

    damaged = 0
    for key in range(9_000):
        try:
            assert len(await parts.values(str(key))) == 1
        except ObjectDamaged:
            damaged += 1
    assert damaged
    with pytest.raises(ObjectDamaged):
        await parts.merge()


@pytest.mark.parametrize("at", [300, -150, -40, -20, -1])
async def test_a_damaged_part_is_an_error(parts: Parts, at: int) -> None:
    await parts.add(_part([str(key) for key in range(9_000)], 0))
    content = bytearray(await parts.object_of(parts.refs[0].blob_key))
    content[at] ^= 1
    await parts.blobs.put(parts.refs[0].blob_key, in_chunks(bytes(content)))

    with pytest.raises(ObjectDamaged):
        await parts.bytes_of(0)


async def test_a_missing_object_is_an_error(parts: Parts) -> None:
    await parts.add(_part(["a"], 0))
    await parts.blobs.delete(parts.segments[0].blob_key)

    with pytest.raises(BlobMissing):
        await parts.values("a")


async def test_after_a_missing_object_others_are_still_read_at_once(parts: Parts) -> None:
    await parts.add(_part(["a"], 0))
    other, unseen = ObjectCache(parts.blobs), Read(parts.refs[0].blob_key, 0, 9)
    with pytest.raises(BlobMissing):
        await parts.cache.read(Read("t/indexes/missing", 0, 9))

    for cache in (parts.cache, other):
        await cache.read(tail_of(parts.segments[0]))

    # None where the file system cannot do so.
    assert parts.cache.at_hand(unseen) == other.at_hand(unseen)
