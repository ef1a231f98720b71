"""A catalog that reads what has changed equals one that reads all."""

import random

import pytest

from app.datasets import service
from app.datasets.catalog import Catalog, load_catalog
from app.datasets.merging import merge_next
from app.datasets.model import Mode
from app.datasets.problems import NewestSnapshot, SnapshotNotFound
from app.datasets.refs import DatasetRef
from app.db import Pool
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets, lines


@pytest.fixture
async def datasets(pool: Pool, settings: Settings) -> Datasets:
    datasets = Datasets(pool, settings)
    await datasets.create()
    return datasets


def _content(catalog: Catalog) -> list[object]:
    """Say what a catalog answers for all snapshots and sequences."""
    numbers = range(catalog.last_snapshot + 2)
    sequences = range(catalog.next_sequence)
    return [
        catalog.revision,
        [catalog.has_snapshot(number) for number in numbers],
        [
            [find(number)(sequence) for sequence in sequences]
            for number in numbers
            for find in (catalog.part_of, catalog.part_up_to)
        ],
        [catalog.lines_of(number, first=2, count=9) for number in numbers],
        catalog.segments,
        len(catalog.published.files),
        len(catalog.published.parts),
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_newer_catalog_equals_a_fresh_one(
    datasets: Datasets, pool: Pool, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    tenant = datasets.caller.tenant
    dataset_id = await pool.fetchval("SELECT id FROM datasets")

    async def publish() -> None:
        upload = await datasets.begin(chance.choice([Mode.APPEND, Mode.APPEND, Mode.REPLACE]))
        files = {
            path: [lines(*range(chance.randint(0, 4)), value=number) for number in range(parts)]
            for path in chance.sample("abcd", chance.randint(1, 3))
            for parts in [chance.randint(1, 3)]
        }
        for path, contents in files.items():
            for number, content in enumerate(contents, start=1):
                await datasets.send(upload, path, number, content)
        await datasets.commit(upload, **files)

    async def delete() -> None:
        number = await pool.fetchval("SELECT number FROM dataset_snapshots ORDER BY random()")
        try:
            await service.delete_snapshot(
                datasets.resources, datasets.caller, DatasetRef(name=NAME, snapshot=number)
            )
        except (NewestSnapshot, SnapshotNotFound):
            return

    async def merge() -> None:
        await merge_next(datasets.pool, datasets.blobs)

    known: Catalog | None = None
    for _ in range(14):
        for change in chance.choices([publish, delete, merge], [3, 2, 1], k=chance.randint(1, 3)):
            await change()
        async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
            known = await load_catalog(conn, tenant, dataset_id, known)
            fresh = await load_catalog(conn, tenant, dataset_id)
        assert known is not None
        assert fresh is not None
        assert _content(known) == _content(fresh)


async def test_lines_of_files_of_many_parts_are_found_by_their_numbers(
    datasets: Datasets, pool: Pool
) -> None:
    upload = await datasets.begin()
    parts = [lines(*range(number)) for number in (3, 0, 2, 5)]
    for number, part in enumerate(parts, start=1):
        await datasets.send(upload, "b", number, part)
    await datasets.send(upload, "a", 1, lines("a", "a"))
    await datasets.commit(upload, b=parts, a=[lines("a", "a")])
    dataset_id = await pool.fetchval("SELECT id FROM datasets")
    async with pool.acquire() as conn:
        catalog = await load_catalog(conn, datasets.caller.tenant, dataset_id)
    assert catalog is not None

    def found(first: int, count: int) -> list[tuple[int, int]]:
        return [(each.first, each.count) for each in catalog.lines_of(1, first=first, count=count)]

    assert found(0, 99) == [(0, 3), (0, 2), (0, 5), (0, 2)]
    assert found(4, 3) == [(1, 1), (0, 2)]
    assert found(9, 2) == [(4, 1), (0, 1)]
    assert found(12, 5) == []
