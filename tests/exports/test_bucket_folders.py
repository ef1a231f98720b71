"""Buckets as destinations: what their answers come to, and what is said of them where."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from structlog.testing import capture_logs

from app.exports.bucket_folder import BucketFolder
from app.exports.object_folder import DestinationUnavailable
from app.exports.plan.model import TaskFailed
from app.limits import MIB
from app.settings import Settings
from tests.support.faulty_server import Scripted, faulty_server
from tests.support.servers_s3 import S3, run_s3

BUCKET: Final = "s3://crivo/default"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with run_s3() as stand_in, pytest.MonkeyPatch.context() as patch:
        for name, value in stand_in.environ.items():
            if name in {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}:
                patch.setenv(name, value)
        yield stand_in


async def test_an_upload_that_others_end_is_no_refusal(s3: S3) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield bytes(MIB)

    gone = Scripted(status=404, body=b"<Error><Code>NoSuchUpload</Code></Error>")
    with faulty_server(s3.url) as server:
        folder = BucketFolder(Settings(export_s3_endpoint=server.url), f"{BUCKET}/ended")
        # Of its first request, of two with parts, and of the last.
        server.faults = [None, gone, gone, gone]
        with pytest.raises(DestinationUnavailable, match="others delete what is written there"):
            await folder.write("a", chunks(), staged="")


async def test_the_log_has_what_each_destination_has_answered(s3: S3) -> None:
    denied = Scripted(status=403, body=b"<?xml?>\n<Error>user/crivo may not</Error>")
    with faulty_server(s3.url) as server, capture_logs() as logs:
        settings = Settings(export_s3_endpoint=server.url)
        for name in ("first", "second"):
            server.faults = [Scripted(status=503, body=b"slow down")] * 6
            with pytest.raises(DestinationUnavailable):
                await BucketFolder(settings, f"{BUCKET}/{name}").put("a", b"", staged="")
        server.faults = [denied]
        with pytest.raises(TaskFailed):
            await BucketFolder(settings, f"{BUCKET}/third").put("a", b"", staged="")
    *outages, refused = logs
    assert [each["event"] for each in outages] == ["outage.began"] * 2
    assert [each["dependency"] for each in outages] == [
        f"destination {BUCKET}/first",
        f"destination {BUCKET}/second",
    ]
    assert all("slow down" in each["reason"] for each in outages)
    assert refused["event"] == "export.destination_refused"
    assert refused["destination"] == f"{BUCKET}/third"
    assert "user/crivo may not" in refused["reason"]
