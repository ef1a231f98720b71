"""Datasets with a schema: what does not satisfy it never becomes a part, nor output of a run."""

import hashlib
from uuid import uuid4

import pytest

from tests.support.schemas import put_schema
from tests.support.system import System

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "t": {"type": "string"}}}


@pytest.fixture
def schema(system: System) -> str:
    return put_schema(system, f"events-{uuid4().hex[:8]}", **SCHEMA)


def _create(system: System, schema: str, **members: object) -> str:
    name = f"checked-{uuid4().hex[:12]}"
    answer = system.client.put(f"/datasets/{name}", json={"schema": schema, **members})
    assert answer.status_code == 201, answer.text
    return name


def test_a_dataset_names_an_exact_version_for_good(system: System, schema: str) -> None:
    name = _create(system, schema.partition("@")[0])
    url = f"/datasets/{name}"
    assert system.client.get(url).json()["schema"] == schema
    assert system.client.put(url, json={"schema": schema}).status_code == 200
    again = system.client.put(url, json={"schema": schema, "description": "x"})
    assert (again.status_code, again.json()["schema"]) == (200, schema)
    listed = system.client.get("/datasets", params={"limit": 1}).json()["items"]
    assert listed[0]["schema"] == schema

    newer = put_schema(system, schema.partition("@")[0], type="object")
    for other in (None, newer, schema.partition("@")[0]):
        refused = system.client.put(url, json={"schema": other})
        assert refused.json()["type"] == "urn:crivo:problem:dataset-differs", refused.text
    for body, status in (
        ({"schema": schema, "format": "text"}, 422),
        ({"schema": "no-such-schema"}, 404),
        ({"schema": "x" * 201}, 422),
    ):
        answer = system.client.put(f"/datasets/d-{uuid4().hex[:8]}", json=body)
        assert answer.status_code == status, answer.text
        assert [each["pointer"] for each in answer.json()["errors"]] == ["/schema"]


def test_a_dataset_keeps_a_schema_that_is_archived(system: System, schema: str) -> None:
    url = f"/datasets/{_create(system, schema)}"
    assert system.client.delete(f"/schemas/{schema.partition('@')[0]}").is_success

    for body in ({"schema": schema}, {"schema": schema, "description": "x"}):
        again = system.client.put(url, json=body)
        assert (again.status_code, again.json().get("schema")) == (200, schema), again.text
    new = system.client.put(f"/datasets/d-{uuid4().hex[:8]}", json={"schema": schema})
    assert (new.status_code, new.json()["errors"][0]["pointer"]) == (409, "/schema")


def test_an_invalid_part_is_refused_by_line_and_can_be_sent_again(
    system: System, schema: str
) -> None:
    name = _create(system, schema)
    client = system.client
    upload = client.post(f"/datasets/{name}/uploads", json={}).headers["Location"]
    good = b'{"n":1}\n\n{"n":2,"t":"\xe2\x82\xac"}\n'
    bad = b'{"n":1}\n\n{"n":"x","y":0}\n[]\n{"n":2}\n{"t":"\\ud800","\\ud800":1}\n'

    refused = client.put(f"{upload}/files/a.jsonl/parts/1", content=bad)
    assert refused.status_code == 422, refused.text
    problem = refused.json()
    assert problem["type"] == "urn:crivo:problem:invalid-records"
    assert (problem["schema"], problem["invalid_records"]) == (schema, 3)
    assert [(each["line"], each["pointer"]) for each in problem["errors"]] == [
        (3, "/n"), (3, "/y"), (4, ""), (6, "/\ufffd"),
    ]  # fmt: skip
    assert problem["errors"][0]["keyword"] == "type"
    assert problem["errors"][1]["keyword"] == "strict"

    # Nothing is kept of it, and the upload is as it was.
    assert client.get(upload).json()["files"] == []
    for status in (201, 200):
        sent = client.put(f"{upload}/files/a.jsonl/parts/1", content=good)
        assert sent.status_code == status, sent.text
    digest = hashlib.sha256(hashlib.sha256(good).digest()).hexdigest()
    files = [{"path": "a.jsonl", "parts": 1, "digest": digest}]
    assert client.post(f"{upload}/commit", json={"files": files}).status_code == 201
    assert client.get(f"/datasets/{name}/files/a.jsonl").content == good


def test_a_file_names_its_own_lines_and_at_most_a_hundred_errors(
    system: System, schema: str
) -> None:
    name = _create(system, schema)
    # The second part begins after 8 MiB.
    line = b'{"n":1,"t":"' + b"a" * 1_000_000 + b'"}\n'
    content = line * 9 + b'{"n":1.5}\n' * 150
    answer = system.client.put(f"/datasets/{name}/files/a.jsonl", content=content)
    problem = answer.json()
    assert (answer.status_code, problem["invalid_records"]) == (422, 150)
    assert [each["line"] for each in problem["errors"]] == list(range(10, 110))
    assert "line 10: /n" in problem["detail"]
    assert system.client.get(f"/datasets/{name}").json()["latest_snapshot"] is None
