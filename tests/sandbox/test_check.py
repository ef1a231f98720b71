"""A check accepts a source with a callable `process`, and explains each refusal."""

import pytest

from app.sandbox.pool import SandboxPool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "source",
    [
        "function process(data) { return data }",
        "async function process() {}",
        "function* process() {}",
        "const process = d => d",
        "let process; process = function () {}",
        "var process = d => d",
        "class process {}",
        "globalThis.process = d => d",
        "\ufeff// mark\nfunction process() {}",
        "#!/usr/bin/env node\nfunction process() {}",
        "'use strict'\nconst console = 1, name = 2; function process() {}",
        "function process() {} //# sourceURL=other.js",
        "function process() {} // no line end",
    ],
)
async def test_a_callable_process_is_accepted(pool: SandboxPool, source: str) -> None:
    assert await pool.check(source.encode(), tenant="t") == ()


@pytest.mark.parametrize(
    ("source", "code", "line", "column"),
    [
        ("function process( {", "syntax_error", 1, 20),
        ("let a = 1\r\n\r\n  let b = ;", "syntax_error", 3, 11),
        ("const é = '😀😀', b = ;", "syntax_error", 1, 23),
        ("let process = 1; let process = 2", "syntax_error", 1, 22),
        ("", "no_process", None, None),
        ("const other = d => d", "no_process", None, None),
        ("{ const process = d => d }", "no_process", None, None),
        ("const process = 1", "process_not_callable", None, None),
        ("let process", "no_process", None, None),
        ("function process() {}\n\nnull.x", "top_level_threw", 3, 6),
        ("Object.defineProperty(globalThis, 'process', { get() { throw new Error('x') } })",
         "top_level_threw", 1, 62),
        ("while (true);", "top_level_timeout", None, None),
        ("function process() { return Promise.resolve().then(process) }; process()",
         "top_level_timeout", None, None),
    ],
)  # fmt: skip
async def test_a_refusal_names_its_reason_and_place(
    pool: SandboxPool, source: str, code: str, line: int | None, column: int | None
) -> None:
    (finding,) = await pool.check(source.encode(), tenant="t", wall_ms=400)
    assert (finding.code, finding.line, finding.column) == (code, line, column)
    assert finding.message
    if line is not None:
        assert finding.excerpt is not None
        shown, caret = finding.excerpt.split("\n")
        assert shown in source
        assert caret.strip() == "^"


async def test_a_top_level_that_exhausts_memory_is_refused(pool: SandboxPool) -> None:
    source = b"const a = []; while (true) a.push(new Uint8Array(1e7).fill(1))"
    (finding,) = await pool.check(source, tenant="t", wall_ms=20_000)
    assert finding.code == "top_level_out_of_memory"


async def test_a_source_that_is_not_utf8_is_refused(pool: SandboxPool) -> None:
    (finding,) = await pool.check(b"function process() {} // \xff", tenant="t")
    assert finding.code == "syntax_error"
    assert "byte 25" in finding.message


async def test_a_check_never_calls_process(pool: SandboxPool) -> None:
    source = b"function process() { while (true); }"
    assert await pool.check(source, tenant="t", wall_ms=400) == ()
