"""An error of user code has its position in the user's source."""

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("source", "line", "column", "excerpt"),
    [
        (
            "function process(d) {\n  return d.a.b\n}",
            2,
            14,
            "  return d.a.b\n             ^",
        ),
        (
            "function process(d) {\r\n\r\n\treturn d.a.b\r\n}",
            3,
            13,
            "\treturn d.a.b\n\t           ^",
        ),
        (
            "function process(d) { return '😀é' + d.a.b }",
            1,
            42,
            "function process(d) { return '😀é' + d.a.b }\n" + " " * 40 + "^",
        ),
        (
            "function process() {\n  // \u2028  null.x\n}",
            3,
            8,
            "  null.x\n       ^",
        ),
        (
            "function process() {}\n\n  throw new Error('top')",
            3,
            3,
            "  throw new Error('top')\n  ^",
        ),
        (
            "let a = 1\r\nlet b = '😀'; let c = ;",
            2,
            23,
            "let b = '😀'; let c = ;\n" + " " * 21 + "^",
        ),
    ],
)
async def test_line_column_and_excerpt_point_at_the_position(
    pool: SandboxPool, source: str, line: int, column: int, excerpt: str
) -> None:
    error = (await run(pool, source, b"{}")).error
    assert (error.line, error.column, error.excerpt) == (line, column, excerpt)


async def test_a_stack_has_the_users_frames_only(pool: SandboxPool) -> None:
    source = (
        "function inner() {\n  throw new TypeError('deep')\n}\n"
        "function process(d) {\n  return [1].map(() => inner())\n}"
    )
    error = (await run(pool, source)).error
    assert error.stack.split("\n") == [
        "TypeError: deep",
        "    at inner (process.js:2:9)",
        "    at process.js:5:24",
        "    at process (process.js:5:14)",
    ]


async def test_an_async_stack_goes_back_to_process(pool: SandboxPool) -> None:
    source = (
        "async function inner() {\n  await null\n  throw new Error('late')\n}\n"
        "async function process() {\n  return await inner()\n}"
    )
    error = (await run(pool, source)).error
    assert (error.line, error.column) == (3, 9)
    assert error.stack.split("\n")[1:] == [
        "    at inner (process.js:3:9)",
        "    at async process (process.js:6:10)",
    ]


async def test_endless_recursion_is_an_error_of_the_script(pool: SandboxPool) -> None:
    error = (await run(pool, "function process() { return process() }")).error
    assert (error.name, error.line) == ("RangeError", 1)
    assert error.message == "Maximum call stack size exceeded"


@pytest.mark.parametrize(
    ("thrown", "name", "message"),
    [
        ("'text'", "string", "text"),
        ("null", "null", "null"),
        ("undefined", "undefined", "undefined"),
        ("10n", "bigint", "10"),
        ("Symbol('s')", "symbol", "Symbol(s)"),
        ("{ a: 1 }", "object", '{"a":1}'),
        ("{ message: 'm' }", "Error", "m"),
        ("Object.create(null)", "object", "{}"),
        ("new Proxy({}, { get() { throw 1 } })", "object", "[object]"),
        ("Object.assign(new Error('m'), { name: { toString() { return 'x' } } })", "Error", "m"),
        ("new (class Mine extends Error { get message() { throw 1 } })", "Error", ""),
        ("new Error('a\\u0000b\\ud800c')", "Error", "a\0b\ud800c"),
    ],
)
async def test_whatever_is_thrown_is_described(
    pool: SandboxPool, thrown: str, name: str, message: str
) -> None:
    error = (await run(pool, f"function process() {{ throw {thrown} }}")).error
    assert (error.name, error.message) == (name, message)


async def test_a_lying_error_cannot_move_its_position(pool: SandboxPool) -> None:
    source = (
        "function process() {\n  const error = new Error('x')\n"
        "  error.stack = 'at process.js:99:99'\n  error.line = 98\n  throw error\n}"
    )
    error = (await run(pool, source)).error
    assert error.line is None or error.line < 7
    assert error.stack == "at process.js:99:99"


@pytest.mark.parametrize("line", ["'s'", "{ toJSON() { while (true); } }", "-1", "1e300"])
async def test_a_forged_frame_is_an_error_of_the_script(pool: SandboxPool, line: str) -> None:
    source = (
        "function process() {\n  const error = {}\n  Error.prepareStackTrace(error, [{\n"
        "    getScriptNameOrSourceURL() { return 'process.js' }, toString() { return '' },\n"
        f"    getLineNumber() {{ return {line} }}, getColumnNumber() {{ return 1 }} }}])\n"
        "  throw error\n}"
    )
    error = (await run(pool, source)).error
    assert (error.name, error.line) == ("TypeError", 3)


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param("'    at process.js:' + '9'.repeat(5000) + ':1'", id="a number too long"),
        pytest.param("'    at process.js:\\u0661:1'", id="a digit that is not ASCII"),
        pytest.param("'😀'.repeat(1e5)", id="characters beyond 16 bits"),
    ],
)
async def test_no_stack_of_the_top_level_breaks_the_verdict(pool: SandboxPool, stack: str) -> None:
    source = f"const error = new Error('😀'.repeat(1e5))\nerror.stack = {stack}\nthrow error"
    assert (await run(pool, source)).error.name == "Error"


async def test_long_messages_are_clipped(pool: SandboxPool) -> None:
    error = (await run(pool, "function process() { throw new Error('x'.repeat(1e6)) }")).error
    assert error.message == "x" * 16_384
