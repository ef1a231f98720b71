"""Routes refuse query parameters and conditions that they do not declare."""

import json
from typing import Any, Final

import pytest

from tests.support.openapi_document import with_responses
from tests.support.system import ROOT, System
from tests.support.system_with_keys import SystemWithKeys

PATHS: Final = with_responses(json.loads((ROOT / "openapi" / "openapi.json").read_bytes()))["paths"]
OPERATIONS: Final = [
    pytest.param(method.upper(), path, operation, id=operation["operationId"])
    for path, methods in PATHS.items()
    for method, operation in methods.items()
]
_VALUES: Final = {
    "script": "nobody",
    "schema": "nobody",
    "number": "1",
    "alias": "prod",
    "execution": "01900000-0000-7000-8000-000000000000",
    "name": "nobody",
    "dataset": "nobody",
    "pipe": "nobody",
    "upload": "01900000-0000-7000-8000-000000000000",
    "path": "a/parts/1",
    "key": "01900000-0000-7000-8000-000000000000",
    "callback": "01900000-0000-7000-8000-000000000000",
    "disabled": "01900000-0000-7000-8000-000000000000",
    "batch": "01900000-0000-7000-8000-000000000000",
    "comparison": "01900000-0000-7000-8000-000000000000",
    "run": "01900000-0000-7000-8000-000000000000",
    "export": "01900000-0000-7000-8000-000000000000",
    "letter": "01900000-0000-7000-8000-000000000000",
    "redrive": "01900000-0000-7000-8000-000000000000",
}


def _filled(path: str) -> str:
    for name, value in _VALUES.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path
    return path


def _known(operation: dict[str, Any]) -> list[str]:
    return [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_an_unknown_query_parameter_is_refused_by_its_name(
    system: System, method: str, path: str, operation: dict[str, Any]
) -> None:
    answer = system.client.request(method, _filled(path), params={"nmae": "x", "other": "y"})

    assert answer.status_code == 422, answer.text
    if method == "HEAD":
        return
    problem = answer.json()
    assert [each["parameter"] for each in problem["errors"]] == ["nmae", "other"]
    assert [each["pointer"] for each in problem["errors"]] == ["/nmae", "/other"]
    known = _known(operation)
    for name in known or ["none"]:
        assert name in problem["errors"][0]["message"], name


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_a_declared_parameter_is_not_called_unknown(
    system: System, method: str, path: str, operation: dict[str, Any]
) -> None:
    for name in _known(operation):
        answer = system.client.request(method, _filled(path), params={name: "-1"})

        assert "is unknown here" not in answer.text, (name, answer.text)


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match", "If-Unmodified-Since"])
@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [each for each in OPERATIONS if each.values[0] in ("POST", "PUT", "PATCH", "DELETE")],
)
def test_a_condition_is_refused_if_the_route_does_not_evaluate_it(
    system: System, method: str, path: str, operation: dict[str, Any], name: str
) -> None:
    declared = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"]

    answer = system.client.request(method, _filled(path), headers={name: "*"})

    refused = answer.json().get("type") == "urn:crivo:problem:precondition-unsupported"
    assert refused is (name not in declared), answer.text
    if refused:
        assert answer.status_code == 400
        assert f"{name} is not evaluated here" in answer.json()["detail"]
        assert "precondition-unsupported" in operation["responses"]["400"]["description"]


@pytest.mark.parametrize("path", ["/executions", "/scripts/nobody/executions"])
def test_a_wait_parameter_is_referred_to_prefer(system: System, path: str) -> None:
    answer = system.client.post(path, params={"wait": "10"}, content=b"{}")

    assert answer.status_code == 422
    assert "`Prefer: wait=10`" in answer.json()["detail"]


def test_other_parameters_are_not_referred_to_prefer(system: System) -> None:
    assert "Prefer" not in system.client.get("/scripts", params={"wait": "10"}).text


@pytest.mark.parametrize("garbled", ["a:%ED%A0%80", "a:%FF", "%C3", "a:%C0%80"])
@pytest.mark.parametrize("path", ["/scripts/nobody/executions", "/scripts"])
def test_a_query_that_is_not_utf8_is_refused(system: System, path: str, garbled: str) -> None:
    name = "label" if path.endswith("executions") else "name"

    answer = system.client.request(
        "POST" if name == "label" else "GET", f"{path}?{name}={garbled}&limit=1"
    )

    assert answer.status_code == 422
    assert [each["parameter"] for each in answer.json()["errors"]] == [name]
    assert answer.json()["errors"][0]["message"] == "is not UTF-8"


@pytest.mark.parametrize("params", ['{"a":1', "NaN", "rate=2", "x" * 5_000])
def test_invalid_params_are_shown(system: System, params: str) -> None:
    system.client.put("/scripts/shown", json={"source": "const process = data => data"})

    answer = system.client.post(
        "/scripts/shown/executions", params={"params": params}, content=b"{}"
    )

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["parameter"] == "params"
    assert f"it is `{params[:60]}" in error["message"]
    assert "char" not in error["message"]
    assert len(error["message"]) < 200


@pytest.mark.parametrize(
    ("method", "path", "wrong"),
    [
        ("GET", "/scripts", {"limit": "0"}),
        ("GET", "/executions", {"limit": "many", "status": "lost"}),
        ("POST", "/scripts/nobody/executions", {"wall_ms": "-1", "seed": "x", "label": "a:b"}),
    ],
)
def test_unknown_and_invalid_parameters_are_reported_at_once(
    system: System, method: str, path: str, wrong: dict[str, str]
) -> None:
    answer = system.client.request(method, path, params={"nmae": "x", **wrong})

    assert answer.status_code == 422
    named = {each["parameter"] for each in answer.json()["errors"]}
    assert named == {"nmae", *wrong} - {"label"}


def test_unauthenticated_clients_learn_nothing_about_parameters(keyed: SystemWithKeys) -> None:
    answer = keyed.get("/scripts?nmae=x", "")

    assert answer.status_code == 401


def test_pages_take_any_query(system: System) -> None:
    assert system.client.get("/docs?theme=dark").status_code == 200
    assert system.client.get("/openapi.json?v=1").status_code == 200


def test_a_list_of_scripts_is_filtered_by_name(system: System) -> None:
    for name in ("by-name", "by-name-2"):
        system.upload(name, "const process = data => data")

    found = system.client.get("/scripts", params={"name": "by-name"}).json()
    nothing = system.client.get("/scripts", params={"name": "by-nam"}).json()
    system.client.delete("/scripts/by-name")
    archived = system.client.get("/scripts", params={"name": "by-name"}).json()
    with_archived = system.client.get("/scripts?name=by-name&archived=true").json()

    assert [each["name"] for each in found["items"]] == ["by-name"]
    assert nothing == archived == {"items": [], "next_cursor": None}
    assert [each["name"] for each in with_archived["items"]] == ["by-name"]
