"""Batches over HTTP: submit, follow, read the results, cancel."""

import gzip
import json
import select
from contextlib import ExitStack
from typing import Any, Final

import asyncpg
import httpx
import pytest

from app.batches.staging import MAX_UPLOADS_OF_TENANT
from tests.support.half_sent_requests import begun
from tests.support.system import System, until
from tests.support.system_with_keys import SystemWithKeys

NDJSON: Final = {"Content-Type": "application/x-ndjson"}
DOUBLE: Final = "function process(data) { return { twice: data * 2 } }"


@pytest.fixture(scope="module", autouse=True)
def double(system: System) -> None:
    system.upload("double-batch", DOUBLE)
    system.upload("same-batch", "function process(data) { return data }")


def _submit(
    system: System, content: bytes | str, script: str = "double-batch", **headers: str
) -> httpx.Response:
    return system.client.post(
        "/batches", params={"script": script}, content=content, headers={**NDJSON, **headers}
    )


def _finished(system: System, location: str) -> dict[str, Any]:
    for _ in until(f"{location} has finished"):
        batch: dict[str, Any] = system.client.get(location, params={"wait": 10}).json()
        if batch["finished_at"] is not None:
            return batch
    raise AssertionError


def _results(system: System, location: str, **params: str) -> list[dict[str, Any]]:
    answer = system.client.get(f"{location}/results", params=params)
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_version_without_process_is_refused(system: System) -> None:
    system.upload("runs-only", "function map(record) { return record }")

    batch = _submit(system, b"1", "runs-only")
    execution = system.client.post("/scripts/runs-only/executions", content=b"1")

    for answer in (batch, execution):
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"] == "urn:crivo:problem:no-process"
        assert "POST /runs" in answer.json()["detail"]


def test_each_line_is_an_execution_and_a_bad_one_fails_alone(system: System) -> None:
    answer = _submit(system, b'1\n\n{"broken\r\n \t\n\xff\n4')

    assert answer.status_code == 202, answer.text
    assert answer.json()["items"] == 4
    batch = _finished(system, answer.headers["Location"])
    assert batch["status"] == "finished"
    assert batch["counts"] == {
        "queued": 0, "running": 0, "succeeded": 2, "failed": 2, "cancelled": 0,
    }  # fmt: skip
    results = _results(system, answer.headers["Location"])
    assert [(each["line"], each["status"]) for each in results] == [
        (1, "succeeded"), (3, "failed"), (5, "failed"), (6, "succeeded"),
    ]  # fmt: skip
    assert [each.get("result") for each in results] == [{"twice": 2}, None, None, {"twice": 8}]
    assert {each["error"]["kind"] for each in results if "error" in each} == {"invalid_input"}
    item = system.client.get(f"/executions/{results[1]['id']}").json()
    assert item["batch"] == {"id": batch["id"], "line": 3}
    assert system.client.get(f"/executions/{item['id']}/input").content == b'{"broken'


def test_a_result_is_spliced_byte_for_byte_whatever_its_size(system: System) -> None:
    digits = b"[1.10,12345678901234567890,1e2]"
    large = b'"' + b"x" * (3 * 2**20) + b'"'
    lines = [b'"\\ud800"', digits, large, b'"after"']

    location = _submit(system, b"\n".join(lines) + b"\n", script="same-batch").headers["Location"]

    _finished(system, location)
    written = system.client.get(f"{location}/results").content
    *rows, end = written.split(b"\n")
    assert end == b""
    expected = [lines[0], b"[1.1,12345678901234567000,100]", *lines[2:]]
    assert [row.partition(b'"result":')[2] for row in rows] == [each + b"}" for each in expected]
    inputs = [system.client.get(f"/executions/{json.loads(row)['id']}/input") for row in rows]
    assert [each.content for each in inputs] == lines

    # A result that is lost ends no download.
    large_id = json.loads(rows[2])["id"]
    [lost] = (system.folder / "blobs").rglob(f"results/{large_id}*")
    lost.unlink()
    third, fourth = _results(system, location, after="2")
    assert (third["line"], third.get("result"), third["result_missing"]) == (3, None, True)
    assert fourth["result"] == "after"
    assert _results(system, location, after=str(2**31 - 1)) == []
    beyond = system.client.get(f"{location}/results", params={"after": 2**31})
    assert beyond.status_code == 422


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        (
            b' [1, {"a": ["]", "\\"", {}]} ,\n[2,[3]]\t]\n ',
            [b"1", b'{"a": ["]", "\\"", {}]}', b"[2,[3]]"],
        ),
        (b"[1,,2,]", [b"1", b"", b"2", b""]),
        (b'["' + b"\\" * 200_000 + b'"]', [b'"' + b"\\" * 200_000 + b'"']),
    ],
    ids=("spaces", "empty", "long"),
)
def test_the_elements_of_an_array_are_inputs_as_they_stand(
    system: System, body: bytes, inputs: list[bytes]
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    answer = _submit(system, gzip.compress(body), script="same-batch", **headers)

    assert answer.status_code == 202, answer.text
    _finished(system, answer.headers["Location"])
    ids = [each["id"] for each in _results(system, answer.headers["Location"])]
    assert [system.client.get(f"/executions/{each}/input").content for each in ids] == inputs


@pytest.mark.parametrize(
    ("body", "media_type", "status", "problem"),
    [
        (b"", "application/x-ndjson", 422, "empty-batch"),
        (b" \n\r\n", "application/x-ndjson", 422, "empty-batch"),
        (b" [ ] ", "application/json", 422, "empty-batch"),
        (b"[1", "application/json", 400, "malformed-request"),
        (b'{"a":1}', "application/json", 400, "malformed-request"),
        (b"[1] 2", "application/json", 400, "malformed-request"),
        (b"1", "text/plain", 415, "unsupported-media-type"),
        (b"1\n" * 100_001, "application/x-ndjson", 413, "too-many-items"),
    ],
)
async def test_a_refused_upload_leaves_nothing(
    system: System, body: bytes, media_type: str, status: int, problem: str
) -> None:
    before = [each["id"] for each in system.client.get("/batches").json()["items"]]

    answer = _submit(system, body, **{"Content-Type": media_type})

    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:crivo:problem:{problem}")
    assert [each["id"] for each in system.client.get("/batches").json()["items"]] == before
    conn = await asyncpg.connect(system.environ["DATABASE_URL"])
    staged = await conn.fetchval("SELECT count(*) FROM batch_inputs")
    await conn.close()
    assert staged == 0


def test_results_and_lists_are_filtered(system: System) -> None:
    location = _submit(system, b"1\nno\n3\nno\n").headers["Location"]
    batch = _finished(system, location)

    failed = _results(system, location, status="failed")
    listed = system.client.get("/executions", params={"batch": batch["id"], "limit": 3}).json()
    more = {"batch": batch["id"], "limit": 3, "cursor": listed["next_cursor"]}
    rest = system.client.get("/executions", params=more).json()

    assert [each["line"] for each in failed] == [2, 4]
    assert [each["batch"]["line"] for each in listed["items"] + rest["items"]] == [4, 3, 2, 1]
    assert rest["next_cursor"] is None
    assert batch["priority"] == -10
    assert system.client.get("/executions?batch=no").status_code == 422


def test_events_report_progress_and_end(system: System) -> None:
    location = _submit(system, b"1\n2\n3").headers["Location"]
    token = system.client.post(f"{location}/events-token").json()["token"]

    events = system.client.get(f"{location}/events", params={"token": token}).text
    again = system.client.get(f"{location}/events", headers={"Last-Event-ID": "3"})

    data = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
    ended = [each["items"] - each["counts"]["queued"] - each["counts"]["running"] for each in data]
    assert ended == sorted(ended)
    assert (data[-1]["progress"], data[-1]["status"]) == (1.0, "finished")
    assert again.status_code == 204


def test_cancelling_ends_what_has_not_finished(system: System) -> None:
    system.upload("endless-batch", "function process(data) { if (data) { for (;;); } return data }")
    params = {"script": "endless-batch", "wall_ms": "60000", "priority": "10"}
    body = b"0\n" + b"1\n" * 500
    location = system.client.post("/batches", params=params, content=body, headers=NDJSON).headers[
        "Location"
    ]
    for _ in until("one has ended and two run"):
        counts = system.client.get(location).json()["counts"]
        if (counts["succeeded"], counts["running"]) == (1, 2):
            break

    cancelled = system.client.post(f"{location}/cancel").json()
    again = system.client.post(f"{location}/cancel").json()

    assert cancelled["status"] == "cancelled"
    assert cancelled["counts"] == {
        "queued": 0, "running": 0, "succeeded": 1, "failed": 0, "cancelled": 500,
    }  # fmt: skip
    assert again == cancelled
    assert len(_results(system, location, status="cancelled")) == 500
    # The slots are free again.
    assert system.run("double-batch", b"2")["result"] == {"twice": 4}
    finished = _submit(system, b"1").headers["Location"]
    _finished(system, finished)
    assert system.client.post(f"{finished}/cancel").status_code == 409


def test_an_upload_that_is_sent_again_with_its_key_is_the_same_batch(system: System) -> None:
    key = {"Idempotency-Key": "nightly-run"}

    first = _submit(system, b"1\n2\n", **key)
    again = _submit(system, gzip.compress(b"1\n2\n"), **key, **{"Content-Encoding": "gzip"})
    other = _submit(system, b"1\n3\n", **key)
    keyless = _submit(system, b"1\n2\n")

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert again.headers["Location"] == first.headers["Location"] != keyless.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


def test_a_repetition_is_shown_whatever_would_be_refused_by_now(system: System) -> None:
    system.upload("repeated-batch", DOUBLE)
    key = {"Idempotency-Key": "repeated-batch"}
    first = _submit(system, "1\n2\n", "repeated-batch", **key)
    assert first.status_code == 202, first.text
    _finished(system, first.headers["Location"])

    assert system.client.delete("/scripts/repeated-batch").is_success
    again = _submit(system, "1\n2\n", "repeated-batch", **key)
    other = _submit(system, "1\n3\n", "repeated-batch", **key)
    fresh = _submit(system, "1\n2\n", "repeated-batch")

    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, fresh.status_code) == (422, 409)


def test_a_fresh_key_does_not_defer_quotas_to_the_end(keyed: SystemWithKeys) -> None:
    made = keyed.post("/tenants", json={"name": "batches-little", "caps": {"max_stored_bytes": 4}})
    assert made.status_code == 201, made.text
    key = keyed.key("batches-little").key
    keyed.post("/scripts", key, json={"name": "little", "source": DOUBLE})

    # Wrong at its end, which is not read.
    refused = keyed.post(
        "/batches?script=little",
        key,
        content=b"[1,2}",
        headers={"Content-Type": "application/json", "Idempotency-Key": "fresh"},
    )

    assert (refused.status_code, refused.json()["quota"]) == (429, "stored-bytes")


def test_a_tenant_has_eight_uploads_at_once(system: System) -> None:
    path = "/batches?script=same-batch"
    with ExitStack() as stack:
        uploads = {
            each.connection: each
            for each in (
                stack.enter_context(begun(system.port, "POST", path, NDJSON, b"1\n2\n"))
                for _ in range(MAX_UPLOADS_OF_TENANT + 1)
            )
        }
        [answered], _, _ = select.select(list(uploads), [], [], 60)
        ninth = uploads.pop(answered).end()
        assert ninth.status == 429
        assert f"{MAX_UPLOADS_OF_TENANT} requests".encode() in ninth.body
        assert _submit(system, b"1", "same-batch").status_code == 429

        assert {each.end().status for each in uploads.values()} == {202}
    for _ in until("one may begin when others have ended"):
        if _submit(system, b"1", "same-batch").status_code == 202:
            break
