"""A blob store that is full or away refuses a file as a whole, and works again afterwards."""

import random
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.db import Pool
from app.outages import BlobsFull, BlobsUnavailable
from app.settings import Settings
from tests.datasets.stores import Datasets, lines
from tests.support.disks import small_disk

MIB = 2**20


def _incompressible(size_bytes: int) -> bytes:
    source = random.Random(1)  # noqa: S311 - a fixed content
    return lines(*(source.randbytes(500).hex() for _ in range(size_bytes // 1_000)))


async def test_a_full_store_publishes_no_half(
    pool: Pool, settings: Settings, tmp_path: Path
) -> None:
    content = _incompressible(12 * MIB)
    with small_disk(tmp_path / "disk", size_bytes=48 * MIB) as disk:
        folder = disk.folder / "blobs"
        datasets = Datasets(pool, replace(settings, blob_url=folder.as_uri()))
        await datasets.create()
        await datasets.put("a", content)
        before = datasets.blob_keys()
        # Room for the first part only.
        disk.fill(leave_bytes=6 * MIB)

        with pytest.raises(BlobsFull):
            await datasets.put("b", content)

        assert datasets.blob_keys() == before == await datasets.referenced_keys()
        disk.make_room()
        assert await datasets.put("b", content) == 2
        assert await datasets.read("b") == content
        assert await datasets.read("a") == content


async def test_a_store_that_is_away_loses_no_part(pool: Pool, settings: Settings) -> None:
    datasets = Datasets(pool, settings)
    await datasets.create()
    upload = await datasets.begin()
    await datasets.send(upload, "a", 1, lines("a"))
    assert datasets.blobs.folder is not None
    elsewhere = datasets.blobs.folder.with_name("elsewhere")
    shutil.move(datasets.blobs.folder, elsewhere)

    with pytest.raises(BlobsUnavailable):
        await datasets.send(upload, "a", 2, lines("b"))

    shutil.move(elsewhere, datasets.blobs.folder)
    assert await datasets.send(upload, "a", 2, lines("b"))
    await datasets.commit(upload, a=[lines("a"), lines("b")])
    assert await datasets.read("a") == lines("a", "b")
    assert datasets.blob_keys() == await datasets.referenced_keys()
