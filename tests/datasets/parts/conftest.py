"""Blob stores for the storage of datasets: a local folder, and a stand-in for S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.blobs import Blobs, open_blobs
from app.settings import Settings
from tests.datasets.parts.stored import Parts
from tests.support.servers_s3 import run_s3


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs(Settings(blob_url=(tmp_path / "my blobs").as_uri()))


@pytest.fixture
def parts(blobs: Blobs) -> Parts:
    return Parts(blobs)


@pytest.fixture(params=["folder", "s3"])
def parts_anywhere(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Parts]:
    """In a folder, and in moto's server, which stands in for S3."""
    if request.param == "folder":
        yield Parts(open_blobs(Settings(blob_url=(tmp_path / "blobs").as_uri())))
        return
    with run_s3() as s3:
        for name, value in s3.environ.items():
            monkeypatch.setenv(name, value)
        yield Parts(open_blobs(Settings(blob_url=s3.environ["BLOB_URL"])))
