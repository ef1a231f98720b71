"""Versions that name schemas: what `process` gets and returns is checked, over HTTP."""

import hashlib
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.schemas import put_schema
from tests.support.system import System

IN = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
OUT = {"type": "object", "properties": {"m": {"type": "integer", "maximum": 10}}}
SOURCE = "function process(data) { return { m: data.n * 2 } }"


class Checked:
    """A script whose version names two schemas."""

    def __init__(self, system: System) -> None:
        self.system = system
        unique = uuid4().hex[:12]
        self.name, self.input, self.output = f"c-{unique}", f"in-{unique}", f"out-{unique}"
        put_schema(system, self.input, **IN)
        put_schema(system, self.output, **OUT)
        self.put(201, input_schema=self.input, output_schema=f"{self.output}@latest")

    def put(self, status: int, source: str = SOURCE, **schemas: str | None) -> Any:  # noqa: ANN401
        body = {"source": source, **schemas}
        answer = self.system.client.put(f"/scripts/{self.name}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def run(self, data: object, script: str | None = None) -> Any:  # noqa: ANN401 - JSON
        answer = self.system.client.post(
            f"/scripts/{script or self.name}/executions",
            json=data,
            headers={"Prefer": "wait=30"},
        )
        assert answer.status_code == 200, answer.text
        location = answer.headers["Location"]
        # The outcome that came with its notification is what a read shows.
        assert self.system.client.get(location).json() == answer.json()
        return answer.json()


@pytest.fixture(scope="module")
def checked(system: System) -> Checked:
    return Checked(system)


def test_input_and_output_are_checked(checked: Checked) -> None:
    good = checked.run({"n": 5})
    assert good["result"] == {"m": 10}

    wrong = checked.run({"n": "5", "x": 1})
    assert (wrong["status"], wrong["error"]["kind"]) == ("failed", "input_schema_mismatch")
    assert wrong["error"]["schema"] == f"{checked.input}@1"
    found = {(each["pointer"], each["keyword"]) for each in wrong["error"]["schema_errors"]}
    assert found == {("/n", "type"), ("/x", "strict")}

    large = checked.run({"n": 6})
    assert large["error"]["kind"] == "output_schema_mismatch"
    assert large["error"]["schema"] == f"{checked.output}@1"
    assert [each["pointer"] for each in large["error"]["schema_errors"]] == ["/m"]

    for execution in (good, wrong, large):
        for side, schema in (("input", IN), ("output", OUT)):
            named = execution["receipt"][f"{side}_schema"]
            digest = hashlib.sha256(json.dumps(schema, separators=(",", ":")).encode()).hexdigest()
            assert (named["version"], named["sha256"]) == (1, digest)


def test_schemas_belong_to_the_version_and_never_move(checked: Checked) -> None:
    system = checked.system
    own = Checked(system)
    pinned = {"input_schema": f"{own.input}@1", "output_schema": f"{own.output}@1"}
    same = own.put(200, **pinned)["latest_version"]
    assert {name: same[name] for name in pinned} == pinned

    # A newer version of the schema is another schema: a name is resolved as the script is put.
    put_schema(system, own.input, type="object", properties={"n": {"type": "string"}})
    assert own.run({"n": 1})["status"] == "succeeded"
    newer = own.put(201, input_schema=own.input, output_schema=pinned["output_schema"])
    assert newer["latest_version"]["input_schema"] == f"{own.input}@2"
    assert own.run({"n": 1})["error"]["kind"] == "input_schema_mismatch"
    assert own.run({"n": 1}, f"{own.name}@1")["result"] == {"m": 2}

    free = own.put(201)["latest_version"]
    assert (free["version"], free["input_schema"], free["output_schema"]) == (3, None, None)
    plain = own.run({"n": 9, "x": 1})
    assert plain["result"] == {"m": 18}
    assert not {"input_schema", "output_schema"} & plain["receipt"].keys()
    listed = system.client.get(f"/scripts/{own.name}/versions").json()["items"]
    assert [each["input_schema"] for each in listed] == [None, f"{own.input}@2", f"{own.input}@1"]


@pytest.mark.parametrize(
    ("schemas", "status", "pointer"),
    [
        ({"input_schema": "no-such-schema"}, 404, "/input_schema"),
        ({"output_schema": "{input}@9"}, 404, "/output_schema"),
        ({"output_schema": "{input}@prod"}, 404, "/output_schema"),
        ({"input_schema": "{input}", "io": "bytes"}, 422, "/input_schema"),
        ({"input_schema": "not a name"}, 404, "/input_schema"),
        ({"input_schema": 7}, 422, "/input_schema"),
    ],
)
def test_what_names_no_schema_is_refused_with_its_place(
    checked: Checked, schemas: dict[str, Any], status: int, pointer: str
) -> None:
    body = {
        "source": SOURCE,
        **{
            name: value.replace("{input}", checked.input) if isinstance(value, str) else value
            for name, value in schemas.items()
        },
    }
    for method, path in (("PUT", f"/scripts/{checked.name}"), ("POST", "/scripts/check")):
        answer = checked.system.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


def test_a_sample_is_checked_as_an_execution_is(checked: Checked) -> None:
    def check(sample: object) -> Any:  # noqa: ANN401 - JSON
        body = {"source": SOURCE, "sample": sample, "input_schema": checked.input}
        body["output_schema"] = checked.output
        answer = checked.system.client.post("/scripts/check", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["sample"]

    good = check({"n": 1})
    assert good["result"] == {"m": 2}
    assert good["receipt"]["input_schema"] == checked.run({"n": 1})["receipt"]["input_schema"]
    assert check([])["error"]["kind"] == "input_schema_mismatch"
    assert check({"n": 6})["error"]["kind"] == "output_schema_mismatch"


def test_a_file_names_its_schemas_in_the_query(checked: Checked) -> None:
    answer = checked.system.client.put(
        f"/scripts/{checked.name}-file",
        content=SOURCE,
        params={"input_schema": checked.input},
        headers={"Content-Type": "text/javascript"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["latest_version"]["input_schema"] == f"{checked.input}@1"


def test_batches_replays_and_comparisons_take_checked_versions(system: System) -> None:
    checked, client = Checked(system), system.client
    batch = client.post(
        "/batches",
        content=b'{"n":1}\n{"n":"x"}\n{"n":7}\n',
        params={"script": checked.name},
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert batch.status_code == 202, batch.text
    counts = _finished(system, batch.headers["Location"])["counts"]
    assert (counts["succeeded"], counts["failed"]) == (1, 2)

    failed = checked.run({"n": 7})
    replay = client.post(f"/executions/{failed['id']}/replay")
    assert replay.is_success, replay.text
    repeated = _finished(system, replay.headers["Location"])
    assert repeated["replay"]["identical"] is True
    assert repeated["error"] == failed["error"]

    stricter = put_schema(system, checked.output, type="object", maxProperties=0)
    names = {"input_schema": checked.input, "output_schema": stricter}
    checked.put(201, **names)
    answer = client.post(f"/scripts/{checked.name}/comparisons", json={"from": 1, "to": 2})
    compared = _finished(system, answer.headers["Location"])
    assert compared["newly_failed"] > 0
    kinds = {each["to"]["error_kind"] for each in compared["differences"] if "to" in each}
    assert "output_schema_mismatch" in kinds, compared


def _finished(system: System, location: str) -> Any:  # noqa: ANN401 - JSON
    answer: httpx.Response = system.client.get(location, params={"wait": 30})
    assert answer.json()["finished_at"] is not None, answer.text
    return answer.json()
