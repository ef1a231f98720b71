"""Executions are submitted, polled and listed over HTTP."""

import socket
from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from tests.support.system import System, until

IDENTITY = "const process = data => data"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def script(system: System) -> str:
    name = f"identity-{uuid4()}"[:40]
    system.upload(name, IDENTITY)
    return name


def _problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def test_a_submission_is_accepted_at_once_with_an_address_to_poll(
    system: System, script: str
) -> None:
    answer = system.client.post(f"/scripts/{script}/executions", content=b"[1]")

    assert answer.status_code == 202
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Location"] == answer.json()["url"]
    assert answer.json()["status"] == "queued"
    assert system.finished(answer.headers["Location"])["result"] == [1]


@pytest.mark.parametrize(
    ("members", "expected", "pointer"),
    [
        (b'"data": 1', (422, "invalid-request"), "/script"),
        (b'"script": "%b"', (422, "invalid-request"), "/data"),
        (b'"script": "%b", "data": 1, "surprise": 1', (422, "invalid-request"), "/surprise"),
        (b'"script": "%b", "data": 1, "seed": -1', (422, "invalid-request"), "/seed"),
        (b'"script": "%b", "data": 1, "seed": 9007199254740992', (422, "invalid-request"), "/seed"),
        (
            b'"script": "%b", "data": 1, "limits": {"wall_ms": 300001}',
            (422, "invalid-request"),
            "/limits/wall_ms",
        ),
        (
            b'"script": "%b", "data": 1, "limits": {"max_cpu_ms": 0}',
            (422, "invalid-request"),
            "/limits/max_cpu_ms",
        ),
        (
            b'"script": "%b", "data": 1, "limits": {"memory_bytes": 1}',
            (422, "invalid-request"),
            "/limits/memory_bytes",
        ),
        (
            b'"script": "%b", "data": 1, "labels": {"a": 1}',
            (422, "invalid-request"),
            "/labels/a",
        ),
    ],
)
def test_an_invalid_envelope_names_the_member(
    system: System, script: str, members: bytes, expected: tuple[int, str], pointer: str
) -> None:
    body = b"{" + members.replace(b"%b", script.encode()) + b"}"

    answer = system.client.post("/executions", content=body, headers=JSON)

    assert _problem(answer) == expected
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("data", [b'"\\ud800"', b"[" * 50_000 + b"]" * 50_000, b"NaN", b"1e"])
def test_data_that_an_envelope_cannot_hold_is_directed_to_the_raw_route(
    system: System, script: str, data: bytes
) -> None:
    body = b'{"script": "' + script.encode() + b'", "data": ' + data + b"}"

    answer = system.client.post("/executions", content=body, headers=JSON)

    assert _problem(answer) == (400, "malformed-request")
    assert "/scripts/{script}/executions" in answer.json()["detail"]


def test_an_envelope_over_16_mib_is_413(system: System, script: str) -> None:
    body = b'{"script": "' + script.encode() + b'", "data": "' + b"x" * (16 * 2**20) + b'"}'

    answer = system.client.post("/executions", content=body, headers=JSON)

    assert _problem(answer) == (413, "body-too-large")


@pytest.mark.parametrize("announced", [True, False])
def test_an_input_over_the_limit_is_413_and_leaves_nothing(
    stopped_system: System,
    announced: bool,  # noqa: FBT001 - a column of the table
) -> None:
    system = stopped_system
    system.environ["CRIVO_MAX_INPUT_BYTES"] = str(3 * 2**20)
    system.start()
    system.upload("limited", IDENTITY)
    oversized = b"1" * (3 * 2**20 + 1)
    content = oversized if announced else iter([oversized[:2_000_000], oversized[2_000_000:]])

    answer = system.client.post("/scripts/limited/executions", content=content)

    assert _problem(answer) == (413, "body-too-large")
    assert system.client.get("/executions").json()["items"] == []
    assert [path for path in (system.folder / "blobs").rglob("*") if path.is_file()] == []
    assert system.run("limited", b"1" * 3 * 2**20, wall_ms=60_000)["status"] in (
        "succeeded",
        "failed",
    )


def test_an_upload_cut_off_in_the_middle_leaves_nothing(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("cut", IDENTITY)
    with socket.create_connection(("127.0.0.1", system.port)) as connection:
        connection.sendall(
            b"POST /scripts/cut/executions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 10000000\r\n\r\n" + b"1" * 5_000_000
        )

    for _ in until("the API has discarded the upload"):
        blobs = [path for path in (system.folder / "blobs").rglob("*") if path.is_file()]
        if not blobs:
            break
    assert system.client.get("/executions").json()["items"] == []
    assert "request.failed" not in system.logs_of_process("app.main")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"surprise": "1"}, "/surprise"),
        ({"seed": "x"}, "/seed"),
        ({"wall_ms": "null"}, "/wall_ms"),
        ({"wall_ms": "0"}, "/wall_ms"),
        ({"label": "no-colon"}, "/label"),
        ({"label": "new\nline:x"}, "/label"),
        ({"label": ["a:1", "a:2"]}, "/label"),
        ({"seed": ["1", "2"]}, "/seed"),
    ],
)
def test_an_invalid_option_of_the_raw_route_is_named(
    system: System, script: str, query: dict[str, str | list[str]], pointer: str
) -> None:
    answer = system.client.post(f"/scripts/{script}/executions", content=b"1", params=query)

    assert _problem(answer) == (422, "invalid-request")
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Content-Encoding": "br"}, "br"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, "--data-binary"),
    ],
)
def test_a_body_that_is_not_the_data_itself_is_415(
    system: System, script: str, headers: dict[str, str], reason: str
) -> None:
    answer = system.client.post(f"/scripts/{script}/executions", content=b"1", headers=headers)

    assert _problem(answer) == (415, "unsupported-media-type")
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize("execution", ["0", "x", "01a1fbd6-7e18-7587-910d-dd5a6f1c07db"])
@pytest.mark.parametrize("part", ["", "/result", "/input", "/logs"])
def test_an_unknown_execution_is_a_404(system: System, execution: str, part: str) -> None:
    answer = system.client.get(f"/executions/{execution}{part}")

    assert _problem(answer) == (404, "execution-not-found")


def test_the_result_of_an_unfinished_execution_is_a_409(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("waiting", IDENTITY)
    location = system.submit("waiting", b"1")

    answer = system.client.get(f"{location}/result")

    assert _problem(answer) == (409, "not-finished")
    assert answer.headers["Retry-After"] == "1"
    assert system.client.get(location).headers["Retry-After"] == "1"
    assert "receipt" not in system.client.get(location).json()


def test_the_list_filters_by_script_version_status_label_and_time(system: System) -> None:
    system.upload("listed", IDENTITY)
    system.client.post(
        "/scripts/listed/versions", json={"source": "function process(_) { throw 1 }"}
    )
    good = system.run("listed@1", b"1", label="run:a")
    bad = system.run("listed@2", b"1", label="run:b")

    def listed(**query: str) -> list[str]:
        page = system.client.get("/executions", params={"script": "listed", **query})
        return [execution["id"] for execution in page.json()["items"]]

    assert listed() == [bad["id"], good["id"]]
    assert listed(script="listed@1") == [good["id"]]
    assert listed(status="failed") == [bad["id"]]
    assert listed(label="run:a") == [good["id"]]
    assert listed(label="run:c") == []
    assert listed(created_before=bad["created_at"]) == [good["id"]]
    assert listed(created_from=bad["created_at"]) == [bad["id"]]
    tomorrow = datetime.fromisoformat(bad["created_at"]) + timedelta(days=1)
    assert listed(created_from=tomorrow.isoformat()) == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1000"},
        {"status": "dead"},
        {"cursor": "?"},
        {"created_from": "yesterday"},
        {"created_from": "2026-01-31T12:00:00"},
    ],
)
def test_an_invalid_query_of_the_list_names_the_parameter(
    system: System, query: dict[str, str]
) -> None:
    answer = system.client.get("/executions", params=query)

    assert _problem(answer) == (422, "invalid-request")
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}" for name in query]


def test_a_lost_payload_is_reported_before_the_response_starts(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("lost", IDENTITY)
    execution = system.run("lost", b" " * 2 * 2**20 + b"1")
    [blob] = [path for path in (system.folder / "blobs").rglob("*") if path.is_file()]
    blob.unlink()

    answer = system.client.get(f"/executions/{execution['id']}/input")

    assert _problem(answer) == (500, "data-lost")


def test_the_same_seed_and_input_give_the_same_bytes(system: System) -> None:
    system.upload("dice", "const process = _ => [Math.random(), Math.random()]")

    first = system.run("dice", b"1", seed=7)
    second = system.run("dice", b"1", seed=7)
    other = system.run("dice", b"1", seed=8)

    assert first["receipt"]["output"] == second["receipt"]["output"]
    assert first["receipt"]["output"] != other["receipt"]["output"]


def test_the_scripts_clock_is_the_time_of_acceptance(system: System) -> None:
    system.upload("clock", "const process = _ => [Date.now(), new Date().getTime()]")

    execution = system.run("clock", b"1")

    clock_ms = execution["receipt"]["clock_ms"]
    assert execution["result"] == [clock_ms, clock_ms]
