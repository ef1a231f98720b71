"""Failed records of a run are tried again, and their values are appended to its dataset."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.redrives.http_redrives import counts, created, ended, redrive, samples_of
from tests.runs.http_runs import accepted, create, finished, put
from tests.support.system import System

STRICT = """
function map(record) {
  if (typeof record.n !== "number") throw new TypeError(`n is a ${typeof record.n}`);
  return { pk: record.n };
}
"""
LENIENT = STRICT.replace("{ pk: record.n }", "{ pk: record.n, mended: true }").replace(
    "throw new TypeError(`n is a ${typeof record.n}`)", "record = { n: Number(record.n) }"
)
POISON = LENIENT.replace("return {", "while (record.n === 3); return {")


def upload(system: System, *sources: str) -> str:
    name = f"mend-{uuid4()}"[:30]
    for source in sources:
        assert system.client.put(f"/scripts/{name}", json={"source": source}).is_success
    return name


def run_of(system: System, script: str, lines: list[bytes], **more: object) -> tuple[str, str]:
    """Run a script over lines; return the run's id and the dataset of its output."""
    dataset, output = f"in-{uuid4()}", f"out-{uuid4()}"
    system.client.put(f"/datasets/{dataset}", json={"format": "text"})
    put(system, dataset, "a.jsonl", b"\n".join(lines))
    wanted = {"output": {"dataset": output, "key": "/pk"}, "on_error": "dead_letter", **more}
    location = accepted(create(system, script, dataset, **wanted))
    assert finished(system, location)["status"] == "succeeded"
    return location.rpartition("/")[2], output


def records(system: System, dataset: str) -> list[Any]:
    text = system.client.get(f"/datasets/{dataset}/records?limit=1000").text
    return [json.loads(each) for each in text.splitlines()]


def failed(system: System, run: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = system.client.get(f"/runs/{run}/errors?limit=200").json()["items"]
    return items


def test_failed_records_are_tried_published_and_marked_once(system: System) -> None:
    script = upload(system, STRICT, LENIENT)
    run, output = run_of(system, f"{script}@1", [b'{"n":1}', b'{"n":"2"}', b'{"n":', b'{"n":"3"}'])

    plan = redrive(system, {"run": run}, script=f"{script}@2", dry_run=True)
    assert plan.status_code == 200, plan.text
    assert plan.json()["matched"] == 3
    assert samples_of(plan) == [
        ("a.jsonl:2", "moved", {"pk": 2, "mended": True}),
        ("a.jsonl:3", "failed_again", None),
        ("a.jsonl:4", "moved", {"pk": 3, "mended": True}),
    ]
    assert len(records(system, output)) == 1

    shown = ended(system, created(redrive(system, {"run": run}, script=f"{script}@2")))
    assert (shown["status"], counts(shown)) == ("finished", (3, 2, 0, 1, 0, 0))
    assert shown["script"]["version"] == 2
    assert shown["published"] == {"dataset": output, "snapshot": 2}
    assert [(each["id"], each["error"]["kind"]) for each in shown["failures"]] == [
        ("a.jsonl:3", "invalid_input")
    ]
    assert sorted(each["pk"] for each in records(system, output)) == [1, 2, 3]
    errors = failed(system, run)
    assert [each["moved_at"] is not None for each in errors] == [True, False, True]
    assert {each["redrive"] for each in errors} == {shown["id"]}

    # Only what has failed again is left.
    again = ended(system, created(redrive(system, {"run": run}, script=f"{script}@2")))
    assert counts(again) == (1, 0, 0, 1, 0, 0)
    assert "published" not in again
    for named, wanted in ((run, [again["id"], shown["id"]]), (shown["id"], [])):
        listed = system.client.get("/redrives", params={"run": named}).json()["items"]
        assert [each["id"] for each in listed] == wanted
    none = redrive(system, {"run": run, "kind": "script_error"})
    assert (none.status_code, none.json()["type"]) == (409, "urn:crivo:problem:nothing-to-redrive")


def test_a_record_that_hangs_stops_no_other(system: System) -> None:
    script = upload(system, STRICT, POISON)
    lines = [b'{"n":"%d"}' % n for n in range(1, 8)]
    run, output = run_of(system, f"{script}@1", lines, limits={"wall_ms": 300})
    shown = ended(system, created(redrive(system, {"run": run}, script=script)))
    assert counts(shown) == (7, 6, 0, 1, 0, 0)
    assert [(each["id"], each["error"]["kind"]) for each in shown["failures"]] == [
        ("a.jsonl:3", "timeout")
    ]
    assert sorted(each["pk"] for each in records(system, output)) == [1, 2, 4, 5, 6, 7]


def test_records_that_were_not_kept_are_read_from_the_dataset_while_it_is_there(
    system: System,
) -> None:
    script = upload(system, STRICT, LENIENT)
    long = b'{"n":"2","x":"' + b"x" * 70_000 + b'"}'
    run, output = run_of(system, f"{script}@1", [b'{"n":"1"}', long, b'{"n":"3"}'])
    dataset = system.client.get(f"/runs/{run}").json()["input"]["dataset"]
    [sample] = redrive(system, {"run": run}, script=script, dry_run=True).json()["samples"][1:2]
    assert sample["outcome"] == "moved"
    assert system.client.delete(f"/datasets/{dataset}").is_success
    shown = ended(system, created(redrive(system, {"run": run}, script=script)))
    assert counts(shown) == (3, 2, 0, 0, 1, 0)
    assert "not whole" in shown["failures"][0]["error"]["message"]
    assert len(records(system, output)) == 2


@pytest.mark.parametrize(
    ("filter_", "more", "status", "says"),
    [
        ({}, {}, 422, "/filter: names nothing"),
        ({"run": str(uuid4()), "pipe": "p"}, {}, 422, "/filter: names `pipe` and `run`"),
        ({"execution": {}}, {}, 422, "/filter/execution: is empty"),
        ({"execution": {"status": "succeeded"}}, {}, 422, "/filter/execution/status: is succeeded"),
        ({"run": str(uuid4())}, {}, 404, "/filter/run: no run"),
        ({"run": str(uuid4()), "pointer": "/a"}, {}, 422, "/filter/pointer: is a condition on"),
        ({"run": str(uuid4())}, {"script": "no-such"}, 404, "/script: "),
        ({"execution": {"status": "failed"}}, {"per_second": 1}, 422, "/per_second: "),
    ],
)
def test_what_cannot_be_tried_is_refused_with_its_place(
    system: System, filter_: dict[str, Any], more: dict[str, Any], status: int, says: str
) -> None:
    answer = redrive(system, filter_, **more)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].startswith(says)


def test_runs_without_a_dataset_and_archived_scripts_are_refused(system: System) -> None:
    fold = "const start = () => 0, step = (n, all) => n + all.length, finish = (n) => n"
    script = upload(system, fold)
    dataset = f"in-{uuid4()}"
    system.client.put(f"/datasets/{dataset}", json={"format": "text"})
    put(system, dataset, "a.jsonl", b"{}\n")
    location = accepted(create(system, script, dataset))
    finished(system, location)
    refused = redrive(system, {"run": location.rpartition("/")[2]})
    assert (refused.status_code, refused.json()["type"]) == (
        409,
        "urn:crivo:problem:cannot-redrive",
    )
    assert "fold" in refused.json()["detail"]

    assert system.client.patch(f"/scripts/{script}", json={"archived": True}).is_success
    archived = redrive(system, {"run": location.rpartition("/")[2]}, script=script)
    assert archived.json()["detail"].startswith("/script: ")
    assert archived.json()["type"] == "urn:crivo:problem:script-archived"
