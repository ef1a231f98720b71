"""Payloads are stored and read byte for byte, inline or in the blob store."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from app.blobs import BlobMissing, Blobs, open_blobs
from app.limits import MAX_INLINE_BYTES
from app.payloads.reader import read_payload
from app.payloads.writer import PayloadWriter
from app.settings import Settings


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    # A missing folder with a space in its name.
    return open_blobs(Settings(blob_url=(tmp_path / "my blobs").as_uri()))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def _written(blobs: Blobs, *chunks: bytes) -> PayloadWriter:
    writer = PayloadWriter(blobs, "tenant/execution/input")
    async with writer:
        for chunk in chunks:
            await writer.write(chunk)
    return writer


@pytest.mark.parametrize("size", [0, 1, MAX_INLINE_BYTES])
async def test_a_payload_up_to_the_inline_size_is_stored_in_its_row(
    blobs: Blobs, tmp_path: Path, size: int
) -> None:
    stored = (await _written(blobs, b"x" * size)).stored()

    assert (stored.body, stored.blob_key) == (b"x" * size, None)
    assert _files(tmp_path) == []


async def test_a_payload_one_byte_larger_goes_to_the_blob_store(blobs: Blobs) -> None:
    payload = b"x" * MAX_INLINE_BYTES + b"y"

    stored = (await _written(blobs, payload[:7], payload[7:])).stored()

    assert (stored.body, stored.blob_key) == (None, "tenant/execution/input")
    assert stored.size_bytes == len(payload)
    assert stored.sha256 == hashlib.sha256(payload).digest()
    assert b"".join([chunk async for chunk in read_payload(blobs, stored)]) == payload


@given(chunks=st.lists(st.binary(max_size=64), max_size=8))
def test_chunk_sizes_make_no_difference(chunks: list[bytes]) -> None:
    stored = asyncio.run(_written(open_blobs(Settings(blob_url="memory:///")), *chunks)).stored()

    assert stored.body == b"".join(chunks)
    assert stored.sha256 == hashlib.sha256(b"".join(chunks)).digest()


async def test_an_error_during_a_write_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    writer = PayloadWriter(blobs, "tenant/execution/input")

    async def abort() -> None:
        async with writer:
            await writer.write(b"x" * 8 * 2**20)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await abort()

    assert _files(tmp_path) == []


async def test_a_failing_store_raises_instead_of_hanging(blobs: Blobs) -> None:
    await _written(blobs, b"x" * 2 * 2**20)
    # The key needs a folder where the blob is a file.
    writer = PayloadWriter(blobs, "tenant/execution/input/below")

    async def write() -> None:
        async with writer:
            for _ in range(32):
                await writer.write(b"x" * 2**20)

    with pytest.raises(Exception, match="LocalFileSystem"):
        await write()


async def test_a_missing_blob_raises_its_key(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing, match="no/such/key"):
        _ = [chunk async for chunk in blobs.read("no/such/key")]


async def test_deleting_a_missing_blob_is_no_error(blobs: Blobs) -> None:
    stored = (await _written(blobs, b"x" * 2 * 2**20)).stored()
    assert stored.blob_key is not None

    await blobs.delete(stored.blob_key)
    await blobs.delete(stored.blob_key)

    with pytest.raises(BlobMissing):
        _ = [chunk async for chunk in read_payload(blobs, stored)]
