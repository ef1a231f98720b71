"""Objects are read to their end by readers for whom one request has too little time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final

import obstore
import pytest
from obstore.store import S3Store

from app.blobs import BlobMissing, Blobs
from app.exports.bucket_folder import BucketFolder
from app.settings import Settings
from tests.support.servers_s3 import run_s3

# More than what sockets hold.
CONTENT: Final = hashlib.shake_128(b"x").digest(16 * 2**20)
REQUEST_SECONDS: Final = 2.0


@pytest.fixture
def store() -> Iterator[S3Store]:
    with run_s3() as s3:
        obstore.put(open_store(s3.url), "a", CONTENT)
        # As by default, tries end before a request does.
        yield open_store(
            s3.url,
            client_options={"allow_http": True, "timeout": timedelta(seconds=REQUEST_SECONDS)},
            retry_config={"retry_timeout": timedelta(seconds=REQUEST_SECONDS / 2)},
        )


def open_store(url: str, **options: Any) -> S3Store:  # noqa: ANN401 - as S3Store takes them
    return S3Store(
        "crivo",
        endpoint=url,
        region="us-east-1",
        access_key_id="test",
        secret_access_key="test",  # noqa: S106 - of the stand-in
        **{"client_options": {"allow_http": True}, **options},
    )


def bucket_folder(store: S3Store) -> BucketFolder:
    folder = BucketFolder(Settings(), "s3://crivo")
    folder._store = store
    return folder


async def begin_slowly(chunks: AsyncIterator[bytes]) -> bytes:
    """Take what comes first, and be away until its request has ended."""
    first = await anext(chunks)
    await asyncio.sleep(1.2 * REQUEST_SECONDS)
    return first


async def read_slowly(chunks: AsyncIterator[bytes]) -> bytes:
    return await begin_slowly(chunks) + b"".join([each async for each in chunks])


async def test_a_slow_reader_reads_all_of_an_object(store: S3Store) -> None:
    whole, part = await asyncio.gather(
        read_slowly(bucket_folder(store).read("a")),
        read_slowly(Blobs(store).read("a", start=5, end=len(CONTENT) - 5)),
    )
    assert whole == CONTENT
    assert part == CONTENT[5:-5]


async def test_what_replaces_an_object_is_not_joined_to_its_begin(store: S3Store) -> None:
    blob, replaced = Blobs(store).read("a"), bucket_folder(store).read("a")
    await asyncio.gather(begin_slowly(blob), begin_slowly(replaced))
    await obstore.put_async(store, "a", b"other")
    with pytest.raises(BlobMissing):
        _ = [each async for each in blob]
    with pytest.raises(FileNotFoundError):
        _ = [each async for each in replaced]
