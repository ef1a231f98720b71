"""Parts, commits, merges and deletions at the same time lose and double nothing."""

import asyncio
from contextlib import suppress

import pytest

from app.datasets import merging, record_service, upload_store
from app.datasets.merge_store import ClaimedDataset
from app.datasets.merging import merge_next
from app.datasets.parts import encode_key
from app.datasets.problems import (
    DatasetNotFound,
    FileNotInSnapshot,
    PartDiffers,
    UploadNotFound,
)
from app.datasets.refs import DatasetRef
from app.db import Pool
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets, lines
from tests.support.lock_waits import until_one_waits


@pytest.fixture
async def datasets(pool: Pool, settings: Settings) -> Datasets:
    datasets = Datasets(pool, settings)
    await datasets.create()
    return datasets


async def test_one_of_several_senders_of_a_part_adds_it(datasets: Datasets) -> None:
    upload = await datasets.begin()
    part, other = lines(*range(1_000)), lines(*range(1_000), value=1)

    outcomes = await asyncio.gather(
        *(datasets.send(upload, "a", 1, part) for _ in range(6)), return_exceptions=True
    )
    with pytest.raises(PartDiffers):
        await datasets.send(upload, "a", 1, other)

    assert sorted(outcomes, key=str) == [False] * 5 + [True]
    assert datasets.blob_keys() == await datasets.referenced_keys()
    assert len(datasets.blob_keys()) == 2


async def test_commits_at_the_same_time_become_snapshots_in_turn(datasets: Datasets) -> None:
    uploads = [await datasets.begin() for _ in range(8)]

    async def publish(number: int) -> int:
        await datasets.send(uploads[number], f"f{number}", 1, lines(number))
        return (await datasets.commit(uploads[number], **{f"f{number}": [lines(number)]})).number

    merges = (merge_next(datasets.pool, datasets.blobs) for _ in range(8))
    numbers, _ = await asyncio.gather(
        asyncio.gather(*(publish(number) for number in range(8))), asyncio.gather(*merges)
    )
    while await merge_next(datasets.pool, datasets.blobs):
        pass

    assert sorted(numbers) == list(range(1, 9))
    counts = await datasets.pool.fetch("SELECT files FROM dataset_snapshots ORDER BY number")
    assert [row["files"] for row in counts] == list(range(1, 9))
    sequences = await datasets.pool.fetch("SELECT sequence FROM dataset_parts ORDER BY sequence")
    assert [row["sequence"] for row in sequences] == list(range(8))
    ref = DatasetRef(name=NAME)
    for number in range(8):
        found, _ = await record_service.find_record(
            datasets.resources,
            datasets.catalogs,
            datasets.caller.tenant,
            ref,
            encode_key(str(number)),
        )
        assert found.line == lines(number).strip()
    assert datasets.blob_keys() == await datasets.referenced_keys()


async def test_a_quota_is_exact_under_concurrent_parts(
    datasets: Datasets, pool: Pool, settings: Settings
) -> None:
    upload = await datasets.begin()
    assert await datasets.send(upload, "a", 100, lines("first"))
    one, _ = await datasets.usage()
    # The parts of one upload take turns anyway.
    uploads = [await datasets.begin() for _ in range(8)]
    limited = Datasets(pool, settings, Caps(max_stored_bytes=4 * one + one // 2))

    outcomes = await asyncio.gather(
        *(limited.send(each, "a", 1, lines("other")) for each in uploads),
        return_exceptions=True,
    )

    assert [each for each in outcomes if each is True] == [True] * 3
    assert sum(isinstance(each, QuotaExceeded) for each in outcomes) == 5
    assert await datasets.usage() == (4 * one, 4 * one)
    assert datasets.blob_keys() == await datasets.referenced_keys()
    day = Datasets(pool, settings, Caps(max_bytes_per_day=4 * len(lines("first"))))
    with pytest.raises(QuotaExceeded):
        await day.send(upload, "a", 50, lines("first"))


async def test_parts_of_a_tenant_take_turns_at_a_quota(datasets: Datasets, pool: Pool) -> None:
    caps, tenant = Caps(max_stored_bytes=10), datasets.caller.tenant

    async def require_room() -> None:
        async with pool.acquire() as conn, conn.transaction():
            await upload_store.require_room(conn, tenant, caps, stored_bytes=1, raw_bytes=1)

    async with pool.acquire() as conn, conn.transaction():
        await upload_store.require_room(conn, tenant, caps, stored_bytes=1, raw_bytes=1)
        second = asyncio.create_task(require_room())
        await until_one_waits(pool, second)
    await second


async def test_of_two_merges_of_the_same_indexes_one_counts(datasets: Datasets) -> None:
    await datasets.put("a", lines("a"))
    dataset_id = await datasets.pool.fetchval("SELECT id FROM datasets")
    claimed = ClaimedDataset(id=dataset_id, tenant_id=datasets.caller.tenant)
    planned = []
    for path in "bcd":
        await datasets.put(path, lines(path))
        planned.append(await merging._plan(datasets.pool, claimed))
    outcomes = []
    for number, plan in enumerate(planned):
        assert plan is not None
        key = f"{claimed.tenant_id}/indexes/{number}"
        merged = await merging._merge(datasets.blobs, plan, to=key)
        replacement = merging._replacement(plan, merged, key)
        outcomes.append(await merging._replace(datasets.pool, claimed, replacement))

    # The later ones have more than the first, but what it replaced as well.
    assert outcomes == [True, False, False]
    segments = await datasets.pool.fetch("SELECT blob_key, entries FROM dataset_segments")
    assert [(row["blob_key"][-1], row["entries"]) for row in segments] == [("0", 2)]
    assert await datasets.pool.fetchval("SELECT unmerged FROM datasets") == 2
    assert await merge_next(datasets.pool, datasets.blobs)
    assert await datasets.pool.fetchval("SELECT sum(entries) FROM dataset_segments") == 4


async def test_a_deletion_amid_uploads_commits_and_merges_leaves_nothing(
    datasets: Datasets,
) -> None:
    async def publish(path: str) -> None:
        with suppress(DatasetNotFound, UploadNotFound, FileNotInSnapshot):
            while True:
                await datasets.put(path, lines(path))

    async def merge() -> None:
        for _ in range(20):
            await merge_next(datasets.pool, datasets.blobs)
            await asyncio.sleep(0.01)

    async def delete() -> None:
        async with asyncio.timeout(60):
            while await datasets.pool.fetchval("SELECT last_snapshot FROM datasets") < 12:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.005)
        await datasets.delete()

    await asyncio.gather(*(publish(path) for path in "abcd"), merge(), delete())

    assert datasets.blob_keys() == set()
    assert await datasets.usage() == (0, 0)
    for table in ("dataset_uploads", "dataset_files", "dataset_parts", "dataset_segments"):
        assert await datasets.pool.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608 - a constant
