"""Params are JSON of a submission that reaches `process` in its second argument."""

import json
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support.system import System

JSON = {"Content-Type": "application/json"}
# Valid JSON that no encoder would write.
ODD = b'{ "limit": 2.50,\n"name": "\\u00fc\xf0\x9f\x98\x80", "n": 1e400, "d": 1, "d": 2 }'


@pytest.fixture(scope="module")
def script(system: System) -> str:
    name = f"context-{uuid4()}"[:40]
    system.upload(name, "const process = (data, context) => context")
    return name


def _submit(system: System, script: str, *, params: bytes | None) -> dict[str, object]:
    more = b"" if params is None else b', "params": ' + params
    body = b'{"script": "%b", "data": 1, "labels": {"a": "b"}, "seed": 5%b}'
    answer = system.client.post("/executions", content=body % (script.encode(), more), headers=JSON)
    assert answer.status_code == 202, answer.text
    finished: dict[str, object] = system.finished(answer.json()["url"])
    return finished


def test_the_context_agrees_with_the_receipt(system: System, script: str) -> None:
    found = _submit(system, script, params=b'{"x": [1]}')

    receipt = found["receipt"]
    assert isinstance(receipt, dict)
    assert found["result"] == {
        "execution_id": found["id"],
        "script": script,
        "version": 1,
        "labels": {"a": "b"},
        "params": {"x": [1]},
        "clock_ms": receipt["clock_ms"],
        "seed": 5,
    }


def test_params_are_stored_byte_for_byte(system: System, script: str) -> None:
    found = _submit(system, script, params=ODD)

    receipt = found["receipt"]
    assert isinstance(receipt, dict)
    shown = system.client.get(f"/executions/{found['id']}").content
    assert b'"params":' + ODD + b"," in shown
    assert receipt["params"]["bytes"] == len(ODD)
    listed = system.client.get("/executions", params={"script": script}).json()["items"]
    assert "params" not in listed[0]
    assert listed[0]["receipt"]["params"] == receipt["params"]


def test_without_params_the_context_has_an_empty_object(system: System, script: str) -> None:
    found = _submit(system, script, params=None)

    result, receipt = found["result"], found["receipt"]
    assert isinstance(result, dict)
    assert isinstance(receipt, dict)
    assert (result["params"], receipt["params"], "params" in found) == ({}, None, False)


@pytest.mark.parametrize("params", ["null", "[1, 2]", '"text"', '{"a": "\\ud800"}', "0"])
def test_the_raw_route_accepts_params_in_the_query(
    system: System, script: str, params: str
) -> None:
    url = f"/scripts/{script}/executions?params={quote(params)}"
    answer = system.client.post(url, content=b"1")

    assert answer.status_code == 202, answer.text
    found = system.finished(answer.json()["url"])
    assert found["result"]["params"] == json.loads(params)
    assert found["receipt"]["params"]["bytes"] == len(params)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ("", "is not JSON"),
        ("{'a': 1}", "is not JSON"),
        ("[1,]", "is not JSON"),
        ("NaN", "it is `NaN`"),
        ("1}", "is not JSON"),
        ("[" * 2_000, "nested too deeply"),
        ('"\n"', "is not JSON"),
        ("\ufeff1", "is not JSON"),
    ],
)
def test_params_that_are_not_json_are_refused(
    system: System, script: str, params: str, reason: str
) -> None:
    url = f"/scripts/{script}/executions?params={quote(params)}"
    answer = system.client.post(url, content=b"1")

    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/params"
    assert reason in error["message"]


@pytest.mark.parametrize("bytes_", [64 * 1024 + 1, 8 * 1024 * 1024])
def test_params_are_limited_to_64_kib(system: System, script: str, bytes_: int) -> None:
    longest = _submit(system, script, params=b'"' + b"x" * (64 * 1024 - 2) + b'"')
    body = {"script": script, "data": 1, "params": "x" * (bytes_ - 2)}
    answer = system.client.post("/executions", json=body)

    assert longest["status"] == "succeeded"
    assert answer.status_code == 422
    assert answer.json()["errors"][0] == {
        "pointer": "/params",
        "message": f"has {bytes_} bytes; the limit is 65536",
    }


def test_params_are_erased_with_the_data(system: System, script: str) -> None:
    found = _submit(system, script, params=b'{"card": 4242}')
    url = f"/executions/{found['id']}"

    system.client.delete(f"{url}/data").raise_for_status()

    shown = system.client.get(url).json()
    assert "params" not in shown
    assert shown["receipt"]["params"]["bytes"] == 14


def test_a_sample_accepts_params(system: System) -> None:
    body = (
        b'{"source": "const process = (d, { params }) => [d, params]",'
        b' "sample": 1, "params": {"x": 2.50}}'
    )
    answer = system.client.post("/scripts/check", content=body, headers=JSON).json()
    refused = system.client.post(
        "/scripts/check", content=body.replace(b"2.50", b'"\xff"'), headers=JSON
    )

    assert answer["sample"]["result"] == [1, {"x": 2.5}]
    assert answer["sample"]["receipt"]["params"]["bytes"] == 11
    assert refused.status_code in (400, 422)
