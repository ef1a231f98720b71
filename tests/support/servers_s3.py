"""A stand-in for S3: moto's server, which keeps everything in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx
from moto.server import ThreadedMotoServer
from msgspec import Struct

_BUCKET: Final = "crivo"


class S3(Struct, frozen=True, kw_only=True):
    """The address of the stand-in, and its bucket."""

    url: str

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that a process needs to use it, as for S3."""
        return {
            "BLOB_URL": f"s3://{_BUCKET}/payloads",
            "AWS_ENDPOINT": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def names(self) -> list[str]:
        """List the keys in the bucket."""
        return _texts(self._ask({"list-type": "2"}), "Key")

    def uploads(self) -> list[str]:
        """List unfinished multipart uploads."""
        return _texts(self._ask({"uploads": ""}), "UploadId")

    def _ask(self, query: Mapping[str, Any]) -> str:
        answer = httpx.get(f"{self.url}/{_BUCKET}", params=query, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.text


@contextmanager
def run_s3(*, port: int = 0, again: bool = False) -> Iterator[S3]:
    """Run the stand-in on loopback; `again` keeps the data of the previous one."""
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        s3 = S3(url=f"http://{host}:{port}")
        # Its data is shared by all servers of a process.
        if not again:
            httpx.post(f"{s3.url}/moto-api/reset", trust_env=False).raise_for_status()
            httpx.put(f"{s3.url}/{_BUCKET}", trust_env=False).raise_for_status()
        yield s3
    finally:
        server.stop()


def _texts(document: str, tag: str) -> list[str]:
    parts = document.split(f"<{tag}>")[1:]
    return [part.partition("<")[0] for part in parts]
