"""Work that is tried again satisfies the schemas of the version that tries it."""

from typing import Any
from uuid import uuid4

from tests.comparisons.conftest import Recorded
from tests.redrives.http_redrives import (
    counts,
    created,
    ended,
    lines_of,
    redrive,
    samples_of,
    send,
)
from tests.runs.http_runs import accepted, create, finished, put
from tests.support.schemas import put_schema
from tests.support.system import System

STRICT = "function map(record) { throw new Error(`refuses ${record.n}`) }"
MENDED = "function map(record) { return { n: record.n, s: record.n === 4 ? 4 : 'a' } }"
LINES = b'{"n":1}\n{"n":"2"}\n{"n":3}\n{"n":4}\n{"n":7}\n'


def put_version(system: System, name: str, source: str, **schemas: str) -> None:
    answer = system.client.put(f"/scripts/{name}", json={"source": source, **schemas})
    assert answer.is_success, answer.text


def test_records_satisfy_input_output_and_the_dataset(system: System) -> None:
    unique = uuid4().hex[:8]
    script, data, out = f"s-{unique}", f"data-{unique}", f"out-{unique}"
    integer = {"n": {"type": "integer"}}
    input_ = put_schema(system, f"in-{unique}", type="object", properties=integer)
    output = put_schema(
        system,
        f"out-{unique}",
        type="object",
        properties={"n": {"maximum": 5}},
        additionalProperties=True,
    )
    record = put_schema(
        system, f"record-{unique}", type="object", properties={**integer, "s": {"type": "string"}}
    )
    put_version(system, script, STRICT)
    put_version(system, script, MENDED, input_schema=input_, output_schema=output)
    for name, schema in ((data, None), (out, record)):
        assert system.client.put(f"/datasets/{name}", json={"schema": schema}).is_success
    put(system, data, "a.jsonl", LINES)
    wanted = {"output": {"dataset": out}, "on_error": "dead_letter"}
    run = finished(system, accepted(create(system, f"{script}@1", data, **wanted)))
    assert run["progress"]["rows_failed"] == 5

    filter_ = {"run": run["id"]}
    plan = redrive(system, filter_, script=f"{script}@2", dry_run=True)
    assert samples_of(plan) == [
        ("a.jsonl:1", "moved", {"n": 1, "s": "a"}),
        ("a.jsonl:2", "failed_again", None),
        ("a.jsonl:3", "moved", {"n": 3, "s": "a"}),
        ("a.jsonl:4", "failed_again", None),
        ("a.jsonl:5", "failed_again", None),
    ]
    refused = [
        ("a.jsonl:2", "input_schema_mismatch", input_, "/n"),
        ("a.jsonl:4", "output_schema_mismatch", record, "/s"),
        ("a.jsonl:5", "output_schema_mismatch", output, "/n"),
    ]
    assert _mismatches(plan.json()["samples"]) == refused

    shown = ended(system, created(redrive(system, filter_, script=f"{script}@2")))
    assert (shown["status"], counts(shown)) == ("finished", (5, 2, 0, 3, 0, 0))
    assert _mismatches(shown["failures"]) == refused
    assert lines_of(system, out) == [b'{"n":1,"s":"a"}', b'{"n":3,"s":"a"}']


def test_a_script_mends_events_of_a_pipe_whose_own_script_makes_records(system: System) -> None:
    unique = uuid4().hex[:8]
    pipe, mend, sink = f"pipe-{unique}", f"mend-{unique}", f"sink-{unique}"
    record = put_schema(system, f"record-{unique}", required=["pk"], maxProperties=1)
    event = put_schema(system, f"event-{unique}", properties={"n": {"type": "integer"}})
    put_version(system, pipe, "function map(event) { return { pk: event.n } }")
    assert system.client.put(f"/datasets/{sink}", json={"schema": record}).is_success
    definition = {
        "from": {"http": {}},
        "schema": event,
        "script": pipe,
        "to": {"dataset": {"dataset": sink}},
    }
    assert system.client.put(f"/pipes/{pipe}", json=definition).is_success
    send(system, pipe, [b'{"n":"1"}', b'{"n":"two"}', b'{"x":3}'])
    # What it makes is an event: by the pipe's schema, and no record of the dataset yet.
    put_version(system, mend, "function map(event) { return { n: Number(event.n) } }")
    plan = redrive(system, {"pipe": pipe}, script=mend, dry_run=True)
    assert [each[1:] for each in samples_of(plan)] == [
        ("moved", {"pk": 1}), ("failed_again", None), ("failed_again", None),
    ]  # fmt: skip
    errors = [each["error"] for each in plan.json()["samples"][1:]]
    assert [each["kind"] for each in errors] == ["input_schema_mismatch"] * 2
    assert {each["schema"] for each in errors} == {event}
    shown = ended(system, created(redrive(system, {"pipe": pipe}, script=mend)))
    assert counts(shown) == (3, 1, 0, 2, 0, 0)
    assert lines_of(system, sink) == [b'{"pk":1}']


def test_lines_are_not_tried_by_a_version_that_checks_its_input(system: System) -> None:
    unique = uuid4().hex[:8]
    script, data = f"s-{unique}", f"data-{unique}"
    put_version(system, script, STRICT)
    put_version(system, script, MENDED, input_schema=put_schema(system, f"in-{unique}"))
    assert system.client.put(f"/datasets/{data}", json={"format": "text"}).is_success
    put(system, data, "a.txt", b"a\n")
    output = {"dataset": f"out-{unique}"}
    wanted = {"format": "lines", "output": output, "on_error": "dead_letter"}
    run = finished(system, accepted(create(system, f"{script}@1", data, **wanted)))
    refused = redrive(system, {"run": run["id"]}, script=script)
    assert refused.status_code == 422, refused.text
    assert refused.json()["detail"].startswith(f"/script: {script}@2 checks its input")


def test_executions_satisfy_the_schemas_of_the_version(system: System) -> None:
    unique = uuid4().hex[:8]
    script = Recorded(system, "function process(data) { throw new Error(data.n) }")
    failed = script.run([b'{"n":1}', b'{"n":"2"}', b'{"n":7}'])
    integer = {"n": {"type": "integer"}}
    input_ = put_schema(system, f"in-{unique}", type="object", properties=integer)
    output = put_schema(system, f"out-{unique}", maximum=5)
    source = "function process(data) { return data.n }"
    put_version(system, script.name, source, input_schema=input_, output_schema=output)

    filter_ = {"execution": {"script": script.name}}
    plan = redrive(system, filter_, script=f"{script.name}@2", dry_run=True)
    assert samples_of(plan) == [
        (failed[2]["id"], "failed_again", None),
        (failed[1]["id"], "failed_again", None),
        (failed[0]["id"], "moved", 1),
    ]
    assert _mismatches(plan.json()["samples"]) == [
        (failed[2]["id"], "output_schema_mismatch", output, ""),
        (failed[1]["id"], "input_schema_mismatch", input_, "/n"),
    ]
    shown = ended(system, created(redrive(system, filter_, script=f"{script.name}@2")))
    assert counts(shown) == (3, 1, 0, 2, 0, 0)


def _mismatches(shown: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Return where each that has failed did not fit: its id, kind, schema and first pointer."""
    errors = [(each["id"], each["error"]) for each in shown if "error" in each]
    return [
        (id_, error["kind"], error["schema"], error["schema_errors"][0]["pointer"])
        for id_, error in errors
    ]
