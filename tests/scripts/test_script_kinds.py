"""An upload check finds what a script offers, and explains with its place what it lacks."""

from collections.abc import AsyncIterator

import pytest

from app.lint.diagnostics import Code
from app.lint.linter import lint
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import Finding, ScriptKind
from app.sandbox.pool import SandboxPool, open_pool
from app.scripts.findings import merge

START = "const start = () => 0;"
STEP = "const step = (n, lines) => n + lines.length;"
FINISH = "const finish = n => n;"
FOLD = f"{START} {STEP} {FINISH}"
PROCESS = "function process(data) { return data }\n"
MAP = "function map(record) { return record }\n"
ONLY = ("runs_only", None, None)


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=1, warm=1)) as opened:
        yield opened


async def check(
    pool: SandboxPool, source: str
) -> tuple[tuple[str, ...], tuple[Finding, ...], list[tuple[str, int | None, int | None]]]:
    encoded = source.encode()
    examined = await pool.examine(encoded, tenant="t")
    findings = merge(examined, lint(encoded), encoded)
    places = [(each.code, each.line, each.column) for each in findings]
    return tuple(map(str, examined.kinds)), findings, places


OFFERS = [
    (PROCESS, ("process",), []),
    (MAP, ("map",), [ONLY]),
    (FOLD, ("fold",), [ONLY]),
    (f"{FOLD} let merge = (a, b) => a + b", ("fold", "merge"), [ONLY]),
    ("const { start, step, finish } = { start() {}, step() {}, finish() {} }", ("fold",), [ONLY]),
    ("globalThis.map = async (record, context) => record", ("map",), [ONLY]),
    ("const step = (...all) => all, start = function () { return 1 }, finish = n => n",
     ("fold",), [ONLY]),
    (f"{PROCESS}{MAP}{FOLD}", ("process", "map", "fold"), []),
    # Beside `process` these are the script's own functions.
    (f"{PROCESS}function merge(a) {{ a.x = 1 }} const map = {{}}", ("process",), []),
    (f"{PROCESS}function map() {{ return 1 }} function* step() {{}}", ("process", "map"), []),
    (f"{PROCESS}{START} {STEP}", ("process",), [("unused_fold", 2, 30)]),
    # A bundle may bring a `process` of Node.js.
    (f"var process = {{ env: {{}} }}; {MAP}", ("map",), [ONLY]),
]  # fmt: skip


REFUSALS = [
    ("const merge = (a, b) => a", [("no_process", 1, 1)]),
    (f"\n{START} {STEP}", [("incomplete_fold", 2, 30)]),
    (f"{FINISH} function start() {{ return 0 }}", [("incomplete_fold", 1, 33)]),
    (f"{START} {FINISH} const step = 1", [("incomplete_fold", 1, 53)]),
    (f"{FOLD}\nconst merge = 1", [("merge_not_callable", 2, 7)]),
    ("const map = [1]", [("map_not_callable", 1, 7)]),
    ("function* map(record) { yield record }",
     [ONLY, ("function_is_generator", 1, 11)]),
    ("class map {}", [ONLY, ("function_is_class", 1, 7)]),
    ("function map() { return 1 }", [ONLY, ("takes_too_few_parameters", 1, 13)]),
    (f"{START} {FINISH}\nfunction step(s) {{ s.n++ }}",
     [ONLY, ("no_return", 2, 10), ("takes_too_few_parameters", 2, 14)]),
    (f"{FOLD}\nfunction merge(a) {{ return a }}", [ONLY, ("takes_too_few_parameters", 2, 15)]),
]  # fmt: skip


async def test_what_a_script_offers(pool: SandboxPool) -> None:
    found = []
    for source, _, _ in OFFERS:
        kinds, _, places = await check(pool, source)
        found.append((source, kinds, places))
    assert found == OFFERS
    assert [str(kind) for kind in ScriptKind] == ["process", "map", "fold", "merge"]


async def test_a_script_that_lacks_something_is_refused_with_its_place(pool: SandboxPool) -> None:
    found = []
    for source, _ in REFUSALS:
        _, findings, places = await check(pool, source)
        assert any(not Code(each.code).is_warning for each in findings), source
        found.append((source, places))
    assert found == REFUSALS


async def test_messages_say_what_is_missing(pool: SandboxPool) -> None:
    messages = {
        f"{START} {STEP}": "a fold has `start`, `step` and `finish`; there is no function `finish`",
        f"{PROCESS}{STEP} {FINISH}": "`step` is no fold without `start`: this version offers none",
        f"{FOLD} const merge = {{}}": "`merge` is not a function",
        f"{START} {FINISH} const step = s => s":
            "`step` takes too few parameters: write `step(state, chunk)`",
    }  # fmt: skip
    for source, message in messages.items():
        _, findings, _ = await check(pool, source)
        assert message in [each.message for each in findings]
