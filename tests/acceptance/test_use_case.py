"""The customer's own case, over HTTP, through real processes."""

import hashlib
import json
from datetime import datetime, timedelta

import pytest

from app.sandbox.protocol import Isolation
from tests.support.system import CARDS, System

SCRIPT = (CARDS / "script.js").read_bytes()


@pytest.mark.parametrize("case", ["", "-quarters"])
def test_the_card_statistics_match_the_expected_result(system: System, case: str) -> None:
    system.upload(f"card-statistics{case}", SCRIPT)

    execution = system.run(f"card-statistics{case}", (CARDS / f"payload{case}.json").read_bytes())

    expected = json.loads((CARDS / f"expected{case}.json").read_bytes())
    assert execution["status"] == "succeeded"
    assert execution["result"] == expected
    assert json.loads(system.client.get(execution["result_url"]).content) == expected


@pytest.mark.parametrize("form", ["json", "raw", "multipart"])
def test_a_script_can_be_uploaded_in_three_forms(system: System, form: str) -> None:
    name = f"form-{form}"
    match form:
        case "json":
            answer = system.client.post("/scripts", json={"name": name, "source": SCRIPT.decode()})
        case "raw":
            headers = {"Content-Type": "text/javascript"}
            params = {"name": name}
            answer = system.client.post("/scripts", params=params, content=SCRIPT, headers=headers)
        case _:
            files = {"file": ("script.js", SCRIPT, "text/javascript")}
            answer = system.client.post("/scripts", data={"name": name}, files=files)

    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/scripts/{answer.json()['id']}"
    source = system.client.get(f"/scripts/{name}/versions/1/source")
    assert source.content == SCRIPT
    assert answer.json()["latest_version"]["sha256"] == hashlib.sha256(SCRIPT).hexdigest()


def test_an_envelope_runs_like_a_raw_body(system: System) -> None:
    system.upload("enveloped", SCRIPT)
    payload = (CARDS / "payload.json").read_bytes()
    body = b'{"script": "enveloped@1", "seed": 7, "labels": {"a": "b"}, "data": %b}' % payload
    headers = {"Content-Type": "application/json"}

    answer = system.client.post("/executions", content=body, headers=headers)

    assert answer.status_code == 202
    assert answer.headers["Retry-After"] == "1"
    execution = system.finished(answer.headers["Location"])
    assert execution["result"] == json.loads((CARDS / "expected.json").read_bytes())
    assert execution["labels"] == {"a": "b"}
    assert execution["receipt"]["seed"] == 7
    assert system.client.get(f"/executions/{execution['id']}/input").content == payload


def test_the_receipt_names_script_input_and_times(system: System) -> None:
    system.upload("receipt", SCRIPT)
    payload = (CARDS / "payload.json").read_bytes()

    execution = system.run("receipt", payload, wall_ms=5_000)

    receipt = execution["receipt"]
    result = system.client.get(execution["result_url"]).content
    assert receipt["script"]["name"] == "receipt"
    assert receipt["script"]["version"] == 1
    assert receipt["script"]["sha256"] == hashlib.sha256(SCRIPT).hexdigest()
    assert receipt["input"] == {
        "sha256": hashlib.sha256(payload).hexdigest(),
        "bytes": len(payload),
    }
    assert receipt["output"] == {
        "sha256": hashlib.sha256(result).hexdigest(),
        "bytes": len(result),
    }
    assert receipt["limits"]["wall_ms"] == 5_000
    assert receipt["attempts"] == 1
    assert receipt["v8_version"]
    assert receipt["isolation"] in list(Isolation)
    created, started, finished = (
        datetime.fromisoformat(receipt[name])
        for name in ("created_at", "started_at", "finished_at")
    )
    assert created <= started <= finished
    assert created.utcoffset() == timedelta(0)
    assert receipt["clock_ms"] == int(created.timestamp() * 1000)
    assert receipt["lead_ms"] == pytest.approx((finished - created).total_seconds() * 1000)
    assert receipt["run_ms"] > 0
    assert receipt["cpu_ms"] > 0
    assert receipt["peak_memory_bytes"] > 0


def test_an_execution_keeps_the_version_it_was_accepted_with(system: System) -> None:
    system.upload("versions", "const process = _ => 'one'")
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"source": "const process = _ => 'two'"})

    added = system.client.post("/scripts/versions/versions", content=body, headers=headers)
    again = system.client.post("/scripts/versions/versions", content=body, headers=headers)

    assert (added.status_code, again.status_code) == (201, 200)
    assert again.json()["version"] == 2
    assert system.run("versions@1", b"0")["result"] == "one"
    assert system.run("versions", b"0")["result"] == "two"
    assert system.run("versions@latest", b"0")["result"] == "two"
    assert system.client.post("/scripts/versions@3/executions", content=b"0").status_code == 404


def test_an_async_process_is_awaited(system: System) -> None:
    system.upload("async", "async function process(d) { await null; return d.x + 1 }")

    assert system.run("async", b'{"x": 41}')["result"] == 42


def test_the_console_is_captured(system: System) -> None:
    system.upload("console", "function process(d) { console.log('got', d); console.warn('!') }")

    execution = system.run("console", b'{"x":1}')

    logs = system.client.get(f"/executions/{execution['id']}/logs").json()
    assert [line["level"] for line in logs["lines"]] == ["log", "warn"]
    assert logs["lines"][0]["text"].startswith("got")
    assert logs["lines_dropped"] == 0


def test_a_large_payload_goes_through_the_blob_store_and_back(system: System) -> None:
    system.upload("large", "const process = d => d.map(x => x + 1)")
    payload = json.dumps(list(range(400_000)), separators=(",", ":")).encode()
    expected = json.dumps(list(range(1, 400_001)), separators=(",", ":")).encode()

    execution = system.run("large", payload)

    assert execution["status"] == "succeeded"
    assert "result" not in execution
    assert system.client.get(execution["result_url"]).content == expected
    assert system.client.get(f"/executions/{execution['id']}/input").content == payload
