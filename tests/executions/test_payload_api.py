"""Input, result and logs over HTTP: whole, in ranges, conditional, compressed, erased."""

import gzip
import hashlib
import socket
import sys
from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest

from tests.support.system import System, until

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

IDENTITY = "const process = data => data"
SMALL = b'[0,"one",{"two":3}]'
LARGE = b'"' + b"0123456789abcdef" * 131_072 + b'"'


@pytest.fixture(scope="module")
def script(system: System) -> str:
    name = f"identity-{uuid4()}"[:40]
    system.upload(name, IDENTITY)
    return name


@pytest.fixture(scope="module")
def small(system: System, script: str) -> str:
    return _finished(system, script, SMALL)


@pytest.fixture(scope="module")
def large(system: System, script: str) -> str:
    return _finished(system, script, LARGE)


def _finished(system: System, script: str, data: bytes) -> str:
    location = system.submit(script, data)
    assert system.finished(location)["status"] == "succeeded"
    return location


def _problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


@pytest.mark.parametrize("what", ["result", "input"])
@pytest.mark.parametrize(("payload", "data"), [("small", SMALL), ("large", LARGE)])
@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=3-7", 3, 8),
        ("bytes=5-", 5, None),
        ("bytes=-4", -4, None),
        ("Bytes=2-99999999999999999999999999", 2, None),
        ("bytes=-99999999999999999999999999", 0, None),
    ],
)
def test_a_range_is_exactly_those_bytes(
    system: System,
    request: pytest.FixtureRequest,
    what: str,
    payload: str,
    data: bytes,
    wanted: str,
    start: int,
    end: int | None,
) -> None:
    location = request.getfixturevalue(payload)

    answer = system.client.get(f"{location}/{what}", headers={"Range": wanted})

    first = start % len(data)
    assert (answer.status_code, answer.content) == (206, data[start:end])
    last = first + len(answer.content) - 1
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(data)}"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'


@pytest.mark.parametrize(
    "wanted",
    ["bytes=7-3", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "0-1", "bytes 0-1"],
)
def test_anything_but_a_single_range_returns_all(system: System, small: str, wanted: str) -> None:
    answer = system.client.get(f"{small}/result", headers={"Range": wanted})

    assert (answer.status_code, answer.content) == (200, SMALL)
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("wanted", [f"bytes={len(SMALL)}-", "bytes=999-1000", "bytes=-0"])
def test_a_range_beyond_the_end_is_416_with_the_size(
    system: System, small: str, wanted: str
) -> None:
    answer = system.client.get(f"{small}/input", headers={"Range": wanted})

    assert _problem(answer) == (416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(SMALL)}"


def test_a_download_continues_only_if_the_bytes_are_the_same(system: System, small: str) -> None:
    etag = system.client.get(f"{small}/result").headers["ETag"]

    for condition, status in (
        (etag, 206),
        (f"W/{etag}", 200),
        ('"another"', 200),
        ("Sat, 21 Nov 2026 00:00:00 GMT", 200),
    ):
        headers = {"Range": "bytes=1-", "If-Range": condition}
        assert system.client.get(f"{small}/result", headers=headers).status_code == status


def test_a_matching_etag_is_304(system: System, small: str) -> None:
    etag = system.client.get(f"{small}/result").headers["ETag"]

    for condition, status in (
        (etag, 304),
        (f'"another", W/{etag}', 304),
        ("*", 304),
        ('"another"', 200),
    ):
        headers = {"If-None-Match": condition, "Range": "bytes=0-1"}
        answer = system.client.get(f"{small}/result", headers=headers)
        assert answer.status_code == (206 if status == 200 else 304)
        assert answer.headers["ETag"] == etag
        assert (answer.content == b"") == (status == 304)


_COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", _COMPRESSIONS)
@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_a_compressed_body_is_stored_decompressed(
    system: System, script: str, encoding: str, data: bytes
) -> None:
    body = _COMPRESSIONS[encoding](data[:11]) + _COMPRESSIONS[encoding](data[11:])

    answer = _submit_encoded(system, script, body, encoding)

    assert answer.status_code == 202
    execution = system.finished(answer.headers["Location"])
    expected = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert execution["receipt"]["input"] == expected
    assert execution["receipt"]["output"] == expected
    assert system.client.get(f"{answer.headers['Location']}/input").content == data


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda body: body[:-3], "is truncated"),
        (lambda _: b"", "is truncated"),
        (lambda body: body + b"surprise!", "is not"),
        (lambda _: b"surprise!", "is not"),
    ],
)
def test_a_broken_stream_is_400_with_the_reason(
    system: System, script: str, encoding: str, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    answer = _submit_encoded(system, script, spoil(_COMPRESSIONS[encoding](SMALL)), encoding)

    assert _problem(answer) == (400, "malformed-request")
    assert reason in answer.json()["detail"]
    assert encoding in answer.json()["detail"]


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, zstd", "compress"])
def test_an_unsupported_encoding_is_415_and_names_the_supported_ones(
    system: System, script: str, encoding: str
) -> None:
    answer = _submit_encoded(system, script, SMALL, encoding)

    assert _problem(answer) == (415, "unsupported-media-type")
    assert answer.headers["Accept-Encoding"] == "gzip, zstd"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_413_and_leaves_nothing(stopped_system: System, encoding: str) -> None:
    system = stopped_system
    system.environ["CRIVO_MAX_INPUT_BYTES"] = str(8 * 2**20)
    system.start_api()
    system.await_api()
    system.upload("bombed", IDENTITY)
    bomb = _COMPRESSIONS[encoding](bytes(64 * 2**20))

    answer = _submit_encoded(system, "bombed", bomb, encoding)

    assert _problem(answer) == (413, "body-too-large")
    assert system.client.get("/executions").json()["items"] == []
    assert _blobs(system) == []


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_an_interrupted_upload_leaves_nothing(stopped_system: System, encoding: str) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("cut", IDENTITY)
    # Incompressible, and half of it is more than the inline size.
    data = b"".join(hashlib.sha512(b"%d" % number).digest() for number in range(160_000))
    body = _COMPRESSIONS.get(encoding, bytes)(data)
    with socket.create_connection(("127.0.0.1", system.port)) as connection:
        connection.sendall(
            b"POST /scripts/cut/executions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(body))
        )
        connection.sendall(body[: len(body) // 2])
        for _ in until("half of it is in the store"):
            if _blobs(system):
                break

    for _ in until("the API has aborted the upload"):
        if not _blobs(system):
            break
    assert system.client.get("/executions").json()["items"] == []
    assert "request.failed" not in system.logs_of_process("app.main")


def test_erased_data_is_410_and_the_receipt_stays(system: System, script: str) -> None:
    location = _finished(system, script, LARGE)
    before = system.client.get(location).json()
    blobs = len(_blobs(system))

    for _ in range(2):
        assert system.client.delete(f"{location}/data").status_code == 204

    after = system.client.get(location).json()
    assert after["receipt"] == before["receipt"]
    assert "result" not in after
    assert "result_url" not in after
    for what in ("input", "result", "logs"):
        answer = system.client.get(f"{location}/{what}")
        assert _problem(answer) == (410, "payload-gone")
        assert answer.json()["erased_at"] == after["data_erased_at"]
    assert len(_blobs(system)) == blobs - 2
    entries = system.client.get("/audit", params={"target": location}).json()["items"]
    assert [each["action"] for each in entries] == ["execution.erased"]
    assert entries[0]["details"] == {"erased": ["input", "result"]}


def test_an_inline_result_is_erased_with_the_rest(system: System, script: str) -> None:
    location = _finished(system, script, SMALL)
    assert "result" in system.client.get(location).json()

    system.client.delete(f"{location}/data")

    execution = system.client.get(location).json()
    assert execution["status"] == "succeeded"
    assert "result" not in execution
    assert "data_erased_at" in execution


def test_a_failure_keeps_its_error_when_its_data_is_erased(system: System) -> None:
    name = f"throws-{uuid4()}"[:40]
    system.upload(name, "function process(_) { console.log('x'); throw new Error('told'); }")
    location = system.submit(name, b"1")
    before = system.finished(location)

    assert system.client.delete(f"{location}/data").status_code == 204

    assert system.client.get(location).json()["error"] == before["error"]
    assert _problem(system.client.get(f"{location}/result")) == (410, "payload-gone")


def test_an_unfinished_execution_cannot_be_erased(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("waits", IDENTITY)
    location = system.submit("waits", b"1")

    assert _problem(system.client.delete(f"{location}/data")) == (409, "not-finished")
    assert system.client.get(f"{location}/input").content == b"1"


def test_an_unknown_execution_cannot_be_erased(system: System) -> None:
    for name in (str(uuid4()), "no-id"):
        answer = system.client.delete(f"/executions/{name}/data")
        assert _problem(answer) == (404, "execution-not-found")


def _submit_encoded(system: System, script: str, body: bytes, encoding: str) -> httpx.Response:
    return system.client.post(
        f"/scripts/{script}/executions", content=body, headers={"Content-Encoding": encoding}
    )


def _blobs(system: System) -> list[str]:
    folder = system.folder / "blobs"
    names = [path.name for path in folder.rglob("*") if path.is_file()]
    return [name for name in names if name != "installation"]
