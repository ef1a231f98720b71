"""A check reports every finding with its position, and the outcome of a sample."""

import json
from typing import Any

import httpx
import pytest

from tests.support.system import System

MIB = 2**20


def _check(system: System, source: str, **members: Any) -> httpx.Response:  # noqa: ANN401 - any JSON
    return system.client.post("/scripts/check", json={"source": source, **members})


def _places(findings: list[dict[str, Any]]) -> list[tuple[str, int | None, int | None]]:
    return [(each["code"], each["line"], each["column"]) for each in findings]


@pytest.mark.parametrize(
    ("source", "errors", "warnings"),
    [
        # V8's syntax errors.
        ("function process(data) {\n  return data +\n}", [("syntax_error", 3, 1)], []),
        # The linter's findings beside V8's first error.
        ("function process() { return 1 }\nlet a = 1; let a = 2",
         [("process_takes_no_parameter", 1, 17), ("syntax_error", 2, 16)], []),
        ("const f = require('fs')\nimport('x')\nfetch(1)\nclass process {}",
         [("require", 1, 11), ("dynamic_import", 2, 1), ("process_is_class", 4, 7)],
         [("unknown_name", 3, 1)]),
        # One finding if V8 and a rule agree.
        ("import x from 'y'\n", [("import", 1, 1), ("no_process", 1, 1)], []),
        ("  export default function process(d) { return d }", [("export", 1, 3)], []),
        ("module.exports = d => d", [("no_process", 1, 1), ("top_level_threw", 1, 1)], []),
        # `process`.
        ("", [("no_process", 1, 1)], []),
        ("let a = 1\n{ const process = d => d }", [("no_process", 1, 1)], []),
        ("let a = 1\nconst process = 1", [("process_not_callable", 2, 7)], []),
        ("function process() { return 1 }", [("process_takes_no_parameter", 1, 17)], []),
        ("const process = () => 1", [("process_takes_no_parameter", 1, 17)], []),
        ("const process = async (/* data */) => 1",
         [("process_takes_no_parameter", 1, 23)], []),
        ("function* process(d) { return d }", [("process_is_generator", 1, 11)], []),
        ("async function* process(d) { return d }", [("process_is_generator", 1, 17)], []),
        ("class process {}", [("process_is_class", 1, 7)], []),
        # The code around it.
        ("function process(d) { return d }\n\n  null.x", [("top_level_threw", 3, 8)], []),
        ("function process(d) { return d }\nfor (;;);", [("top_level_timeout", None, None)], []),
        ("const process = d => '\0'", [("nul_character", 1, 23)], []),
        # Positions: line ends, tabs, characters of two units, a byte order mark.
        ("let a = 1\r\nlet b = 2\rlet c = 3\u2028const process = () => b",
         [("process_takes_no_parameter", 4, 17)], []),
        ("\t\tconst process = () => 1", [("process_takes_no_parameter", 1, 19)], []),
        ("/* 😀😀 */ const process = () => 1", [("process_takes_no_parameter", 1, 28)], []),
        ("const é = '😀'; const process = d => ;", [("syntax_error", 1, 38)], []),
        ("\ufeffconst process = () => 1", [("process_takes_no_parameter", 1, 17)], []),
        ("#!/usr/bin/env node\nconst process = () => 1",
         [("process_takes_no_parameter", 2, 17)], []),
    ],
)  # fmt: skip
def test_a_refusal_has_every_finding_with_its_position(
    system: System,
    source: str,
    errors: list[tuple[str, int | None, int | None]],
    warnings: list[tuple[str, int | None, int | None]],
) -> None:
    answer = _check(system, source)
    problem = answer.json()

    assert (answer.status_code, problem["type"]) == (422, "urn:crivo:problem:invalid-script")
    assert _places(problem["errors"]) == errors
    assert _places(problem.get("warnings", [])) == warnings
    for finding in problem["errors"]:
        assert finding["message"]
        if finding["line"] is not None:
            assert finding["excerpt"].split("\n")[1].strip() == "^"


@pytest.mark.parametrize(
    ("source", "warnings"),
    [
        ("const process = d => fetch(d)", [("unknown_name", 1, 22)]),
        ("function process(d) {\r\n\tsetImmediate(d)\r\n\treturn Buffer.from(d)\r\n}",
         [("unknown_name", 2, 2), ("unknown_name", 3, 9)]),
        ("const process = d => process.env.HOME", [("unknown_name", 1, 22)]),
        ("const process = d => eval(d) + new Function(d)()",
         [("code_from_string", 1, 22), ("code_from_string", 1, 36)]),
        ("function process(d) { total = 0; for (row of d) total += row; return total }",
         [("undeclared_assignment", 1, 23), ("undeclared_assignment", 1, 39)]),
        ("function process(d) { d.map(x => { return x }) }", [("no_return", 1, 10)]),
        ("/* 😀 */ const process = d => window", [("unknown_name", 1, 31)]),
        ("const process = d => new Promise(done => setTimeout(done, 5, new URL(d), btoa(d)))", []),
    ],
)  # fmt: skip
def test_surprising_code_is_a_warning(
    system: System, source: str, warnings: list[tuple[str, int, int]]
) -> None:
    answer = _check(system, source)

    assert answer.status_code == 200
    assert answer.json()["accepted"] is True
    assert _places(answer.json()["warnings"]) == warnings


def test_warnings_come_with_the_stored_script(system: System) -> None:
    source = "const process = d => fetch(d)"

    created = system.client.post("/scripts", json={"name": "warned", "source": source})
    added = system.client.post("/scripts/warned/versions", json={"source": source + " "})
    again = system.client.post("/scripts/warned/versions", json={"source": source + " "})

    assert [answer.status_code for answer in (created, added, again)] == [201, 201, 200]
    for answer in (created, added, again):
        assert _places(answer.json()["warnings"]) == [("unknown_name", 1, 22)]
    assert "warnings" not in system.client.get("/scripts/warned").json()


def test_a_mebibyte_in_one_line_has_exact_positions(system: System) -> None:
    head = "const rows = ["
    tail = "]; const process = () => rows"
    source = head + "1," * ((MIB - len(head) - len(tail)) // 2) + tail

    answer = _check(system, source)

    column = source.index("()") + 1
    [finding] = answer.json()["errors"]
    assert _places([finding]) == [("process_takes_no_parameter", 1, column)]
    shown, caret = finding["excerpt"].split("\n")
    assert len(shown) < 200
    assert shown[len(caret) - 1] == "("


def test_invalid_utf8_in_a_file_has_its_position(system: System) -> None:
    source = "\u00e9\r\n\tx\U0001f600".encode() + b"\xff y"

    answer = system.client.post(
        "/scripts/check", content=source, headers={"Content-Type": "text/javascript"}
    )

    [finding] = answer.json()["errors"]
    assert _places([finding]) == [("invalid_utf8", 2, 5)]
    assert finding["excerpt"] == "\tx\U0001f600\ufffd y\n\t  ^"


def test_a_sample_is_run_as_an_execution_would_be(system: System) -> None:
    source = "function process(d) { console.log('n', d.n); return [d, Math.random()] }"
    body = b'{"source": %s, "seed": 5, "sample": {"n": 1e400, "n": -0}}' % (
        json.dumps(source).encode()
    )
    headers = {"Content-Type": "application/json"}
    before = system.client.get("/executions?limit=1").json()

    sample = system.client.post("/scripts/check", content=body, headers=headers).json()["sample"]
    again = system.client.post("/scripts/check", content=body, headers=headers).json()["sample"]

    assert sample["status"] == "succeeded"
    assert sample["result"][0] == {"n": 0}
    assert sample["result"] == again["result"]
    assert sample["logs"] == {"lines": [{"level": "log", "text": "n -0"}], "lines_dropped": 0}
    assert sample["receipt"]["seed"] == 5
    assert sample["receipt"]["input"]["bytes"] == len(b'{"n": 1e400, "n": -0}')
    assert sample["receipt"]["output"]["sha256"] == again["receipt"]["output"]["sha256"]
    assert system.client.get("/executions?limit=1").json() == before


@pytest.mark.parametrize(
    ("source", "choices", "error"),
    [
        ("function process(d) {\n  return d.rows.length\n}", {},
         {"kind": "script_error", "name": "TypeError", "line": 2, "column": 17}),
        ("function process(d) { for (;;); }", {"limits": {"wall_ms": 200}},
         {"kind": "timeout", "limit_ms": 200}),
        ("const process = d => 'x'.repeat(2 ** 20)", {},
         {"kind": "output_too_large", "limit_bytes": MIB}),
        ("function process(d) {}", {}, {"kind": "invalid_result"}),
    ],
)  # fmt: skip
def test_a_failing_sample_has_its_error(
    system: System, source: str, choices: dict[str, object], error: dict[str, object]
) -> None:
    answer = _check(system, source, sample={}, **choices)

    assert answer.status_code == 200
    sample = answer.json()["sample"]
    assert sample["status"] == "failed"
    assert "result" not in sample
    assert {name: sample["error"].get(name) for name in error} == error
    assert sample["receipt"]["output"] is None


def test_an_invalid_source_is_not_run_on_its_sample(system: System) -> None:
    answer = _check(system, "const process = () => 1", sample=1)

    assert answer.status_code == 422
    assert "sample" not in answer.json()


def test_a_sample_is_limited_by_the_defaults_of_executions(system: System) -> None:
    answer = _check(system, "const process = d => d", sample=None, limits={"wall_ms": 300_000})

    assert answer.json()["sample"]["receipt"]["limits"]["wall_ms"] == 10_000
