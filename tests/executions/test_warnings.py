"""A success whose result lost values has warnings wherever it is shown; a failure has none."""

import pytest

from app.losses import MESSAGES, WarningCode
from tests.support.system import System

ASYNC_MAP = "const process = rows => ({ rows: rows.map(async row => row), '\\ud800': new Map })"
WARNINGS = [
    {
        "code": "promise",
        "path": "result.rows[0]",
        "message": MESSAGES[WarningCode.PROMISE],
    },
    {
        "code": "map",
        "path": 'result["\\ud800"]',
        "message": MESSAGES[WarningCode.MAP],
    },
]


def test_an_execution_shows_the_losses_of_its_result(system: System) -> None:
    system.upload("lossy", ASYNC_MAP)
    location = system.submit("lossy", b"[1, 2]")

    execution = system.client.get(location, params={"wait": 30}).json()
    listed = system.client.get("/executions").json()["items"]

    assert execution["status"] == "succeeded"
    assert execution["result"] == {"rows": [{}, {}], "\ud800": {}}
    assert execution["warnings"] == WARNINGS
    assert [each["warnings"] for each in listed if each["id"] == execution["id"]] == [WARNINGS]

    assert system.client.delete(f"{location}/data").status_code == 204
    assert "warnings" not in system.client.get(location).json()


def test_a_submission_that_waits_gets_the_warnings(system: System) -> None:
    system.upload("lossy-at-once", ASYNC_MAP)

    answer = system.client.post(
        "/executions",
        json={"script": "lossy-at-once", "data": [1]},
        headers={"Prefer": "wait=30"},
    )

    assert answer.json()["warnings"] == WARNINGS


def test_a_sample_run_gets_the_warnings(system: System) -> None:
    body = {"source": ASYNC_MAP, "sample": [1]}

    sample = system.client.post("/scripts/check", json=body).json()["sample"]

    assert sample["status"] == "succeeded"
    assert sample["warnings"] == WARNINGS


@pytest.mark.parametrize("body", ["return data", "throw new Error('no')", "return [1n, new Map]"])
def test_without_a_loss_there_are_no_warnings(system: System, body: str) -> None:
    name = f"lossless-{len(body)}"
    system.upload(name, f"function process(data) {{ {body} }}")
    location = system.submit(name, b"[null, {}]")

    execution = system.client.get(location, params={"wait": 30}).json()

    assert execution["status"] in ("succeeded", "failed")
    assert "warnings" not in execution


def test_every_code_has_a_message() -> None:
    assert set(MESSAGES) == set(WarningCode)
