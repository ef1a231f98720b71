"""Errors name everything that is wrong in plain words, and routes that help."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from hypothesis import given, strategies as st

from app.errors import InvalidRequest
from app.executions.envelope import Envelope
from app.validation import MAX_FAULTS, decode_json
from tests.support.system import ROOT, System
from tests.support.system_with_keys import SystemWithKeys

PATHS: Final = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())["paths"]
JSON: Final = {"Content-Type": "application/json"}
SOURCE: Final = "const process = data => data"
# Words that only programmers of this service should read.
JARGON: Final = re.compile(
    r"Expected `|Object (contains|missing)|bytearray|\bb['\"]|<class|Traceback|<app\.|None\b"
    r"|NoneType|UnsetType|\bregex\b|\bstr\b|\bint\b|\bfloat\b|\bbool\b"
)
_ADDRESS: Final = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[^\s;,)'\"`]*)")


def _errors(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {each["pointer"]: each["message"] for each in answer.json()["errors"]}


def test_all_faults_of_a_body_are_named_at_once(system: System) -> None:
    body = {
        "script": 1,
        "payload": 2,
        "limits": {"wall_ms": 0, "memory_bytes": "much", "cpu": 1},
        "labels": {"a b": "c", "d": 5},
        "priority": 11,
        "seed": -1,
    }

    errors = _errors(system.client.post("/executions", json=body))

    assert set(errors) == {
        "/script",
        "/data",
        "/payload",
        "/limits/wall_ms",
        "/limits/memory_bytes",
        "/limits/cpu",
        "/labels/a b",
        "/labels/d",
        "/priority",
        "/seed",
    }
    assert errors["/data"] == "`data` is missing"
    assert errors["/limits/wall_ms"].startswith("expected a whole number from 1 to 300000")
    assert "known names: script, data, params, limits" in errors["/payload"]
    assert "letters, digits" in errors["/labels/a b"]


def test_all_faults_are_named_beside_large_data(system: System) -> None:
    body = {"script": 1, "data": "x" * 2**20, "priority": 11, "limits": {"wall_ms": 0}}

    errors = _errors(system.client.post("/executions", json=body))

    assert set(errors) == {"/script", "/priority", "/limits/wall_ms"}


def test_the_number_of_errors_is_bounded(system: System) -> None:
    body = {f"member-{number}": 1 for number in range(1_000)}

    errors = _errors(system.client.post("/scripts", json=body))

    assert len(errors) == MAX_FAULTS
    assert {"/name", "/source"} < set(errors)


def test_an_enum_names_what_is_allowed(keyed: SystemWithKeys) -> None:
    scopes = _errors(keyed.post("/keys", json={"scopes": ["read", "write"]}))
    status = _errors(keyed.get("/executions?status=done"))
    action = _errors(keyed.get("/audit?action=x"))

    assert scopes == {
        "/scopes/1": "expected one of read, scripts:write, executions:write, datasets:write, "
        'schemas:write, pipes:write, events:write, admin, got "write"'
    }
    assert status == {
        "/status": 'expected one of queued, running, succeeded, failed, cancelled, got "done"'
    }
    assert "script.created, script.described" in action["/action"]


@pytest.mark.parametrize(
    ("method", "path", "what", "names"),
    [
        ("GET", "/executions/01900000-0000-7000-8000-000000000000?wait=soon", {}, ["wait"]),
        ("GET", "/executions?limit=0&created_from=today&cursor=x", {}, ["limit"]),
        ("GET", "/scripts?limit=1000", {}, ["limit"]),
        ("GET", "/scripts?archived=maybe&limit=x", {}, ["archived", "limit"]),
        ("GET", "/scripts?limit=1&limit=2", {}, ["limit"]),
        ("GET", "/scripts/messages/versions?limit=-1", {}, ["limit"]),
        ("GET", "/audit?key_id=1&action=x", {}, ["key_id", "action"]),
        (
            "POST",
            "/scripts/messages/executions?wall_ms=0&seed=x&label=nothing",
            {"content": b"1"},
            ["wall_ms", "seed", "label"],
        ),
        (
            "POST",
            "/scripts?wall_ms=soon&name=Upper",
            {"content": SOURCE, "headers": {"Content-Type": "text/javascript"}},
            ["name", "wall_ms"],
        ),
    ],
)
def test_query_parameters_are_named_as_the_client_wrote_them(
    system: System, method: str, path: str, what: dict[str, Any], names: list[str]
) -> None:
    answer = system.client.request(method, path, **what)

    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert sorted(each["parameter"] for each in problem["errors"]) == sorted(names)
    assert all(each["pointer"] == f"/{each['parameter']}" for each in problem["errors"])
    assert all(f"query parameter {name}" in problem["detail"] for name in names)
    assert not JARGON.search(json.dumps(problem)), problem


# Invalid bodies, for every route that reads JSON.
_WRONG: Final = [b"", b"{", b"[]", b"null", b"1", b'{"a": 1}', b"\xff", b'"\\ud800"']


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method.upper(), path)
        for path, methods in PATHS.items()
        for method, operation in methods.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ],
)
@pytest.mark.parametrize("body", _WRONG)
def test_no_error_about_a_body_names_a_library(
    keyed: SystemWithKeys, method: str, path: str, body: bytes
) -> None:
    address = re.sub(r"\{[^}]*\}", "nobody", path)

    answer = keyed.request(method, address, content=body, headers=JSON)

    if answer.status_code in (400, 422):
        problem = answer.json()
        said = [problem["detail"], *(each["message"] for each in problem.get("errors", ()))]
        # Errors about invalid JSON are the decoder's, which name a byte.
        assert [each for each in said if JARGON.search(each)] == []


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="\xff"',
        b"\xff\xfe: 1",
        b"nothing",
        b"Content-Disposition: attachment",
        b"Content-Disposition: form-data; name=file\r\nContent-Length: x",
    ],
)
def test_no_error_about_a_form_shows_an_internal_object(system: System, part: bytes) -> None:
    body = b"--x\r\n" + part + b"\r\n\r\n1\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    answer = system.client.post("/scripts/check", content=body, headers=headers)

    assert 400 <= answer.status_code < 500
    assert not JARGON.search(answer.json()["detail"]), answer.text
    assert "Error(" not in answer.text


_DATA: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_MEMBERS: Final = st.sampled_from(["script", "limits", "labels", "seed", "priority", "x", "data"])


@given(st.dictionaries(_MEMBERS, _DATA) | _DATA)
def test_every_refused_value_is_named(body: object) -> None:
    refused = _refused(body)

    if refused is not None:
        assert refused.errors
        assert not any("does not fit" in str(each["message"]) for each in refused.errors)
        assert not any("Expected `" in str(each["message"]) for each in refused.errors)


def _refused(body: object) -> InvalidRequest | None:
    try:
        decode_json(json.dumps(body, ensure_ascii=False).encode(), Envelope)
    except InvalidRequest as error:
        return error
    except ValueError:
        # Numbers and surrogates that decoders refuse.
        return None
    return None


def test_an_envelope_over_the_limit_is_referred_to_the_raw_route(system: System) -> None:
    body = b'{"script": "messages", "data": "' + b"x" * (16 * 2**20) + b'"}'

    answer = system.client.post("/executions", content=body, headers=JSON)

    assert answer.status_code == 413
    assert "POST /scripts/{script}/executions" in answer.json()["detail"]
    assert str(256 * 2**20) in answer.json()["detail"]


def test_the_error_for_an_archived_script_says_how_to_restore_it(system: System) -> None:
    system.upload("shelved", SOURCE)
    system.client.delete("/scripts/shelved")
    refused = [
        system.client.post("/scripts/shelved/executions", content=b"1"),
        system.client.post("/executions", json={"script": "shelved", "data": 1}),
        system.client.post("/scripts/shelved/versions", json={"source": SOURCE}),
        system.client.put("/scripts/shelved", json={"source": SOURCE}),
        system.client.put("/scripts/shelved/aliases/prod", json={"version": 1}),
    ]

    for answer in refused:
        assert answer.status_code == 409
        assert 'PATCH /scripts/shelved with {"archived": false}' in answer.json()["detail"]
    assert system.client.patch("/scripts/shelved", json={"archived": False}).status_code == 200
    assert system.client.put("/scripts/shelved", json={"source": SOURCE}).status_code == 200


def test_the_error_for_a_missing_result_says_why(system: System) -> None:
    system.upload("throws", "function process(data) { throw new Error('no') }")
    failed = system.submit("throws", b"1")
    system.finished(failed)

    answer = system.client.get(f"{failed}/result")

    assert answer.status_code == 404
    assert answer.json()["detail"] == f"the execution failed; GET {failed} has its error"


def _literals() -> Iterator[tuple[str, str]]:
    """Return every string in the code, with placeholders for values."""
    for path in sorted((ROOT / "app").rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        inner = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in ast.walk(node)
            if part is not node
        }
        for node in ast.walk(tree):
            if id(node) in inner:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield str(path.relative_to(ROOT)), node.value
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    str(each.value) if isinstance(each, ast.Constant) else "{}"
                    for each in node.values
                ]
                yield str(path.relative_to(ROOT)), "".join(parts)


def _leads_somewhere(method: str, address: str) -> bool:
    path = address.partition("?")[0].rstrip(".:")
    for template, methods in PATHS.items():
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return True
    # A placeholder may itself stand for an address.
    return path == "{}"


def test_every_address_in_the_code_is_a_route() -> None:
    found = [
        (where, method, address)
        for where, text in _literals()
        for method, address in _ADDRESS.findall(text)
    ]

    assert len(found) > 20
    assert [each for each in found if not _leads_somewhere(*each[1:])] == []


def test_every_route_that_an_error_names_exists(system: System) -> None:
    system.upload("ways", SOURCE)
    done = system.submit("ways", b"1")
    system.finished(done)
    nowhere = "01900000-0000-7000-8000-000000000000"
    refused = [
        ("GET", "/scripts/nobody"),
        ("GET", "/scripts/Not%20A%20Name"),
        ("GET", "/scripts/ways/versions/9"),
        ("GET", "/scripts/ways/versions/prod"),
        ("GET", "/scripts/ways@prod"),
        ("GET", "/scripts/ways@9"),
        ("GET", "/scripts/ways/aliases/prod"),
        ("DELETE", "/scripts/ways/aliases/prod"),
        ("DELETE", "/scripts/ways@1"),
        ("GET", "/scripts/ways@1/versions"),
        ("GET", "/executions?script=ways@prod"),
        ("GET", f"/executions/{nowhere}"),
        ("GET", "/executions/x"),
        ("POST", f"{done}/cancel"),
        ("GET", "/keys/x"),
        ("GET", f"/keys/{nowhere}"),
        ("GET", "/tenants/nobody"),
        ("GET", "/tenants/Not%20A%20Name"),
    ]

    for method, address in refused:
        answer = system.client.request(method, address)
        assert 400 <= answer.status_code < 500, address
        ways = [each for each in _ADDRESS.findall(answer.json()["detail"]) if each[0] == "GET"]
        assert ways, (address, answer.json()["detail"])
        for _, way in ways:
            assert system.client.get(way).status_code == 200, (address, way)


def test_documented_quota_errors_say_what_helps(keyed: SystemWithKeys) -> None:
    keyed.tenant("messages-quotas")
    caps = {"max_scripts": 1, "max_versions": 1}
    keyed.request("PATCH", "/tenants/messages-quotas", json={"caps": caps})
    key = keyed.key("messages-quotas").key
    assert keyed.post("/scripts", key, json={"name": "a", "source": SOURCE}).status_code == 201

    for answer in (
        keyed.post("/scripts", key, json={"name": "b", "source": SOURCE}),
        keyed.post("/scripts/a/versions", key, json={"source": f"{SOURCE};"}),
    ):
        assert answer.status_code == 429
        assert "Retry-After" not in answer.headers
        assert "try again" not in answer.json()["detail"]
        assert "ask the operator of this service" in answer.json()["detail"]
