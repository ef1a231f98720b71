"""Bad lines and paths are refused and leave nothing; odd files come back byte for byte."""

import gzip
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest
import pyzstd

from tests.support.disks import small_disk
from tests.support.system import System

MIB: Final = 2**20
GOOD: Final = b'{"pk":"1"}\n'


def _blobs(system: System) -> set[Path]:
    blobs = system.folder / "blobs"
    return {each for each in blobs.rglob("*") if each.is_file() and "indexes" not in each.parts}


@pytest.mark.parametrize(
    ("content", "line", "byte", "message"),
    [
        (b"\xef\xbb\xbf" + GOOD, 1, 0, "byte-order mark"),
        (b"\x1f\x8b\x08" + GOOD, 1, 0, "Content-Encoding: gzip"),
        (b"\x28\xb5\x2f\xfd" + GOOD, 1, 0, "Content-Encoding: zstd"),
        (GOOD + b'{"pk":"\xff"}\n', 2, 18, "not UTF-8"),
        (GOOD + b'{"pk":"' + b"x" * 16 * MIB + b'"}\n' + GOOD, 2, 11, "longer than 16 MiB"),
        (GOOD * 2 + b'{"pk":"1"', 3, 31, "not JSON"),
    ],
)
def test_a_bad_line_is_refused_alike_in_files_and_parts(
    system: System, dataset: str, content: bytes, line: int, byte: int, message: str
) -> None:
    before = _blobs(system)
    upload = system.client.post(f"{dataset}/uploads", json={}).headers["Location"]

    for address in (f"{dataset}/files/a", f"{upload}/files/a/parts/1"):
        answer = system.client.put(address, content=content)
        assert answer.status_code == 422, answer.text
        [error] = answer.json()["errors"]
        assert (error["line"], error["byte"]) == (line, byte)
        assert message in error["message"]

    assert system.client.get(upload).json()["files"] == []
    assert system.client.get(dataset).json()["latest_snapshot"] is None
    assert _blobs(system) == before


def test_a_key_that_is_no_pointer_is_told_what_one_is(system: System) -> None:
    refused = system.client.put("/datasets/unpointed", json={"key": "pk"})

    assert refused.status_code == 422
    assert "/key: expected a JSON pointer, which is empty or begins with /" in refused.text


@pytest.mark.parametrize(
    ("content", "lines", "records"),
    [
        (b"", 0, 0),
        (b"\n", 1, 0),
        (b'{"pk":"1"}', 1, 1),
        (b'{"pk":"1"}\r\n\r\n \t\r\n\n{"pk":"2"}\r\n', 5, 2),
        (b'{"pk":"1"}\r', 1, 1),
    ],
)
def test_an_odd_file_comes_back_byte_for_byte(
    system: System, dataset: str, content: bytes, lines: int, records: int
) -> None:
    put = system.client.put(f"{dataset}/files/a", content=content)

    assert put.status_code == 201, put.text
    file = put.json()["file"]
    assert (file["lines"], file["records"]) == (lines, records)
    assert system.client.get(f"{dataset}/files/a").content == content
    for key in ("1", "2")[:records]:
        # A record has no line break.
        assert (
            system.client.get(f"{dataset}/records/{key}").content == b'{"pk":"%b"}' % key.encode()
        )


@pytest.mark.parametrize(
    "path",
    [
        "../a",
        "%2e%2e/a",
        "..%2f..%2fetc%2fpasswd",
        "a/%2E%2E/b",
        "%2Fetc%2Fpasswd",
        "./a",
        "%2e/a",
        "a%2f%2fb",
        "a%5C..%5Cb",
        "a%00b",
        "a%0Ab",
    ],
)
def test_a_path_never_leads_out_of_its_dataset(system: System, dataset: str, path: str) -> None:
    upload = system.client.post(f"{dataset}/uploads", json={}).headers["Location"]

    # httpx would resolve the dots.
    with closing(HTTPConnection("127.0.0.1", system.port, timeout=60)) as raw:
        for method, address in (
            ("PUT", f"{dataset}/files/{path}"),
            ("GET", f"{dataset}/files/{path}"),
            ("PUT", f"{upload}/files/{path}/parts/1"),
            ("DELETE", f"{upload}/files/{path}"),
        ):
            raw.request(method, address, body=GOOD if method == "PUT" else None)
            answer = raw.getresponse()
            text = answer.read()
            assert answer.status == 422, (method, text)

    assert system.client.get(upload).json()["files"] == []
    assert system.client.get(dataset).json()["latest_snapshot"] is None


def test_a_part_waits_for_room_on_a_full_disk(stopped_system: System, tmp_path: Path) -> None:
    system = stopped_system
    with small_disk(tmp_path / "disk", size_bytes=32 * MIB) as disk:
        system.environ["BLOB_URL"] = (disk.folder / "blobs").as_uri()
        system.start_api()
        system.await_api()
        system.client.put("/datasets/scores", json={})
        upload = system.client.post("/datasets/scores/uploads", json={}).headers["Location"]
        held = system.client.put(f"{upload}/files/a/parts/1", content=GOOD)
        before = {each for each in (disk.folder / "blobs").rglob("*") if each.is_file()}
        disk.fill()

        refused = [
            system.client.put(address, content=GOOD * 100_000)
            for address in (f"{upload}/files/a/parts/2", "/datasets/scores/files/b")
        ]

        for answer in refused:
            assert (answer.status_code, answer.headers["Retry-After"]) == (507, "30"), answer.text
            assert answer.json()["type"] == "urn:crivo:problem:blob-store-full"
        after = {each for each in (disk.folder / "blobs").rglob("*") if each.is_file()}
        assert after == before
        disk.make_room()
        sent = system.client.put(f"{upload}/files/a/parts/2", content=GOOD * 100_000)
        assert (held.status_code, sent.status_code) == (201, 201)
        assert [each["part"] for each in system.client.get(upload).json()["files"][0]["parts"]] == [
            1,
            2,
        ]
        assert system.client.get("/datasets/scores").json()["latest_snapshot"] is None


@pytest.mark.parametrize(
    ("encoding", "content", "status"),
    [
        ("gzip", gzip.compress(GOOD, mtime=0)[:-4], 400),
        ("gzip", GOOD, 400),
        ("zstd", GOOD, 400),
        ("zstd", pyzstd.compress(GOOD)[:-2], 400),
        ("br", GOOD, 415),
    ],
    ids=["gzip-cut", "gzip-plain", "zstd-plain", "zstd-cut", "br"],
)
def test_a_body_that_cannot_be_decompressed_leaves_nothing(
    system: System, dataset: str, encoding: str, content: bytes, status: int
) -> None:
    before = _blobs(system)
    upload = system.client.post(f"{dataset}/uploads", json={}).headers["Location"]

    for address in (f"{dataset}/files/a", f"{upload}/files/a/parts/1"):
        answer = system.client.put(address, content=content, headers={"Content-Encoding": encoding})
        assert answer.status_code == status, answer.text

    assert system.client.get(upload).json()["files"] == []
    assert system.client.get(dataset).json()["latest_snapshot"] is None
    assert _blobs(system) == before
    whole = {"gzip": gzip.compress(GOOD), "zstd": pyzstd.compress(GOOD)}.get(encoding)
    if whole is not None:
        sent = system.client.put(
            f"{upload}/files/a/parts/1", content=whole, headers={"Content-Encoding": encoding}
        )
        assert sent.json()["raw_bytes"] == len(GOOD)
