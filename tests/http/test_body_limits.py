"""Every operation limits its body."""

import json
import select
import socket
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.support.raw_connections import connected
from tests.support.system import ROOT, System

PATHS: Final[dict[str, dict[str, Any]]] = json.loads(
    (ROOT / "openapi" / "openapi.json").read_bytes()
)["paths"]
# Values of path parameters.
FILLED: Final = {
    "{script}": "bounded",
    "{schema}": "bounded",
    "{number}": "1",
    "{alias}": "prod",
    "{name}": "default",
    "{dataset}": "bounded",
    "{pipe}": "bounded",
    "{path}": "a/parts/1",
}
# Above every limit; the API of this test lowers that of the raw route.
MOST_BYTES: Final = 30 * 2**20
_LIMIT: Final = str(2**20)
CHUNK: Final = b"10000\r\n" + b"x" * 65_536 + b"\r\n"


def _reading() -> Iterator[Any]:
    for path, methods in PATHS.items():
        for method, operation in methods.items():
            for media_type in operation.get("requestBody", {}).get("content", {}):
                name = f"{operation['operationId']}-{media_type}"
                yield pytest.param(method.upper(), path, media_type, id=name)


@pytest.fixture(scope="module")
def port(system: System) -> Iterator[int]:
    system.upload("bounded", "function process(data) { return data }")
    assert system.client.put("/schemas/bounded", json={"schema": {}}).is_success
    assert system.client.put("/datasets/bounded", json={"format": "bytes"}).is_success
    sink = {"http": {"url": "https://example.com/events"}}
    pipe = system.client.put("/pipes/bounded", json={"from": {"http": {}}, "to": sink})
    assert pipe.is_success, pipe.text
    with system.another_api(CRIVO_MAX_INPUT_BYTES=_LIMIT, CRIVO_MAX_BATCH_BYTES=_LIMIT) as url:
        yield urlsplit(url).port or 0


@pytest.fixture(scope="module")
def upload(system: System, port: int) -> str:  # noqa: ARG001 - it makes the dataset
    return str(system.client.post("/datasets/bounded/uploads", json={}).json()["id"])


@pytest.mark.parametrize("length", ["announced", "chunked"])
@pytest.mark.parametrize(("method", "path", "media_type"), list(_reading()))
def test_every_operation_limits_its_body(
    port: int, upload: str, method: str, path: str, media_type: str, length: str
) -> None:
    if length == "chunked" and path == "/datasets/{dataset}/files/{path}":
        # The case with an announced length is refused; a test cannot send as much.
        pytest.skip("its limit is 1 TiB: too much to send")
    path = path.replace("{upload}", upload)
    for name, value in FILLED.items():
        path = path.replace(name, value)
    if path == "/batches":
        path += "?script=bounded"
    form = media_type.startswith("multipart")
    how = "Content-Length: 9000000000000" if length == "announced" else "Transfer-Encoding: chunked"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {media_type}{'; boundary=x' if form else ''}\r\n{how}\r\n\r\n"
    )
    with connected(port) as connection:
        connection.sendall(head.encode())
        if form and length == "chunked":
            start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
            connection.sendall(b"%x\r\n%b\r\n" % (len(start), start))
        if path.startswith("/batches") and media_type.endswith("/json") and length == "chunked":
            connection.sendall(b"1\r\n[\r\n")
        if length == "chunked":
            _send_until_answered(connection)
        status = connection.recv(65_536).split(b" ")[1]

    assert status == b"413"


def _send_until_answered(connection: socket.socket) -> None:
    sent = 0
    while sent < MOST_BYTES and not select.select([connection], [], [], 0)[0]:
        connection.sendall(CHUNK)
        sent += len(CHUNK)
