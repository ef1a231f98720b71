"""Merges take bounded numbers of indexes, in order, and count what a file replaces exactly."""

from uuid import UUID, uuid4

import pytest

from app.datasets import merge_store, merging
from app.datasets.merge_store import MergedIndex, PartIndex
from app.datasets.merging import merge_next, plan_merge
from app.db import Pool
from app.settings import Settings
from tests.datasets.stores import Datasets, lines

_FULL = 2**30


@pytest.fixture
async def datasets(pool: Pool, settings: Settings) -> Datasets:
    datasets = Datasets(pool, settings)
    await datasets.create()
    return datasets


def _part(sequence: int, entries: int = 10, *, file: range | None = None) -> PartIndex:
    of = file or range(sequence, sequence + 1)
    return PartIndex(
        blob_key=f"part-{sequence}",
        stored_bytes=1,
        sequence=sequence,
        entries=entries,
        file_id=UUID(int=of.start) if file else uuid4(),
        first_of_file=of.start,
        last_of_file=of.stop - 1,
    )


def _merged(first: int, last: int, entries: int) -> MergedIndex:
    return MergedIndex(
        blob_key=f"{first}-{last}",
        stored_bytes=1,
        first_sequence=first,
        last_sequence=last,
        entries=entries,
    )


def _planned(parts: list[PartIndex], merged: list[MergedIndex], max_parts: int = 4) -> list[str]:
    plan = plan_merge(parts, merged, max_parts=max_parts)
    return [] if plan is None else plan.keys


def test_a_merge_takes_the_oldest_parts_and_merged_indexes_that_are_not_much_larger() -> None:
    merged = [_merged(4, 5, 30), _merged(2, 3, 90), _merged(0, 1, 1_000)]
    parts = [_part(6), _part(7)]

    assert _planned(parts, merged) == ["2-3", "4-5", "part-6", "part-7"]
    assert _planned(parts, merged[1:]) == ["part-6", "part-7"]
    many = [_part(number) for number in range(6, 14)]
    assert _planned(many, []) == ["part-6", "part-7", "part-8", "part-9"]
    # A single one that is left would wait for others.
    assert len(_planned(many[:5], [])) == 5


def test_a_full_index_is_not_merged_again() -> None:
    full = _merged(0, 9, _FULL - 3)

    assert _planned([_part(10), _part(11)], [full]) == ["part-10", "part-11"]
    assert _planned([_part(10)], [full]) == []
    assert _planned([], [full]) == []
    assert _planned([_part(10, _FULL - 5), _part(11)], []) == []


def test_the_indexes_of_a_file_come_together_at_its_end() -> None:
    file = range(2, 9)
    parts = [_part(number, file=file) for number in range(6, 9)]
    merged = [_merged(4, 5, 500), _merged(0, 3, 900), _merged(-9, -1, 9)]

    # The third part is left for the next merge.
    assert _planned([*parts, _part(9)], merged, max_parts=2) == ["part-6", "part-7"]
    assert _planned([*parts, _part(9)], merged[:2], max_parts=5)[:2] == ["0-3", "4-5"]


async def test_duplicates_of_a_file_of_many_merges_are_counted_once(
    datasets: Datasets, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "_MAX_PARTS", 3)
    upload = await datasets.begin()
    parts = [lines("a", "b", number, value=number) for number in range(10)]
    for number, part in enumerate(parts, start=1):
        await datasets.send(upload, "big", number, part)
    await datasets.send(upload, "other", 1, lines("a"))
    await datasets.commit(upload, other=[lines("a")], big=parts)

    merges = 0
    while await merge_next(datasets.pool, datasets.blobs):
        merges += 1

    assert merges > 2
    counts = await pool.fetch("SELECT path, duplicates FROM dataset_files ORDER BY path")
    assert [tuple(row) for row in counts] == [("big", 18), ("other", 0)]
    assert await pool.fetchval("SELECT unmerged FROM datasets") == 0
    assert datasets.blob_keys() == await datasets.referenced_keys()


async def test_a_lost_index_is_reported(
    datasets: Datasets, pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in "ab":
        await datasets.put(path, lines(path))
    key = await pool.fetchval("SELECT max(index_key) FROM dataset_parts")
    await datasets.blobs.delete(key)

    assert await merge_next(datasets.pool, datasets.blobs)

    assert "indexes.blob_lost" in capsys.readouterr().out
    async with pool.acquire() as conn:
        assert await merge_store.claim_dataset(conn, seconds=1) is None
