"""Every failure of a script, and the error that a client gets."""

from typing import Any

import pytest

from tests.support.system import System, until

# name, source, data, limits, error kind, members of the error
FAILURES: list[tuple[str, str, bytes, dict[str, int], str, dict[str, Any]]] = [
    (
        "throw",
        "function process(d) {\n  throw new TypeError('no ' + d)\n}",
        b"1",
        {},
        "script_error",
        {"name": "TypeError", "message": "no 1", "line": 2, "column": 9},
    ),
    (
        "reject",
        "async function process(_) {\n  await null\n  throw new Error('late')\n}",
        b"1",
        {},
        "script_error",
        {"name": "Error", "message": "late", "line": 3},
    ),
    (
        "nul",
        "function process(_) { throw new Error('a\\u0000b\\ud800') }",
        b"1",
        {},
        "script_error",
        {"message": "a\u0000b\ud800"},
    ),
    ("loop", "function process(_) { for (;;); }", b"1", {"wall_ms": 300}, "timeout", {}),
    (
        "busy",
        "function process(_) { for (;;); }",
        b"1",
        {"max_cpu_ms": 200},
        "timeout",
        {"limit_ms": 200},
    ),
    (
        "microtasks",
        "function process(_) { const f = () => Promise.resolve().then(f); return f() }",
        b"1",
        {"wall_ms": 300},
        "timeout",
        {"limit_ms": 300},
    ),
    (
        "heap-bomb",
        "function process(_) { const a = []; for (;;) a.push(new Array(1000).fill({})) }",
        b"1",
        {"memory_bytes": 64 * 2**20, "wall_ms": 20_000},
        "out_of_memory",
        {"limit_bytes": 64 * 2**20},
    ),
    (
        "typed-array-bomb",
        "function process(_) { const a = []; for (;;) a.push(new Uint8Array(2 ** 24).fill(1)) }",
        b"1",
        {"memory_bytes": 64 * 2**20, "wall_ms": 20_000},
        "out_of_memory",
        {},
    ),
    ("not-json", "const process = d => d", b"{'a': 1}", {}, "invalid_input", {}),
    ("empty", "const process = d => d", b"", {}, "invalid_input", {}),
    (
        "not-utf8",
        "const process = d => d",
        b'"abc\xff"',
        {},
        "invalid_input",
        {"byte_offset": 4},
    ),
    ("undefined", "function process(_) {}", b"1", {}, "invalid_result", {}),
    ("function", "const process = _ => () => 1", b"1", {}, "invalid_result", {}),
    ("symbol", "const process = _ => Symbol('x')", b"1", {}, "invalid_result", {}),
    ("bigint", "const process = _ => ({a: [1n]})", b"1", {}, "invalid_result", {}),
    (
        "cycle",
        "function process(_) { const a = {}; a.b = {c: a}; return a }",
        b"1",
        {},
        "invalid_result",
        {},
    ),
    (
        "too-large",
        "const process = _ => 'x'.repeat(2000)",
        b"1",
        {"max_output_bytes": 1000},
        "output_too_large",
        {"limit_bytes": 1000},
    ),
    ("unsettled", "const process = _ => new Promise(() => {})", b"1", {}, "unsettled_promise", {}),
]


@pytest.mark.parametrize(
    ("name", "source", "data", "limits", "kind", "members"),
    FAILURES,
    ids=[failure[0] for failure in FAILURES],
)
def test_a_failure_is_named_and_explained(
    system: System,
    name: str,
    source: str,
    data: bytes,
    limits: dict[str, int],
    kind: str,
    members: dict[str, Any],
) -> None:
    system.upload(f"fails-{name}", source)

    execution = system.run(f"fails-{name}", data, **limits)

    error = execution["error"]
    assert (execution["status"], error["kind"]) == ("failed", kind)
    assert error["message"]
    assert {member: error[member] for member in members} == members
    assert execution["receipt"]["output"] is None
    assert execution["receipt"]["attempts"] == 1
    answer = system.client.get(f"/executions/{execution['id']}/result")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:crivo:problem:no-result")


def test_a_failing_script_does_not_affect_others(system: System) -> None:
    system.upload("bomb", "function process(_) { const a = []; for (;;) a.push([a]) }")
    system.upload("fine", "const process = d => d")

    bombs = [system.submit("bomb", b"1", memory_bytes=64 * 2**20) for _ in range(3)]
    fine = [system.run("fine", b"%d" % number)["result"] for number in range(5)]

    assert fine == [0, 1, 2, 3, 4]
    for bomb in bombs:
        assert system.finished(bomb)["error"]["kind"] in ("out_of_memory", "timeout")


def test_a_syntax_error_is_located(system: System) -> None:
    source = "function process(d) {\n  return d +* 1\n}"
    body = {"name": "refused", "source": source}

    answer = system.client.post("/scripts", json=body)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:crivo:problem:invalid-script"
    [finding] = problem["errors"]
    assert (finding["line"], finding["column"]) == (2, 13)
    assert finding["code"] == "syntax_error"
    assert finding["excerpt"].splitlines()[1].index("^") == 12
    assert system.client.get("/scripts/refused").status_code == 404


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("const other = 1", "no_process"),
        ("const process = 42", "process_not_callable"),
        ("throw new Error('at the top'); function process(d) { return d }", "top_level_threw"),
        ("for (;;); function process(d) { return d }", "top_level_timeout"),
    ],
)
def test_an_upload_without_a_callable_process_is_refused(
    system: System, source: str, code: str
) -> None:
    answer = system.client.post("/scripts/check", json={"source": source})

    assert answer.status_code == 422
    assert [finding["code"] for finding in answer.json()["errors"]] == [code]


def test_output_of_scripts_never_reaches_the_services_logs(system: System) -> None:
    word = "a-word-that-only-the-payload-has"
    system.upload("talks", "function process(d) { console.log(d); throw new Error(d) }")

    execution = system.run("talks", f'"{word}"'.encode())

    assert execution["error"]["message"] == word
    for _ in until("the worker has logged the end"):
        if execution["id"] in system.logs_of_process("app.worker"):
            break
    assert word not in system.logs_of_process("app.worker")
    assert word not in system.logs_of_process("app.main")
