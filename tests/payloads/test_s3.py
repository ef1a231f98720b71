"""Payloads in an S3 store; moto's server stands in for S3."""

import hashlib
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.blobs import BlobMissing, Blobs, open_blobs
from app.db import Pool
from app.executions.retention import PAYLOAD_OWNER
from app.payloads import retention
from app.payloads.model import StoredPayload
from app.payloads.reader import read_payload
from app.payloads.writer import PayloadWriter
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.support.servers_s3 import S3, run_s3
from tests.support.system import System, until

KEY = f"{DEFAULT_TENANT}/inputs/01a1fbeb-e362-742d-9594-29c5a8afd450"


@pytest.fixture
def s3() -> Iterator[S3]:
    with run_s3() as s3:
        yield s3


@pytest.fixture
def blobs(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    return open_blobs(Settings(blob_url=s3.environ["BLOB_URL"]))


def _chunks(size: int) -> Iterator[bytes]:
    for start in range(0, size, 65_536):
        yield hashlib.shake_128(b"%d" % start).digest(min(65_536, size - start))


async def _written(blobs: Blobs, size: int) -> StoredPayload:
    writer = PayloadWriter(blobs, KEY)
    async with writer:
        for chunk in _chunks(size):
            await writer.write(chunk)
    return writer.stored()


@pytest.mark.parametrize("size", [2**20 + 1, 5 * 2**20, 12 * 2**20 + 7])
async def test_a_payload_of_one_or_more_parts_is_read_byte_for_byte(
    blobs: Blobs, s3: S3, size: int
) -> None:
    stored = await _written(blobs, size)

    content = b"".join([chunk async for chunk in read_payload(blobs, stored)])
    assert content == b"".join(_chunks(size))
    assert hashlib.sha256(content).digest() == stored.sha256
    assert s3.names() == [f"payloads/{KEY}"]
    assert s3.uploads() == []
    part = [chunk async for chunk in read_payload(blobs, stored, start=9, end=2**20)]
    assert b"".join(part) == content[9 : 2**20]


@pytest.mark.parametrize("size", [2 * 2**20, 12 * 2**20])
async def test_an_aborted_upload_leaves_nothing(blobs: Blobs, s3: S3, size: int) -> None:
    writer = PayloadWriter(blobs, KEY)

    async def abort() -> None:
        async with writer:
            for chunk in _chunks(size):
                await writer.write(chunk)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await abort()

    assert (s3.names(), s3.uploads()) == ([], [])


async def test_a_missing_blob_raises_its_key_and_deleting_it_is_no_error(blobs: Blobs) -> None:
    await blobs.delete(KEY)

    with pytest.raises(BlobMissing, match=KEY):
        _ = [chunk async for chunk in blobs.read(KEY)]


async def test_a_sweep_deletes_orphans(pool: Pool, blobs: Blobs, s3: S3) -> None:
    await _written(blobs, 2 * 2**20)

    assert (
        await retention.delete_orphans(pool, blobs, (PAYLOAD_OWNER,), min_age=timedelta(hours=1))
        == 0
    )
    assert (
        await retention.delete_orphans(pool, blobs, (PAYLOAD_OWNER,), min_age=timedelta(hours=-1))
        == 1
    )

    assert s3.names() == ["payloads/installation"]


def test_a_system_works_on_s3_and_an_interrupted_upload_leaves_nothing(
    stopped_system: System, s3: S3
) -> None:
    system = stopped_system
    system.environ.update(s3.environ)
    system.start()
    system.upload("identity", "const process = data => data")
    data = b'"' + b"x" * 12 * 2**20 + b'"'
    location = system.submit("identity", data)
    assert system.finished(location)["receipt"]["output"]["bytes"] == len(data)
    assert system.client.get(f"{location}/result").content == data
    ranged = system.client.get(f"{location}/result", headers={"Range": "bytes=-3"})
    assert ranged.content == b'xx"'
    assert system.client.delete(f"{location}/data").status_code == 204
    ours = [key for key in s3.names() if not key.endswith("/installation")]
    assert ours == []

    with socket.create_connection(("127.0.0.1", system.port)) as connection:
        connection.sendall(
            b"POST /scripts/identity/executions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 20000000\r\n\r\n" + b"1" * 16_000_000
        )
        for _ in until("parts of it have reached the store"):
            if s3.uploads():
                break
    for _ in until("the upload is aborted"):
        if not s3.uploads():
            break
    assert [key for key in s3.names() if not key.endswith("/installation")] == []
