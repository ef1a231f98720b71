"""Runs of versions that name schemas, and into datasets that have one."""

from typing import Any
from uuid import uuid4

import pytest

from tests.runs.http_runs import accepted, create, finished, put
from tests.support.schemas import put_schema
from tests.support.system import System

IN = {"type": "object", "properties": {"n": {"type": "integer"}}}
OUT = {"type": "object", "properties": {"n": {"maximum": 5}}, "additionalProperties": True}
RECORD = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}
FOLD = """
function start() { return 0 }
function step(sum, records) { for (const { n } of records) sum += n; return sum }
function merge(a, b) { return a + b }
function finish(sum) { return { n: sum } }
"""
MAP = "function map(record) { return record.n === 4 ? { n: 4, s: 4 } : record }" + FOLD
LINES = b'{"n":1}\n{"n":"2"}\n{"n":3}\n{"n":4}\n\n{"n":5,"x":0}\n{"n":6}\n{"n":7}\n'


class Names:
    """A version with two schemas, data that does not satisfy them, a dataset with another."""

    def __init__(self, system: System) -> None:
        self.system, unique = system, uuid4().hex[:8]
        self.script, self.data, self.out = f"s-{unique}", f"data-{unique}", f"out-{unique}"
        self.input = put_schema(system, f"in-{unique}", **IN)
        self.output = put_schema(system, f"out-{unique}", **OUT)
        self.record = put_schema(system, f"record-{unique}", **RECORD)
        body = {"source": MAP, "input_schema": self.input, "output_schema": self.output}
        assert system.client.put(f"/scripts/{self.script}", json=body).is_success
        for name, schema in ((self.data, None), (self.out, self.record)):
            answer = system.client.put(f"/datasets/{name}", json={"schema": schema})
            assert answer.status_code == 201, answer.text
        put(system, self.data, "a.jsonl", LINES)

    def run(self, **more: object) -> dict[str, Any]:
        return finished(self.system, accepted(create(self.system, self.script, self.data, **more)))

    def errors(self, run: dict[str, Any]) -> list[tuple[int, str, str, str]]:
        listed = self.system.client.get(run["errors_url"]).json()["items"]
        return [
            (
                each["line"],
                each["error"]["kind"],
                each["error"]["schema"],
                each["error"]["schema_errors"][0]["pointer"],
            )
            for each in listed
        ]


@pytest.fixture(scope="module")
def names(system: System) -> Names:
    return Names(system)


@pytest.mark.parametrize("on_error", ["skip", "dead_letter"])
def test_each_record_satisfies_input_output_and_the_dataset(names: Names, on_error: str) -> None:
    run = names.run(output={"dataset": names.out}, on_error=on_error)
    assert run["status"] == "succeeded", run
    read = names.system.client.get(f"/datasets/{names.out}/files/a.jsonl").content
    assert read == b'{"n":1}\n{"n":3}\n'
    assert names.errors(run) == [
        (2, "input_schema_mismatch", names.input, "/n"),
        (4, "output_schema_mismatch", names.record, "/s"),
        (6, "input_schema_mismatch", names.input, "/x"),
        (7, "output_schema_mismatch", names.output, "/n"),
        (8, "output_schema_mismatch", names.output, "/n"),
    ]
    assert run["progress"]["rows_failed"] == 5
    # The fold reads what the map reads, 1 + 3 + 4 + 6 + 7, and its result is not a record.
    assert run["result"] == {"n": 21}
    receipt = run["receipt"]
    for member in ("input", "output", "record"):
        named = receipt[f"{member}_schema"]
        assert f"{named['name']}@{named['version']}" == getattr(names, member)


def test_the_result_of_a_version_that_only_folds_is_checked(names: Names) -> None:
    body = {"source": FOLD, "input_schema": names.input, "output_schema": names.output}
    folds = f"{names.script}-folds"
    assert names.system.client.put(f"/scripts/{folds}", json=body).is_success
    answer = create(names.system, folds, names.data, on_error="skip")
    run = finished(names.system, accepted(answer))
    assert (run["status"], run["error"]["kind"]) == ("failed", "output_schema_mismatch")
    assert run["error"]["schema_errors"][0]["pointer"] == "/n"
    assert [each[0] for each in names.errors(run)] == [2, 6]


def test_the_first_record_that_does_not_fit_fails_the_run(names: Names) -> None:
    run = names.run(output={"dataset": names.out})
    assert (run["status"], run["error"]["kind"]) == ("failed", "input_schema_mismatch")
    assert (run["error"]["input_line"], run["error"]["schema"]) == (2, names.input)
    assert run["error"]["schema_errors"][0]["pointer"] == "/n"
    assert "published" not in run


def test_a_replay_checks_what_its_original_checked(names: Names) -> None:
    run = names.run(output={"dataset": names.out}, on_error="skip")
    answer = names.system.client.post(f"/runs/{run['id']}/replay")
    assert finished(names.system, accepted(answer))["replay"]["identical"] is True


def test_what_has_no_records_cannot_be_checked(names: Names) -> None:
    for more in ({"format": "lines"}, {"format": "text"}):
        answer = create(names.system, names.script, names.data, **more)
        assert answer.status_code == 422, answer.text
        assert [each["pointer"] for each in answer.json()["errors"]] == ["/format"]
