"""Errors for common mistakes say what to do next."""

import json
from typing import Any, Final

import pytest

from tests.support.system import System

SOURCE: Final = b"function process(data) { return data }"
NAME: Final = "first-contact"
NOWHERE: Final = "01900000-0000-7000-8000-000000000000"
# The default Content-Type of curl -d and curl --data-binary.
CURL: Final = {"Content-Type": "application/x-www-form-urlencoded"}
JSON: Final = {"Content-Type": "application/json"}
FORM: Final = {"file": ("script.js", SOURCE)}

# The request, the status, and words of the error that say what to do next.
MISTAKES: Final[dict[str, tuple[tuple[str, str, dict[str, Any]], int, tuple[str, ...]]]] = {
    "a file with curl's own media type": (
        ("POST", "/scripts?name=x", {"content": SOURCE, "headers": CURL}),
        415,
        ("curl", "-F file=@script.js", "'Content-Type: text/javascript'", "?name="),
    ),
    "JSON with curl's own media type": (
        ("POST", "/executions", {"content": b"{}", "headers": CURL}),
        415,
        ("curl", "-H 'Content-Type: application/json'"),
    ),
    "an upload of nothing": (("POST", "/scripts", {}), 415, ("missing", "-F name=")),
    "a file without a name": (
        (
            "POST",
            "/scripts",
            {"content": SOURCE, "headers": {"Content-Type": "text/javascript"}},
        ),
        422,
        ("has no name", "?name="),
    ),
    "a form without a name": (
        ("POST", "/scripts", {"files": FORM}),
        422,
        ("has no name", "name="),
    ),
    "a form with the file under another name": (
        ("POST", "/scripts", {"data": {"name": "x"}, "files": {"script": ("s.js", SOURCE)}}),
        422,
        ("no file", "-F file=@script.js"),
    ),
    "a name with a capital and a space": (
        ("POST", "/scripts", {"json": {"name": "My Script", "source": SOURCE.decode()}}),
        422,
        ("lower-case letters, digits", "/name"),
    ),
    "a name that is taken": (
        ("POST", "/scripts", {"data": {"name": NAME}, "files": FORM}),
        409,
        (f"POST /scripts/{NAME}/versions",),
    ),
    "a form as data": (
        ("POST", f"/scripts/{NAME}/executions", {"files": {"data": ("d.json", b"1")}}),
        415,
        ("--data-binary @data.json",),
    ),
    "no such script": (
        ("POST", "/scripts/first-contakt/executions", {"content": b"1"}),
        404,
        ("'first-contakt'", "GET /scripts lists"),
    ),
    "no such version": (
        ("POST", f"/scripts/{NAME}@9/executions", {"content": b"1"}),
        404,
        (f"GET /scripts/{NAME}/versions lists",),
    ),
    "no such alias": (
        ("POST", f"/scripts/{NAME}@prod/executions", {"content": b"1"}),
        404,
        (f"GET /scripts/{NAME}/aliases lists",),
    ),
    "a version where a script is asked for": (
        ("DELETE", f"/scripts/{NAME}@1", {}),
        404,
        (f"GET /scripts/{NAME}/versions/1",),
    ),
    "no such execution": (("GET", f"/executions/{NOWHERE}", {}), 404, ("GET /executions lists",)),
    "not an execution's id": (("GET", "/executions/1", {}), 404, ("GET /executions lists",)),
    "a misspelt address": (
        ("POST", f"/scripts/{NAME}/execution", {"content": b"1"}),
        404,
        (f"/scripts/{NAME}/execution", "/docs"),
    ),
    "a look at what only takes": (
        ("GET", f"/scripts/{NAME}/executions", {}),
        405,
        ("GET", "takes", "POST"),
    ),
    "a choice that does not exist": (
        ("POST", f"/scripts/{NAME}/executions?timeout=5", {"content": b"1"}),
        422,
        ("wall_ms, max_cpu_ms", "query parameter timeout"),
    ),
    "data under another name": (
        (
            "POST",
            "/executions",
            {"content": b'{"script": "%b", "payload": 1}' % NAME.encode(), "headers": JSON},
        ),
        422,
        ("`payload`",),
    ),
    "no data": (
        ("POST", "/executions", {"content": b'{"script": "x"}', "headers": JSON}),
        422,
        ("`data`",),
    ),
    "a host that is not this machine": (
        ("GET", "/scripts", {"headers": {"Host": "crivo.example"}}),
        421,
        ("http://127.0.0.1",),
    ),
}


@pytest.fixture(scope="module")
def known(system: System) -> System:
    system.upload(NAME, SOURCE)
    return system


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_error_for_a_mistake_says_what_to_do(known: System, mistake: str) -> None:
    (method, path, what), status, words = MISTAKES[mistake]

    answer = known.client.request(method, path, **what)

    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert [word for word in words if word not in problem["detail"]] == [], problem["detail"]


def test_newlines_that_curl_drops_do_not_matter(known: System) -> None:
    """`curl -d @file` drops newlines and declares a form: the raw route reads it as data."""
    rows = json.dumps([{"a": 1}, {"b": "c d"}], indent=2)

    answer = known.client.post(
        f"/scripts/{NAME}/executions", content=rows.replace("\n", ""), headers=CURL
    )

    assert answer.status_code == 202
    assert known.finished(answer.headers["Location"])["result"] == json.loads(rows)


def test_lines_that_curl_has_joined_are_refused_with_what_keeps_them(system: System) -> None:
    dataset = f"/datasets/{NAME}"
    assert system.client.put(dataset, json={}).is_success
    upload = system.client.post(f"{dataset}/uploads", json={}).headers["Location"]
    for address in (f"{dataset}/files/a.ndjson", f"{upload}/files/a.ndjson/parts/1"):
        by_curl, by_another = (
            system.client.put(address, content=b'{"a":1}{"a":2}', headers=headers)
            for headers in (CURL, JSON)
        )

        assert (by_curl.status_code, by_another.status_code) == (422, 422)
        hint = "; curl -d drops newlines, --data-binary and -T keep them"
        assert by_curl.json()["detail"] == by_another.json()["detail"] + hint
        assert by_curl.json()["errors"] == by_another.json()["errors"]
