"""The numbers of datasets and of open uploads are bounded, and so are the bytes of both."""

import asyncio
from uuid import UUID

import pytest
from msgspec.structs import replace

from app.datasets import service, upload_service
from app.datasets.model import PutDataset
from app.datasets.retention import datasets_owner
from app.db import Pool
from app.http.quota_problems import quota_problem
from app.payloads.retention import expire
from app.preconditions import NO_PRECONDITIONS
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets, lines


def _refused(outcomes: list[UUID | BaseException]) -> list[tuple[str, int, int]]:
    errors = [each for each in outcomes if isinstance(each, BaseException)]
    exceeded = [each for each in errors if isinstance(each, QuotaExceeded)]
    assert exceeded == errors
    return [(each.quota, each.limit, each.used) for each in exceeded]


async def test_open_uploads_are_counted_until_they_end(pool: Pool, settings: Settings) -> None:
    datasets = Datasets(pool, replace(settings, max_open_uploads=3))
    await datasets.create()

    outcomes = await asyncio.gather(*(datasets.begin() for _ in range(8)), return_exceptions=True)

    assert _refused(outcomes) == [("open-uploads", 3, 3)] * 5
    committed, abandoned, _ = [each for each in outcomes if isinstance(each, UUID)]
    with pytest.raises(QuotaExceeded) as refused:
        # It needs an upload of its own.
        await datasets.put("whole", lines("w"))
    problem = quota_problem(refused.value)
    assert problem.status == 429
    assert "DELETE /uploads/{upload}" in problem.detail
    await datasets.send(committed, "a", 1, lines("a"))
    await datasets.commit(committed, a=[lines("a")])
    await datasets.put("whole", lines("w"))
    await datasets.begin()
    with pytest.raises(QuotaExceeded):
        await datasets.begin()
    await upload_service.abandon(datasets.resources, datasets.caller, abandoned)
    await datasets.begin()
    await pool.execute("UPDATE dataset_uploads SET expires_at = now() - interval '1 s'")
    # Expired, though not deleted yet.
    assert [await datasets.begin() for _ in range(3)]
    # Nothing of what was refused has stayed.
    assert await pool.fetchval("SELECT count(*) FROM dataset_uploads") == 8


async def test_datasets_are_counted_until_they_are_deleted(pool: Pool, settings: Settings) -> None:
    datasets = Datasets(pool, replace(settings, max_datasets=3))

    async def create(name: str) -> UUID:
        created, _ = await service.put(
            datasets.resources,
            datasets.caller,
            name,
            PutDataset(),
            preconditions=NO_PRECONDITIONS,
        )
        return created.id

    await create(NAME)
    outcomes = await asyncio.gather(*(create(f"d{n}") for n in range(8)), return_exceptions=True)

    assert _refused(outcomes) == [("datasets", 3, 3)] * 6
    assert await pool.fetchval("SELECT count(*) FROM datasets") == 3
    # What exists can still be changed.
    await create(NAME)
    await datasets.delete()
    await create("another")


@pytest.mark.parametrize("end", ["abandoned", "expired", "dropped"])
async def test_bytes_of_an_open_upload_count_until_it_ends(
    pool: Pool, settings: Settings, end: str
) -> None:
    datasets = Datasets(pool, settings)
    await datasets.create()
    upload = await datasets.begin()
    part = lines(*range(1_000))
    await datasets.send(upload, "a", 1, part)
    stored, held = await datasets.usage()
    assert stored == held > 0
    assert await pool.fetchval("SELECT sum(day_bytes) FROM tenant_usage") == len(part)
    limited = Datasets(pool, settings, Caps(max_stored_bytes=stored + stored // 2))
    with pytest.raises(QuotaExceeded):
        await limited.send(await datasets.begin(), "a", 1, part)

    match end:
        case "abandoned":
            await upload_service.abandon(datasets.resources, datasets.caller, upload)
        case "dropped":
            await upload_service.remove_file(datasets.resources, datasets.caller, upload, "a")
        case _:
            await pool.execute("UPDATE dataset_uploads SET expires_at = now() - interval '1 s'")
            await expire(pool, datasets.blobs, settings, (datasets_owner(settings),))

    assert await datasets.usage() == (0, 0)
    assert datasets.blob_keys() == set()
    assert await limited.send(await datasets.begin(), "a", 1, part)
