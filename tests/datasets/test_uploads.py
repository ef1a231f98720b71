"""Files become snapshots: whole with PUT, or in parts that a commit publishes at once."""

import base64
import gzip
import hashlib
from typing import Any, Final

import httpx
import pytest

from tests.support.system import System

LINES: Final = b'{"pk":"a","score":1}\n{"pk":"b","score":2}\n'
MORE: Final = b'{"pk":"b","score":3}\r\n{"pk":7,"score":4}'


def _begin(system: System, dataset: str, mode: str = "append") -> str:
    answer = system.client.post(f"{dataset}/uploads", json={"mode": mode})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


def _named(path: str, *parts: bytes) -> dict[str, Any]:
    """Describe a file for a commit."""
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    return {"path": path, "parts": len(parts), "digest": hashlib.sha256(digests).hexdigest()}


def _commit(system: System, upload: str, *files: dict[str, Any]) -> httpx.Response:
    return system.client.post(f"{upload}/commit", json={"files": list(files)})


def test_a_file_becomes_a_snapshot_and_comes_back_byte_for_byte(
    system: System, dataset: str
) -> None:
    # Longer than one part; the last line has no end.
    content = b"".join(b'{"pk":"%d","text":"%s"}\n' % (n, b"x" * 900) for n in range(12_000))
    content = content[:-1]
    put = system.client.put(
        f"{dataset}/files/2026/a%20b.jsonl",
        content=gzip.compress(content),
        headers={"Content-Encoding": "gzip"},
    )
    assert put.status_code == 201, put.text
    assert put.json()["file"] | {"created_at": "", "digest": "", "stored_bytes": 0} == {
        "path": "2026/a b.jsonl",
        "added_in": 1,
        "parts": 2,
        "raw_bytes": len(content),
        "stored_bytes": 0,
        "lines": 12_000,
        "records": 12_000,
        "missing_keys": 0,
        "duplicates": 0,
        "digest": "",
        "created_at": "",
    }
    assert system.client.get(put.headers["Location"]).json() == put.json()["snapshot"]
    file = f"{dataset}/files/2026/a%20b.jsonl"
    whole = system.client.get(file)
    assert whole.content == content
    cut = 8 * 2**20
    ranged = system.client.get(file, headers={"Range": f"bytes={cut - 50}-{cut + 1500}"})
    assert (ranged.status_code, ranged.content) == (206, content[cut - 50 : cut + 1501])
    known = system.client.get(file, headers={"If-None-Match": whole.headers["ETag"]})
    assert known.status_code == 304


def test_parts_in_any_order_are_published_by_one_commit(system: System, dataset: str) -> None:
    upload = _begin(system, dataset)
    for path, number, part in (("b", 1, MORE), ("a", 2, MORE), ("a", 1, LINES)):
        digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
        answer = system.client.put(
            f"{upload}/files/{path}/parts/{number}",
            content=part,
            headers={"Content-Digest": f"sha-256=:{digest}:"},
        )
        assert answer.status_code == 201, answer.text
    held = system.client.get(upload).json()
    assert [(file["path"], [part["part"] for part in file["parts"]]) for file in held["files"]] == [
        ("a", [1, 2]),
        ("b", [1]),
    ]
    assert system.client.get(f"{dataset}/files").status_code == 404

    files = (_named("b", MORE), _named("a", LINES, MORE))
    committed = _commit(system, upload, *files)
    again = _commit(system, upload, *files)

    assert (committed.status_code, again.status_code) == (201, 200)
    assert committed.json() == again.json()
    assert committed.json()["lines"] == 6
    assert system.client.get(f"{dataset}/files/a").content == LINES + MORE
    late = system.client.put(f"{upload}/files/c/parts/1", content=LINES)
    assert late.json()["type"] == "urn:crivo:problem:upload-committed"


def test_a_repeated_part_is_200_and_another_one_under_its_number_409(
    system: System, dataset: str
) -> None:
    upload = _begin(system, dataset)
    part = f"{upload}/files/a/parts/1"
    answers = [
        system.client.put(part, content=LINES),
        system.client.put(part, content=gzip.compress(LINES), headers={"Content-Encoding": "gzip"}),
        system.client.put(part, content=MORE),
        system.client.delete(f"{upload}/files/a"),
        system.client.put(part, content=MORE),
        system.client.put(
            f"{upload}/files/a/parts/2",
            content=LINES,
            headers={"Content-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"},
        ),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 409, 204, 201, 422]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["sha256"] == hashlib.sha256(LINES).hexdigest()


def test_an_upload_is_begun_once_for_each_key(system: System, dataset: str) -> None:
    url, headers = f"{dataset}/uploads", {"Idempotency-Key": dataset}

    first = system.client.post(url, json={}, headers=headers)
    upload = first.headers["Location"]
    system.client.put(f"{upload}/files/a/parts/1", content=LINES)
    committed = _commit(system, upload, _named("a", LINES))
    again = system.client.post(url, json={"mode": "append"}, headers=headers)
    other = system.client.post(url, json={"mode": "replace"}, headers=headers)

    assert (first.status_code, committed.status_code, again.status_code) == (201, 201, 201)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == upload
    # As it is by now.
    assert (first.json()["snapshot"], again.json()["snapshot"]) == (None, 1)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:crivo:problem:idempotency-key-reused"


@pytest.mark.parametrize(
    ("files", "pointer"),
    [
        ([_named("a", LINES)], "/files"),
        ([_named("a", LINES), _named("b", MORE, MORE, MORE)], "/files/1/parts"),
        ([_named("a", MORE), _named("b", MORE, MORE)], "/files/0/digest"),
        ([_named("a", LINES), _named("c", MORE, MORE)], "/files/1/path"),
        ([_named("a", LINES), _named("b", MORE, MORE)], "/files/1/parts"),
        ([_named("a", LINES), _named("a", LINES)], "/files/1/path"),
        ([_named("../a", LINES)], "/files/0/path"),
    ],
)
def test_a_commit_that_differs_publishes_nothing(
    system: System, dataset: str, files: list[dict[str, Any]], pointer: str
) -> None:
    upload = _begin(system, dataset)
    # The first part of b does not end at the end of a line.
    for path, number, part in (("a", 1, LINES), ("b", 1, MORE), ("b", 2, MORE)):
        answer = system.client.put(f"{upload}/files/{path}/parts/{number}", content=part)
        assert answer.status_code == 201, answer.text

    answer = _commit(system, upload, *files)

    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert system.client.get(dataset).json()["latest_snapshot"] is None


def test_snapshots_keep_their_files_while_others_append_and_replace(
    system: System, dataset: str
) -> None:
    for path, content in (("a", LINES), ("b", LINES), ("a", MORE)):
        put = system.client.put(f"{dataset}/files/{path}", content=content)
        assert put.status_code == 201, put.text
    upload = _begin(system, dataset, "replace")
    assert system.client.put(f"{upload}/files/c/parts/1", content=LINES).status_code == 201
    assert _commit(system, upload, _named("c", LINES)).status_code == 201

    def files(snapshot: int) -> list[tuple[str, int]]:
        items = system.client.get(f"{dataset}@{snapshot}/files").json()["items"]
        return [(each["path"], each["added_in"]) for each in items]

    assert files(1) == [("a", 1)]
    assert files(2) == [("a", 1), ("b", 2)]
    assert files(3) == [("a", 3), ("b", 2)]
    assert files(4) == [("c", 4)]
    assert system.client.get(f"{dataset}/files/a?snapshot=1").content == LINES
    assert system.client.get(f"{dataset}@3/files/a").content == MORE
    assert system.client.get(f"{dataset}/files/a").status_code == 404
    assert system.client.get(f"{dataset}@5").status_code == 404
    numbers = [each["number"] for each in system.client.get(f"{dataset}/snapshots").json()["items"]]
    assert numbers == [4, 3, 2, 1]


@pytest.mark.parametrize(
    "path",
    [
        *("..%2Fa", "a/%2E%2E/b", "a//b", "a%00b", "a%5Cb", "%FF", "a/", "ab/" * 342 + "ab"),
        *("x" * 256, "C:a", "c%3A/a", "a%E2%80%AEb"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(system: System, dataset: str, path: str) -> None:
    answer = system.client.put(f"{dataset}/files/{path}", content=LINES)

    assert answer.status_code in (400, 422), answer.text
    assert system.client.get(dataset).json()["latest_snapshot"] is None


def test_a_bad_line_is_named_and_nothing_is_published(system: System, dataset: str) -> None:
    good = b"".join(b'{"pk":"%d","text":"%s"}\n' % (n, b"x" * 900) for n in range(10_000))
    answer = system.client.put(f"{dataset}/files/a", content=good + b'{"pk":]\n')

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["line"], error["byte"]) == (10_001, len(good) + len(b'{"pk":'))
    assert system.client.get(dataset).json()["latest_snapshot"] is None


def test_an_empty_file_is_kept(system: System, dataset: str) -> None:
    put = system.client.put(f"{dataset}/files/empty", content=b"")

    assert put.status_code == 201, put.text
    assert put.json()["file"]["parts"] == 1
    assert system.client.get(f"{dataset}/files/empty").content == b""


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("md5=:{bad}:", 201),
        ("sha-512=:{good512}:", 201),
        ("sha-512=:{bad512}:, sha-256=:{good}:", 422),
        ("sha-512=:{bad}:", 400),
        ("sha-256=:{bad}:, sha-256=:{good}:", 201),
        ("sha-256=:{good}:;q=1; a", 201),
        ("sha-256=:{good}: ;q=1", 400),
        ("sha-256=:{good}:, sha-256=:{bad}:", 422),
        ("sha-256={good}", 400),
        ("sha-256=:AAAA:", 400),
        ("sha-256", 400),
    ],
)
def test_the_last_digest_of_each_algorithm_counts(
    system: System, dataset: str, header: str, status: int
) -> None:
    good, bad = (base64.b64encode(each).decode() for each in (_sha256(LINES), bytes(32)))
    good512 = base64.b64encode(hashlib.sha512(LINES).digest()).decode()
    bad512 = base64.b64encode(bytes(64)).decode()
    digest = header.format(good=good, bad=bad, good512=good512, bad512=bad512)
    headers = {"Content-Digest": digest}

    answer = system.client.put(f"{dataset}/files/a", content=LINES, headers=headers)

    assert answer.status_code == status, answer.text


def test_part_of_a_file_is_not_taken_for_the_whole(system: System, dataset: str) -> None:
    headers = {"Content-Range": "bytes 0-1/100"}

    answer = system.client.put(f"{dataset}/files/a", content=LINES, headers=headers)

    assert (answer.status_code, "Content-Range" in answer.text) == (400, True)
    assert system.client.get(dataset).json()["latest_snapshot"] is None


def test_an_id_is_no_name(system: System, dataset: str) -> None:
    known = system.client.get(dataset).json()["id"]

    answer = system.client.put(f"/datasets/{known}", json={})

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/dataset"


def test_a_commit_may_be_larger_than_other_documents(system: System, dataset: str) -> None:
    upload = system.client.post(f"{dataset}/uploads", json={}).headers["Location"]

    headers = {"Content-Type": "application/json"}
    read, refused = (
        system.client.post(f"{upload}/commit", content=b" " * size + b"{}", headers=headers)
        for size in (8 * 2**20 - 2, 8 * 2**20)
    )

    assert (read.status_code, refused.status_code) == (422, 413)
    assert refused.json()["type"] == "urn:crivo:problem:body-too-large"


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
