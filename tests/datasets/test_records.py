"""Records are found by key, newest first, in any snapshot, before and after merges."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.system import System, until


def _put(system: System, dataset: str, path: str, *lines: str) -> dict[str, Any]:
    content = "".join(f"{line}\n" for line in lines)
    answer = system.client.put(f"{dataset}/files/{path}", content=content)
    assert answer.status_code == 201, answer.text
    described: dict[str, Any] = answer.json()["file"]
    return described


def _record(system: System, dataset: str, key: str, **query: str) -> httpx.Response:
    return system.client.get(f"{dataset}/records/{key}", params=query)


@pytest.fixture
def history(system: System, dataset: str) -> str:
    """Return a dataset of three snapshots, the third in place of a file of the first."""
    _put(system, dataset, "jan", '{"pk":"a", "score":1}', '{"pk":"b","score":1}', '{"pk":7}')
    _put(system, dataset, "feb", '{"pk":"a","score":2}', "", '{"pk":"a","score":2.5}')
    _put(system, dataset, "jan", '{"pk":"a","score":3}', '{"other":1}')
    return dataset


def test_the_newest_record_of_a_snapshot_wins(system: System, history: str) -> None:
    assert _record(system, history, "a").content == b'{"pk":"a","score":3}'
    assert _record(system, history, "a", snapshot="2").content == b'{"pk":"a","score":2.5}'
    first = system.client.get(f"{history}@1/records/a")
    assert first.content == b'{"pk":"a", "score":1}'
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Crivo-Snapshot"] == "1"
    known = system.client.get(
        f"{history}@1/records/a", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert known.status_code == 304
    # Its file has been replaced.
    assert _record(system, history, "b").status_code == 404


def test_a_string_and_a_number_are_two_keys(system: System, history: str) -> None:
    assert _record(system, history, "7", snapshot="1").status_code == 404
    assert _record(system, history, "7", snapshot="1", type="number").content == b'{"pk":7}'
    assert _record(system, history, "7.0", snapshot="1", type="number").status_code == 404
    assert _record(system, history, "a", type="number").status_code == 422


def test_a_missing_record_says_how_many_there_are(system: System, history: str) -> None:
    answer = _record(system, history, "zz")

    assert (answer.status_code, answer.json()["records"]) == (404, 4)
    assert "has 4 records" in answer.json()["detail"]


def test_history_has_older_values_with_their_snapshots(system: System, history: str) -> None:
    answer = _record(system, history, "a", history="true")

    assert answer.text == (
        '[{"snapshot":3,"record":{"pk":"a","score":3}},'
        '{"snapshot":2,"record":{"pk":"a","score":2.5}},'
        '{"snapshot":1,"record":{"pk":"a", "score":1}}]'
    )
    second = system.client.get(f"{history}@2/records/a?history=true&limit=1")
    assert second.text == '[{"snapshot":2,"record":{"pk":"a","score":2.5}}]'
    assert _record(system, history, "zz", history="true").status_code == 404


def test_many_keys_are_found_at_once(system: System, history: str) -> None:
    answer = system.client.post(
        f"{history}/records?snapshot=1", json={"keys": ["b", "none", 7, "a"]}
    )

    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.text.splitlines() == [
        '{"key":"b","snapshot":1,"record":{"pk":"b","score":1}}',
        '{"key":"none","snapshot":null,"record":null}',
        '{"key":7,"snapshot":1,"record":{"pk":7}}',
        '{"key":"a","snapshot":1,"record":{"pk":"a", "score":1}}',
    ]
    refused = system.client.post(f"{history}/records", json={"keys": ["a", None]})
    assert refused.json()["errors"][0]["pointer"] == "/keys/1"


def test_lines_are_paged_in_the_order_of_the_files(system: System, history: str) -> None:
    lines: list[str] = []
    address: str | None = f"{history}/records?limit=2"
    while address is not None:
        answer = system.client.get(address)
        assert answer.status_code == 200, answer.text
        lines += answer.text.splitlines()
        address = answer.links["next"]["url"] if "next" in answer.links else None

    assert lines == [
        '{"pk":"a","score":2}',
        "",
        '{"pk":"a","score":2.5}',
        '{"pk":"a","score":3}',
        '{"other":1}',
    ]


def test_keys_with_slashes_and_escapes_are_found(system: System, dataset: str) -> None:
    keys = ["a/b", "/a//", "é ü", "%2F", "..", '"', "\u2028"]
    _put(system, dataset, "keys", *(json.dumps({"pk": key}) for key in keys))

    for key in keys:
        escaped = "".join(f"%{byte:02X}" for byte in key.encode())
        answer = system.client.get(f"{dataset}/records/{escaped}")
        assert (answer.status_code, answer.json()) == (200, {"pk": key}), key
    # No address can name these.
    assert system.client.get(f"{dataset}/records/%2F").status_code == 422


def test_merges_change_no_answer_and_count_duplicates_across_parts(
    system: System, dataset: str
) -> None:
    big = [json.dumps({"pk": f"k{n % 11_000}", "n": n, "text": "x" * 900}) for n in range(12_000)]
    assert _put(system, dataset, "big", *big)["parts"] == 2
    for number in range(5):
        _put(system, dataset, f"small-{number}", json.dumps({"pk": "k1", "n": -number}))

    for _ in until("all duplicates are counted"):
        file = system.client.get(f"{dataset}/files").json()["items"][0]
        if file["duplicates"] == 1_000:
            break
    keys = [f"k{n}" for n in range(0, 11_000, 500)]
    found = system.client.post(f"{dataset}/records", json={"keys": keys}).text.splitlines()
    assert [json.loads(line)["record"]["n"] for line in found] == [
        int(key[1:]) + (11_000 if int(key[1:]) < 1_000 else 0) for key in keys
    ]
    history = _record(system, dataset, "k1", history="true").json()
    assert [each["record"]["n"] for each in history] == [-4, -3, -2, -1, 0, 11_001]


def test_a_dataset_without_a_key_has_lines_only(system: System, dataset: str) -> None:
    texts = f"{dataset}-texts"
    assert system.client.put(texts, json={"format": "text"}).status_code == 201
    _put(system, texts, "a.txt", "one", "two")

    assert system.client.get(f"{texts}/records?from=1").status_code == 409
    assert _record(system, texts, "one").json()["type"].endswith("dataset-without-records")
    blobs = f"{dataset}-bytes"
    assert system.client.put(blobs, json={"format": "bytes"}).status_code == 201
    content = bytes(range(256)) * 40_000
    put = system.client.put(f"{blobs}/files/a", content=content)
    assert put.json()["file"]["parts"] == 2
    assert system.client.get(f"{blobs}/files/a").content == content
    assert system.client.get(f"{blobs}/records").status_code == 409


def test_a_head_of_many_records_reads_the_first_only(system: System, dataset: str) -> None:
    def parts() -> set[Path]:
        return set((system.folder / "blobs").glob("*/datasets/*"))

    _put(system, dataset, "a", '{"pk":"a","n":1}')
    known = parts()
    _put(system, dataset, "b", '{"pk":"a","n":2}')
    [lost] = parts() - known
    _put(system, dataset, "c", '{"pk":"a","n":3}')
    lost.unlink()

    for address in (f"{dataset}/records?limit=2", f"{dataset}/records/a?history=true"):
        head = system.client.head(address)
        assert (head.status_code, head.headers["Crivo-Snapshot"]) == (200, "3"), address
        assert "Content-Length" not in head.headers
        with pytest.raises(httpx.RemoteProtocolError):
            system.client.get(address)
    asked = system.client.post(f"{dataset}/records?snapshot=1", json={"keys": ["a"]})
    assert asked.headers["Crivo-Snapshot"] == "1"
