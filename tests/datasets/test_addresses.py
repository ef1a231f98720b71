"""Addresses name what their client wrote, whatever the datasets, files and keys are called."""

import hashlib

import pytest

from tests.support.raw_connections import answer_on, connected
from tests.support.system import System

LINE = b'{"pk":"1"}\n'


@pytest.mark.parametrize("name", ["files", "records", "uploads", "datasets"])
def test_a_dataset_may_be_called_like_a_part_of_an_address(system: System, name: str) -> None:
    dataset = f"/datasets/{name}"
    system.client.put(dataset, json={"key": "/pk"})
    put = system.client.put(f"{dataset}/files/files/records/a.jsonl", content=LINE)
    upload = system.client.post(f"{dataset}/uploads", json={}).headers["Location"]
    part = system.client.put(f"{upload}/files/records/parts/1", content=LINE).json()
    digest = hashlib.sha256(bytes.fromhex(part["sha256"])).hexdigest()
    file = {"path": "records", "parts": 1, "digest": digest}
    committed = system.client.post(f"{upload}/commit", json={"files": [file]})

    assert (put.status_code, put.json()["file"]["path"]) == (201, "files/records/a.jsonl")
    assert committed.status_code == 201, committed.text
    assert system.client.get(f"{dataset}/files/files/records/a.jsonl").content == LINE
    assert system.client.get(f"{dataset}/records/1").content == LINE.strip()
    assert system.client.get(f"{dataset}/records").content.startswith(LINE)
    assert system.client.delete(dataset).status_code == 204


def test_an_address_is_read_as_it_was_routed(system: System, dataset: str) -> None:
    stored = system.client.put(f"{dataset}/file%73/a%2Fb", content=LINE)
    merged = system.client.get(f"{dataset}//files/a/b")
    # The router sees a slash in the name of the dataset.
    refused = system.client.put(f"{dataset}%2Ffiles%2Fx/files/y", content=LINE)

    assert (stored.status_code, stored.json()["file"]["path"]) == (201, "a/b")
    assert merged.content == LINE
    assert refused.status_code == 400
    assert [each["path"] for each in system.client.get(f"{dataset}/files").json()["items"]] == [
        "a/b"
    ]


def test_a_path_that_is_not_utf8_is_refused_and_one_with_its_replacement_is_not(
    system: System, dataset: str
) -> None:
    odd = system.client.put(f"{dataset}/files/%EF%BF%BD", content=LINE)
    with connected(system.port) as connection:
        connection.sendall(
            f"PUT {dataset}/files/%FF HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        refused = answer_on(connection)

    assert (odd.status_code, odd.json()["file"]["path"]) == (201, "\ufffd")
    assert refused is not None
    assert refused.status == 400
