"""Every dataset has a seed of its own, by which its index orders keys."""

from app.db import Pool
from app.settings import Settings
from tests.datasets.stores import Datasets

_RECORDS = b"".join(b'{"pk":"%d"}\n' % number for number in range(50))


async def test_datasets_of_the_same_name_and_content_have_other_indexes(
    pool: Pool, settings: Settings
) -> None:
    datasets = Datasets(pool, settings)
    indexes = []
    for _ in range(2):
        await datasets.create()
        await datasets.put("a", _RECORDS)
        key = await pool.fetchval("SELECT index_key FROM dataset_parts")
        indexes.append(b"".join([chunk async for chunk in datasets.blobs.read(key)]))
        await datasets.delete()

    assert indexes[0] != indexes[1]
