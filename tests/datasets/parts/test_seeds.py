"""Nobody can choose keys by the place that their hashes give them in the index."""

import numpy as np
import pytest

from app.blobs import open_blobs
from app.datasets.parts import HashSeed, ObjectDamaged, SegmentRef, SliceTooLarge
from app.datasets.parts.keys import encode_key, hash_of
from app.datasets.parts.segment_writer import write_segment
from app.settings import Settings
from tests.datasets.parts.stored import SEED, Parts, in_chunks

_OTHER = HashSeed.of(8)
# The keys that one seed puts into the first 32nd of its hashes.
_CHOSEN = [key for key in map(str, range(200_000)) if hash_of(encode_key(key), SEED) >> 59 == 0]


def _parts(seed: HashSeed) -> Parts:
    return Parts(open_blobs(Settings(blob_url="memory:///")), seed)


async def test_keys_that_are_chosen_for_one_dataset_are_spread_in_another() -> None:
    shares = [
        sum(hash_of(encode_key(key), seed) >> 59 == 0 for key in _CHOSEN) / len(_CHOSEN)
        for seed in (SEED, _OTHER)
    ]

    assert len(_CHOSEN) > 5_000
    assert shares[0] == 1
    assert shares[1] < 0.1
    raw = b"".join(b'{"pk":"%s"}\n' % key.encode() for key in _CHOSEN)
    stored = []
    for parts in (_parts(SEED), _parts(_OTHER)):
        await parts.add(raw)
        stored.append(await parts.object_of(parts.segments[0].blob_key))
        assert await parts.values(_CHOSEN[0]) == [b'{"pk":"%s"}' % _CHOSEN[0].encode()]
    assert stored[0] != stored[1]


async def test_another_seed_is_an_error_and_no_missing_record() -> None:
    parts = _parts(SEED)
    await parts.add(b'{"pk":"a"}\n')
    await parts.add(b'{"pk":"b"}\n')
    for is_merged in (False, True):
        if is_merged:
            await parts.merge()
        for key in "ac":
            parts.seed = _OTHER
            with pytest.raises(ObjectDamaged, match="another seed"):
                await parts.values(key)
        parts.seed = SEED
        assert await parts.values("a") == [b'{"pk":"a"}']

    parts.seed = _OTHER
    await parts.add(b'{"pk":"a"}\n')
    with pytest.raises(ObjectDamaged, match="another seed"):
        await parts.merge()


async def test_a_merge_of_uneven_hashes_ends_before_it_reads_them() -> None:
    parts = _parts(SEED)
    for number in range(2):
        segment = write_segment(
            np.arange(20_000, dtype=np.uint64), np.arange(20_000, dtype=np.uint32), SEED.check
        )
        await parts.blobs.put(f"t/indexes/{number}", in_chunks(segment))
        parts.segments.append(
            SegmentRef(blob_key=f"t/indexes/{number}", stored_bytes=len(segment), sequence=number)
        )

    with pytest.raises(SliceTooLarge, match="40000 entries"):
        await parts.merge(slice_entries=1_000)
    keys = [key for page in [page async for page in parts.blobs.pages(size=10)] for key in page]
    assert len(keys) == 2
    assert (await parts.merge()).entries == 40_000


def test_the_secret_is_not_in_texts() -> None:
    assert str(SEED) == "HashSeed(…)"
