"""Runs over HTTP: create, follow, read results and failed records, cancel, replay."""

import json
from uuid import uuid4

import pytest

from tests.runs.http_runs import accepted, create, finished, put, put_numbers, put_scripts
from tests.support.system import System, until


@pytest.fixture(scope="module", autouse=True)
def scripts(system: System) -> None:
    put_scripts(system)


@pytest.fixture
def numbers(system: System) -> str:
    return put_numbers(system)


def test_a_run_publishes_the_values_and_lists_the_records_that_failed(
    system: System, numbers: str
) -> None:
    output = {"dataset": f"clean-{uuid4()}", "key": "/pk"}
    labels = {"kind": str(uuid4())}

    location = accepted(
        create(
            system,
            "run-clean@1",
            numbers,
            on_error="skip",
            output=output,
            params={"by": 7},
            labels=labels,
            seed=3,
        )
    )

    run = finished(system, location)
    assert run["status"] == "succeeded", run
    assert run["input"] == {"dataset": numbers, "snapshot": 2}
    assert run["published"] == {"dataset": output["dataset"], "snapshot": 1}
    assert run["output"] == {**output, "mode": "replace", "publishes": True}
    progress = run["progress"]
    assert (progress["parts"], progress["parts_done"]) == (2, 2)
    assert (progress["rows_in"], progress["rows_out"], progress["rows_failed"]) == (7, 4, 2)
    assert progress["bytes"] == progress["bytes_done"] > 0
    receipt = run["receipt"]
    assert (receipt["seed"], receipt["executions"], receipt["attempts"]) == (3, 2, 2)
    assert receipt["params"]["bytes"] == len('{"by":7}')
    assert receipt["result"] is None
    assert run["params"] == {"by": 7}
    written = system.client.get(f"/datasets/{output['dataset']}/files/b/c.jsonl")
    assert written.text == '{"pk":6,"by":7}\n{"pk":8,"by":7}\n'
    no_result = system.client.get(f"{location}/result")
    assert (no_result.status_code, no_result.json()["type"]) == (
        404, "urn:crivo:problem:no-run-result",
    )  # fmt: skip

    first = system.client.get(f"{location}/errors", params={"limit": 1, "excerpt": "true"}).json()
    cursor = {"limit": "1", "excerpt": "true", "cursor": first["next_cursor"]}
    second = system.client.get(f"{location}/errors", params=cursor).json()
    found = [*first["items"], *second["items"]]
    assert second["next_cursor"] is None
    assert [(each["path"], each["line"], each["task"]) for each in found] == [
        ("b/c.jsonl", 2, "map"), ("b/c.jsonl", 3, "map"),
    ]  # fmt: skip
    assert found[0]["error"]["name"] == "RangeError"
    assert [each["excerpt"] for each in found] == ['{"n":-1}', '{"n":"ä"']
    plain = system.client.get(f"{location}/errors").json()["items"]
    assert [{**each, "excerpt": None} for each in plain] == [
        {**each, "excerpt": None} for each in found
    ]

    [part] = system.client.get("/executions", params={"run": run["id"], "limit": 1}).json()["items"]
    assert part["run"]["id"] == run["id"]
    assert (part["run"]["task"], part["run"]["level"]) == ("map", 0)
    replay = system.client.post(f"/executions/{part['id']}/replay")
    assert (replay.status_code, replay.json()["run"]) == (409, run["id"])
    # What recorded executions are looked for, parts are not.
    recorded = {"filter": {"script": "run-clean"}, "dry_run": True}
    assert system.client.post("/replays", json=recorded).json()["matching"] == 0
    for filters, listed in (
        ({"label": f"kind:{labels['kind']}"}, True),
        ({"dataset": numbers, "script": "run-clean"}, True),
        ({"dataset": f"{numbers}@2", "script": "run-clean@1", "status": "succeeded"}, True),
        ({"dataset": f"{numbers}@1"}, False),
        ({"dataset": numbers, "status": "failed"}, False),
        ({"dataset": numbers, "script": "run-sum"}, False),
        ({"dataset": numbers, "created_from": run["created_at"]}, True),
        ({"dataset": numbers, "created_before": run["created_at"]}, False),
    ):
        page = system.client.get("/runs", params=filters).json()
        assert ([each["id"] for each in page["items"]] == [run["id"]]) is listed, filters
    for unknown in (f"no-{uuid4()}", f"{numbers}@9"):
        assert system.client.get("/runs", params={"dataset": unknown}).status_code == 404
    assert system.client.delete(f"/datasets/{numbers}").is_success
    deleted = system.client.get("/runs", params={"dataset": numbers}).json()
    assert [each["id"] for each in deleted["items"]] == [run["id"]]


def test_a_record_that_was_kept_is_its_own_excerpt(system: System) -> None:
    name = f"kept-{uuid4()}"
    assert system.client.put(f"/datasets/{name}", json={}).status_code == 201
    line = b'{"n":-1,"text":"' + "ä".encode() * 1000 + b'"}'
    put(system, name, "a", line + b"\n")
    output = {"dataset": f"of-{name}"[:60]}

    location = accepted(create(system, "run-clean", name, on_error="dead_letter", output=output))

    assert finished(system, location)["progress"]["rows_failed"] == 1
    assert system.client.delete(f"/datasets/{name}").status_code == 204
    errors = system.client.get(f"{location}/errors", params={"excerpt": "true"}).json()
    [failed] = errors["items"]
    assert failed["path"] is None
    # 1 KiB, without the half of a character.
    assert failed["excerpt"].encode() == line[:1024]
    assert len(failed["excerpt"].encode()) in (1023, 1024)


def test_a_replay_has_the_same_result_and_says_so(system: System, numbers: str) -> None:
    output = {"dataset": f"both-{uuid4()}", "mode": "append"}
    created = create(system, "run-both", numbers, on_error="skip", output=output)
    location = accepted(created)
    first = finished(system, location)
    assert first["status"] == "succeeded", first
    assert first["result"]["sum"] == 20
    key = {"Idempotency-Key": str(uuid4())}

    again = accepted(system.client.post(f"{location}/replay", headers=key))

    second = finished(system, again)
    assert second["replay_of"] == first["id"]
    assert second["replay"]["identical"] is True, second
    assert second["result"] == first["result"]
    [original, own] = second["replay"]["output_sha256"]
    assert original == own == first["receipt"]["output_sha256"]
    assert "published" not in second
    snapshots = system.client.get(f"/datasets/{output['dataset']}/snapshots").json()["items"]
    assert [each["number"] for each in snapshots] == [1]
    repeated = system.client.post(f"{location}/replay", headers=key)
    assert (repeated.json()["id"], repeated.headers["Idempotency-Replayed"]) == (
        second["id"], "true",
    )  # fmt: skip
    result = system.client.get(f"{location}/result", headers={"Range": "bytes=0-3"})
    assert (result.status_code, len(result.content)) == (206, 4)
    whole = system.client.get(f"{location}/result")
    assert json.loads(whole.content) == first["result"]
    etag = {"If-None-Match": whole.headers["ETag"]}
    assert system.client.get(f"{location}/result", headers=etag).status_code == 304
    assert system.client.head(f"{location}/result").headers["ETag"] == whole.headers["ETag"]

    put(system, numbers, "a.jsonl", b'{"n":1}\n')
    deleted = system.client.delete(f"/datasets/{numbers}/snapshots/2")
    assert deleted.status_code == 204, deleted.text
    gone = system.client.post(f"{location}/replay")
    assert (gone.status_code, gone.json()["type"]) == (410, "urn:crivo:problem:run-data-gone")


def test_a_cancelled_run_ends_with_its_parts_and_publishes_nothing(
    system: System, numbers: str
) -> None:
    output = {"dataset": f"never-{uuid4()}"}
    location = accepted(create(system, "run-slow", numbers, output=output))
    for _ in until("a part runs"):
        if system.client.get(location).json()["status"] == "running":
            break
    put(system, numbers, "later", b'{"n":1}\n')
    held = system.client.delete(f"/datasets/{numbers}/snapshots/2")
    run_id = location.removeprefix("/runs/")
    assert (held.status_code, held.json()["run"]) == (409, run_id)
    early = system.client.get(f"{location}/result")
    assert (early.status_code, early.headers["Retry-After"]) == (409, "1")
    assert system.client.post(f"{location}/replay").status_code == 409

    cancelled = system.client.post(f"{location}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    parts = system.client.get("/executions", params={"run": run_id}).json()["items"]
    assert {each["status"] for each in parts} == {"cancelled"}
    repeated = system.client.post(f"{location}/cancel").json()
    assert repeated["finished_at"] == cancelled.json()["finished_at"]
    entries = system.client.get("/audit", params={"action": "run.cancelled"}).json()["items"]
    assert location in [each["target"] for each in entries]
    assert system.client.get(f"/datasets/{output['dataset']}/snapshots").json()["items"] == []
    assert system.client.delete(f"/datasets/{numbers}/snapshots/2").status_code == 204
    reason = system.client.get(f"{location}/result").json()["detail"]
    assert "cancelled" in reason


def test_events_report_the_progress_and_the_end(system: System, numbers: str) -> None:
    location = accepted(create(system, "run-sum", numbers, on_error="skip"))

    with system.client.stream("GET", f"{location}/events") as stream:
        text = "".join(stream.iter_text())

    events = [
        dict(line.split(": ", 1) for line in each.splitlines() if ": " in line)
        for each in text.split("\n\n")
        if "event: status" in each
    ]
    states = [json.loads(each["data"]) for each in events]
    assert states[-1]["status"] == "succeeded", states[-1]
    assert "result" not in states[-1]
    ids = [int(each["id"]) for each in events]
    assert ids == sorted(set(ids))
    seen = {"Last-Event-ID": events[-1]["id"]}
    assert system.client.get(f"{location}/events", headers=seen).status_code == 204
    token = system.client.post(f"{location}/events-token").json()["token"]
    assert system.client.get(f"{location}/events", params={"token": token}).is_success
    assert system.client.get(f"{location}/callbacks").json()["items"] == []
    assert system.client.post(f"{location}/cancel").status_code == 409


def test_a_script_gets_what_the_dataset_has_unless_it_is_asked_otherwise(system: System) -> None:
    asked: tuple[tuple[str, dict[str, object], str], ...] = (
        ("jsonl", {}, "records"),
        ("text", {}, "lines"),
        ("csv", {}, "lines"),
        ("bytes", {}, "bytes"),
        ("csv", {"format": "text"}, "text"),
        ("text", {"each": "record"}, "records"),
    )
    for stored, more, expected in asked:
        name = f"{stored}-{uuid4()}"
        assert system.client.put(f"/datasets/{name}", json={"format": stored}).is_success
        put(system, name, "a", b'{"n":1}\n')
        wanted = {"script": "run-sum", "dataset": name, **more}
        if "each" in more:
            wanted |= {"script": "run-process", "output": {"dataset": f"out-{uuid4()}"}}
        run = finished(system, accepted(system.client.post("/runs", json=wanted)))
        assert (run["status"], run["format"]) == ("succeeded", expected), (stored, run)
    # What recorded executions are looked for, parts are not.
    compared = system.client.post("/scripts/run-process/comparisons", json={"from": 1, "to": 1})
    assert compared.json()["type"] == "urn:crivo:problem:nothing-to-compare"


def test_a_submission_waits_for_the_end_if_it_prefers_to(system: System, numbers: str) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    body = {"script": "run-sum", "dataset": numbers, "format": "records", "on_error": "skip"}
    ended = system.client.post("/runs", json=body, headers={"Prefer": "wait=60", **key})
    assert ended.status_code == 200, ended.text
    assert ended.headers["Preference-Applied"] == "wait=60"
    assert ended.json() == system.client.get(ended.headers["Location"]).json()
    again = system.client.post("/runs", json=body, headers={"Prefer": "wait=9", **key})
    assert (again.status_code, again.json()) == (200, ended.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    replay = system.client.post(
        f"{ended.headers['Location']}/replay", headers={"Prefer": "wait=60"}
    )
    assert (replay.status_code, replay.json()["replay"]["identical"]) == (200, True)

    slow = {"script": "run-slow", "dataset": numbers, "output": {"dataset": f"slow-{uuid4()}"}}
    queued = system.client.post("/runs", json=slow, headers={"Prefer": "wait=1"})
    assert queued.headers["Preference-Applied"] == "wait=1"
    assert system.client.post(f"{accepted(queued)}/cancel").is_success


def test_a_repetition_returns_the_run_that_the_first_request_created(
    system: System, numbers: str
) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    body = {"script": "run-sum", "dataset": numbers, "on_error": "skip"}
    first = system.client.post("/runs", json=body, headers=headers)

    second = system.client.post("/runs", json={**body, "max_errors": 1_000}, headers=headers)

    assert second.status_code == 202
    assert second.json()["id"] == first.json()["id"]
    other = system.client.post("/runs", json={**body, "seed": 1}, headers=headers)
    assert other.status_code == 422
    finished(system, first.headers["Location"])
