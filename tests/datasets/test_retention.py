"""Snapshots and uploads are deleted by number, age and request, with all of their blobs."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from app.blobs import BlobMissing
from app.datasets import deletion_store, file_service, record_service, retention, service
from app.datasets.file_store import ByteSpan
from app.datasets.merging import merge_next
from app.datasets.parts import encode_key
from app.datasets.problems import FileNotInSnapshot, UploadNotFound
from app.datasets.refs import DatasetRef
from app.datasets.retention import datasets_owner
from app.db import Pool
from app.payloads.retention import delete_orphans, expire
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets, lines


@pytest.fixture
async def datasets(pool: Pool, settings: Settings) -> Datasets:
    return Datasets(pool, settings)


async def _expire(datasets: Datasets, **settings: int) -> None:
    changed = replace(datasets.resources.settings, **settings)
    await expire(datasets.pool, datasets.blobs, changed, (datasets_owner(changed),))


async def _numbers(datasets: Datasets) -> list[int]:
    rows = await datasets.pool.fetch("SELECT number FROM dataset_snapshots ORDER BY number")
    return [row["number"] for row in rows]


async def test_an_abandoned_upload_expires_and_leaves_nothing(datasets: Datasets) -> None:
    await datasets.create()
    abandoned, committed = await datasets.begin(), await datasets.begin()
    for number in (1, 2):
        await datasets.send(abandoned, "a", number, lines(number))
    await datasets.send(committed, "b", 1, lines("b"))
    await datasets.commit(committed, b=[lines("b")])
    await _expire(datasets)
    assert len(datasets.blob_keys()) == 6

    await datasets.pool.execute("UPDATE dataset_uploads SET expires_at = now() - interval '1 s'")
    with pytest.raises(UploadNotFound):
        await datasets.send(abandoned, "a", 3, lines(3))
    await _expire(datasets)

    assert await datasets.read("b") == lines("b")
    assert await datasets.pool.fetchval("SELECT count(*) FROM dataset_uploads") == 0
    assert datasets.blob_keys() == await datasets.referenced_keys()
    assert len(datasets.blob_keys()) == 2
    counted, held = await datasets.usage()
    assert counted == held > 0


async def test_an_upload_does_not_expire_while_its_dataset_is_deleted(datasets: Datasets) -> None:
    await datasets.create()
    await datasets.send(await datasets.begin(), "a", 1, lines("a"))
    await datasets.pool.execute("UPDATE dataset_uploads SET expires_at = now() - interval '1 s'")

    async with datasets.pool.acquire() as conn, conn.transaction():
        await deletion_store.lock_for_deletion(conn, datasets.caller.tenant, NAME)
        async with datasets.pool.acquire() as other:
            during = await retention.delete_expired_uploads(other, 9)
    async with datasets.pool.acquire() as conn:
        after = await retention.delete_expired_uploads(conn, 9)

    assert (during.items, during.blob_keys) == (0, [])
    assert (after.items, len(after.blob_keys)) == (1, 2)


async def test_a_late_commit_can_be_repeated_for_hours(datasets: Datasets) -> None:
    await datasets.create()
    upload = await datasets.begin()
    await datasets.send(upload, "a", 1, lines("a"))
    await datasets.pool.execute("UPDATE dataset_uploads SET expires_at = now() + interval '1 m'")

    published = await datasets.commit(upload, a=[lines("a")])
    await datasets.pool.execute(
        "UPDATE dataset_uploads SET expires_at = expires_at - interval '23 h'"
    )
    await _expire(datasets)

    assert await datasets.commit(upload, a=[lines("a")]) == published
    assert await datasets.read("a") == lines("a")


async def test_retention_follows_the_settings_of_the_moment_it_deletes(datasets: Datasets) -> None:
    await datasets.create(keep_snapshots=1)
    for value in range(3):
        await datasets.put("a", lines("a", value=value))
    dataset_id = await datasets.pool.fetchval("SELECT id FROM datasets")
    arguments = datasets.resources.settings, datasets.caller.tenant, dataset_id

    # Found as due, and changed before its turn.
    await datasets.create(keep_snapshots=2)
    async with datasets.pool.acquire() as conn:
        deleted = await retention.expire_snapshots_of(conn, *arguments)
        again = await retention.expire_snapshots_of(conn, *arguments)

    assert (deleted.snapshots, again.snapshots) == (1, 0)
    assert await _numbers(datasets) == [2, 3]


@pytest.mark.parametrize(
    ("members", "defaults"),
    [
        ({"keep_snapshots": 2}, {}),
        ({}, {"default_keep_snapshots": 2}),
        ({"keep_days": 3}, {}),
        ({"keep_snapshots": 9}, {"default_keep_snapshots": 1, "default_keep_snapshots_days": 3}),
    ],
)
async def test_old_snapshots_are_deleted_with_the_files_that_no_other_has(
    datasets: Datasets, members: dict[str, int], defaults: dict[str, int]
) -> None:
    await datasets.create(**members)
    await datasets.put("kept", lines("k"))
    for value in range(4):
        await datasets.put("replaced", lines("a", value=value))
    while await merge_next(datasets.pool, datasets.blobs):
        pass
    await datasets.pool.execute(
        "UPDATE dataset_snapshots SET created_at = now() - make_interval(days => 20 - 4 * number) "
        "WHERE number < 5"
    )

    await _expire(datasets, **defaults)

    # Those of four days ago are older than three days, and the newest but one.
    kept = [5] if "keep_days" in members or "default_keep_snapshots_days" in defaults else [4, 5]
    assert await _numbers(datasets) == kept
    assert await datasets.read("replaced") == lines("a", value=3)
    assert await datasets.read("kept") == lines("k")
    files = await datasets.pool.fetchval("SELECT count(*) FROM dataset_files")
    assert files == 1 + len(kept)
    assert datasets.blob_keys() == await datasets.referenced_keys()
    counted, held = await datasets.usage()
    assert counted == held
    # The merged index still has entries of deleted parts.
    ref = DatasetRef(name=NAME)
    found, _ = await record_service.find_record(
        datasets.resources, datasets.catalogs, datasets.caller.tenant, ref, encode_key("a")
    )
    assert found.line == lines("a", value=3).strip()


async def test_a_deleted_dataset_leaves_nothing(datasets: Datasets) -> None:
    await datasets.create()
    await datasets.put("a", lines("a"))
    await datasets.put("b", lines("b"))
    await merge_next(datasets.pool, datasets.blobs)
    await datasets.send(await datasets.begin(), "open", 1, lines("open"))
    assert datasets.blob_keys() == await datasets.referenced_keys()

    await datasets.delete()

    assert datasets.blob_keys() == set()
    assert await datasets.usage() == (0, 0)
    await datasets.create()
    assert await datasets.put("a", lines("a")) == 1


async def test_a_file_that_is_deleted_under_its_reader_does_not_look_empty(
    datasets: Datasets,
) -> None:
    await datasets.create()
    await datasets.put("a", lines("a"))
    tenant, ref = datasets.caller.tenant, DatasetRef(name=NAME)
    file = await file_service.find_file(datasets.resources, tenant, ref, "a")
    await datasets.delete()

    span = ByteSpan(start=0, end=file.raw_bytes)
    chunks = file_service.read_file(
        datasets.resources, datasets.catalogs.cache, tenant, file.id, span
    )
    with pytest.raises(BlobMissing):
        await anext(chunks)


async def test_a_sweep_of_orphans_keeps_what_rows_name(datasets: Datasets) -> None:
    await datasets.create()
    for path in "abc":
        await datasets.put(path, lines(path))
    await merge_next(datasets.pool, datasets.blobs)
    await datasets.put("d", lines("d"))
    await datasets.pool.execute(
        "DELETE FROM dataset_parts USING dataset_files AS f WHERE f.id = file_id AND path = 'a'"
    )
    owners = (datasets_owner(datasets.resources.settings),)

    age = timedelta(hours=-1)
    deleted = await delete_orphans(datasets.pool, datasets.blobs, owners, min_age=age)

    assert deleted == 1
    assert datasets.blob_keys() == await datasets.referenced_keys()
    assert await datasets.read("d") == lines("d")


async def test_a_deletion_of_one_snapshot_keeps_what_others_have(datasets: Datasets) -> None:
    await datasets.create()
    for value in range(3):
        await datasets.put("a", lines("a", value=value))
        await datasets.put("b", lines("b", value=value))

    await service.delete_snapshot(
        datasets.resources, datasets.caller, DatasetRef(name=NAME, snapshot=3)
    )

    assert await _numbers(datasets) == [1, 2, 4, 5, 6]
    # Its file a is that of snapshot 4 as well, and its file b that of snapshot 2.
    assert await datasets.read("a", 4) == lines("a", value=1)
    with pytest.raises(FileNotInSnapshot):
        await datasets.read("b", 1)
    assert datasets.blob_keys() == await datasets.referenced_keys()
