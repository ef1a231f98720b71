"""A request id appears in the access log and at the end of the execution it submitted."""

import json
from typing import Any

import httpx

from tests.support.system import System, until


def _lines(log: str, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(each) for each in log.splitlines() if f'"{event}"' in each)
    return [each for each in lines if each["event"] == event]


def test_the_end_of_an_execution_names_its_request(system: System) -> None:
    system.upload("request-ids", "const process = data => data")
    submitted = system.client.post(
        "/scripts/request-ids/executions", content=b"1", headers={"X-Request-Id": "order-17"}
    )
    execution = system.finished(submitted.headers["Location"])

    found: list[dict[str, Any]] = []
    for _ in until("the end is logged"):
        lines = _lines(system.logs_of_process("app.worker"), "execution.finished")
        found = [each for each in lines if each["id"] == execution["id"]]
        if found:
            break

    assert [each["request_id"] for each in found] == ["order-17"]


def test_the_access_log_is_off_by_default(system: System) -> None:
    system.client.get("/scripts", headers={"X-Request-Id": "not-logged"})
    lines: list[dict[str, Any]] = []
    logged: dict[str, dict[str, Any]] = {}
    with system.another_api(CRIVO_ACCESS_LOG="true") as url:
        for path, expected in (("/scripts?name=secret-name", 200), ("/nothing", 404)):
            answer = httpx.get(
                f"{url}{path}", headers={"X-Request-Id": f"logged-{expected}"}, trust_env=False
            )
            assert answer.status_code == expected
        httpx.get(f"{url}/{'x' * 9_000}", headers={"X-Request-Id": "logged-414"}, trust_env=False)

        for _ in until("the last one is logged"):
            lines = _lines(system.logs_of_process("app.main"), "http.request")
            logged = {each["request_id"]: each for each in lines}
            if "logged-414" in logged:
                break

    assert "not-logged" not in logged
    expected_routes = {200: "/scripts", 404: "(none)", 414: "(none)"}
    for status, route in expected_routes.items():
        line = logged[f"logged-{status}"]
        assert (line["method"], line["status"], line["route"]) == ("GET", status, route)
        assert line["ms"] > 0
        assert line["address"] == "127.0.0.1"
        assert len(line["path"]) <= 1_000
    # A query may hold sensitive values, such as labels.
    assert not any("secret-name" in json.dumps(each) for each in lines)
