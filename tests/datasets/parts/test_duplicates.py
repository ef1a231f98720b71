"""Of two records of a part with one key the later is kept, in bounded memory and in threads."""

import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from typing_extensions import override

from app.blobs import open_blobs
from app.datasets.parts import CollidingKeys, Format, PartTooLarge, duplicates, encoder
from app.datasets.parts.duplicates import _passes, drop_replaced
from app.datasets.parts.encoder import PartEncoder
from app.datasets.parts.hash_order import order_by_hash
from app.settings import Settings
from tests.datasets.parts.stored import PK, SEED, Parts

# Hashes that several keys have: that of a key is its first digit.
_KEYS = st.lists(st.integers(0, 39).map("{:02}".format), max_size=60)


class _Noted(npt.NDArray[np.uint64]):
    """An array that notes in which threads many of its elements are read."""

    threads: "set[threading.Thread]"

    @override
    def __array_finalize__(self, source: object) -> None:
        self.threads = getattr(source, "threads", set())

    @override
    def __getitem__(self, at: Any) -> Any:
        if not isinstance(at, int):
            self.threads.add(threading.current_thread())
        return super().__getitem__(at)


async def _stored(keys: Sequence[str]) -> tuple[Parts, list[int], list[int]]:
    """Store records; return the hash and the offset of each, in order."""
    parts = Parts(open_blobs(Settings(blob_url="memory:///")))
    lines = [b'{"pk":"%s"}\n' % key.encode() for key in keys]
    await parts.add(b"".join(lines))
    starts = accumulate(map(len, lines), initial=0)
    entries = sorted((int(key[0]), start) for key, start in zip(keys, starts, strict=False))
    return parts, [hash_ for hash_, _ in entries], [start for _, start in entries]


@settings(max_examples=60)
@given(keys=_KEYS, pass_records=st.integers(1, 9))
async def test_the_last_record_of_each_key_is_kept(keys: list[str], pass_records: int) -> None:
    parts, hashes, offsets = await _stored(keys)
    record_bytes = len('{"pk":"00"}\n')
    last = {key: number * record_bytes for number, key in enumerate(keys)}
    too_many = {hash_ for hash_ in hashes if sum(key[0] == str(hash_) for key in last) > 8}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_PASS_RECORDS", pass_records)
        found = drop_replaced(
            np.array(hashes, np.uint64),
            np.array(offsets, np.uint32),
            blobs=parts.blobs,
            part=parts.refs[0],
            key=PK,
        )
        if too_many:
            with pytest.raises(CollidingKeys):
                await found
            return
        kept = await found

    assert sorted(kept[1].tolist()) == sorted(last.values())
    assert kept[0].tolist() == sorted(kept[0].tolist())


@settings(max_examples=100)
@given(hashes=st.lists(st.integers(0, 9), max_size=40).map(sorted), most=st.integers(1, 9))
def test_a_pass_has_few_records(hashes: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_PASS_RECORDS", most)
        passes = list(_passes(np.array(hashes, np.uint64)))

    positions = [position for some, _ in passes for position in some.tolist()]
    assert positions == [at for at, hash_ in enumerate(hashes) if hashes.count(hash_) > 1]
    assert all(len(some) <= most for some, _ in passes)
    # A hash is complete when its last record is read.
    for some, has_all in passes:
        following = int(some[-1]) + 1
        assert has_all == (hashes[following : following + 1] != [hashes[int(some[-1])]])


@settings(max_examples=60)
@given(hashes=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60))
def test_equal_hashes_stay_in_order(hashes: list[int]) -> None:
    expected = sorted(range(len(hashes)), key=hashes.__getitem__)

    assert order_by_hash(np.array(hashes, np.uint64)).tolist() == expected


async def test_arrays_are_handled_in_threads() -> None:
    parts, hashes, offsets = await _stored(["00", "01", "00", "10", "20", "20"])
    by_hash = np.array(hashes, np.uint64).view(_Noted)
    at_offset = np.array(offsets, np.uint32).view(_Noted)

    await drop_replaced(
        by_hash,
        at_offset,  # type: ignore[arg-type]  # numpy has no type of a view with other elements
        blobs=parts.blobs,
        part=parts.refs[0],
        key=PK,
    )

    threads = by_hash.threads | at_offset.threads
    assert threads
    assert threading.main_thread() not in threads


def test_a_part_has_a_largest_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "MAX_KEYS_OF_A_PART", 10)
    some = b'{"pk":1}\n' * 10 + b'{"a":1}\n' * 90

    for content, key, raw in (
        (Format.JSONL, PK, some),
        (Format.JSONL, None, some * 9),
        (Format.TEXT, None, some * 9),
    ):
        accepted = PartEncoder(content, key, SEED)
        accepted.feed(raw)
        accepted.finish()
    refused = PartEncoder(Format.JSONL, PK, SEED)
    refused.feed(some + b'{"pk":1}\n')
    with pytest.raises(PartTooLarge, match="10 records with a key"):
        refused.finish()
