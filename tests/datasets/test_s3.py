"""Datasets on S3, for which moto's server stands in."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from app.datasets import record_service
from app.datasets.merging import merge_next
from app.datasets.parts import encode_key
from app.datasets.problems import InvalidPart
from app.datasets.refs import DatasetRef
from app.db import Pool
from app.settings import Settings
from tests.datasets.stores import NAME, Datasets, lines
from tests.support.servers_s3 import S3, run_s3


@pytest.fixture
def s3() -> Iterator[S3]:
    with run_s3() as s3:
        yield s3


async def test_datasets_are_the_same_on_s3(
    pool: Pool, settings: Settings, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    datasets = Datasets(pool, replace(settings, blob_url=s3.environ["BLOB_URL"]))
    await datasets.create()
    upload = await datasets.begin()
    # Above the size of one of S3's parts.
    parts = [lines(*(f"{part}-{n}-{'x' * 200}" for n in range(26_000))) for part in range(3)]
    for number in (2, 1, 3):
        assert await datasets.send(upload, "a", number, parts[number - 1])
    with pytest.raises(InvalidPart):
        await datasets.send(upload, "b", 1, parts[0] + b"{]\n")
    await datasets.commit(upload, a=parts)
    await datasets.put("b", lines("0-7-" + "x" * 200, value=1))

    async def newest(key: str) -> bytes:
        found, _ = await record_service.find_record(
            datasets.resources,
            datasets.catalogs,
            datasets.caller.tenant,
            DatasetRef(name=NAME),
            encode_key(key),
        )
        return found.line

    before = await newest("2-25999-" + "x" * 200)
    assert await merge_next(pool, datasets.blobs)
    assert await newest("2-25999-" + "x" * 200) == before
    assert (await newest("0-7-" + "x" * 200)).endswith(b'"v":1}')
    assert await datasets.read("a") == b"".join(parts)
    assert {
        each.removeprefix("payloads/") for each in s3.names()
    } == await datasets.referenced_keys()
    await datasets.delete()
    assert (s3.names(), s3.uploads()) == ([], [])
