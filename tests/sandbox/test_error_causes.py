"""An error has its causes, each with its own position."""

import msgspec
import pytest

from app.execution_errors import failure_of
from app.sandbox.outcomes import InvalidResult, OutOfMemory, ScriptError
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAIN = """async function process() {
  try {
    try { JSON.parse('{bad') }
    catch (cause) { throw new TypeError('row 3', { cause }) }
  } catch (cause) {
    await null
    throw new Error('no rows', { cause })
  }
}"""


async def test_each_cause_has_its_position(pool: SandboxPool) -> None:
    error: ScriptError | None = (await run(pool, CHAIN)).error
    chain = []
    while error is not None:
        assert error.excerpt is not None
        chain.append((error.name, error.message[:17], error.line, error.column))
        error = error.cause
    assert chain == [
        ("Error", "no rows", 7, 11),
        ("TypeError", "row 3", 4, 27),
        ("SyntaxError", "Expected property", 3, 16),
    ]


async def test_the_error_document_has_the_causes(pool: SandboxPool) -> None:
    failure = failure_of((await run(pool, CHAIN)).outcome)
    assert failure is not None
    document = msgspec.json.decode(failure.document())
    assert document["cause"]["cause"] == {
        "name": "SyntaxError",
        "message": "Expected property name or '}' in JSON at position 1 (line 1 column 2)",
        "line": 3,
        "column": 16,
        "excerpt": "    try { JSON.parse('{bad') }\n               ^",
        "stack": document["cause"]["cause"]["stack"],
    }
    assert "errors" not in document


async def test_an_aggregate_error_has_its_errors(pool: SandboxPool) -> None:
    source = """const failing = async message => { throw new TypeError(message) }
    const process = () => Promise.any([failing('one'), Promise.reject('two')])"""
    error = (await run(pool, source)).error
    assert error.name == "AggregateError"
    errors = [(inner.name, inner.message, inner.line) for inner in error.errors]
    assert errors == [("TypeError", "one", 1), ("string", "two", None)]


@pytest.mark.parametrize(
    ("cause", "name", "message"),
    [
        ("'text'", "string", "text"),
        ("null", "null", "null"),
        ("{ code: 7 }", "object", '{"code":7}'),
        ("new Proxy({}, { get() { throw 1 } })", "object", "[object]"),
    ],
)
async def test_a_cause_may_be_anything(
    pool: SandboxPool, cause: str, name: str, message: str
) -> None:
    source = f"function process() {{ throw new Error('x', {{ cause: {cause} }}) }}"
    nested = (await run(pool, source)).error.cause
    assert nested is not None
    assert (nested.name, nested.message, nested.line) == (name, message, None)


@pytest.mark.parametrize(
    "cause",
    [
        "undefined",
        "error",
        "{ get then() { throw 1 } }.missing",
    ],
)
async def test_a_cycle_or_nothing_is_no_cause(pool: SandboxPool, cause: str) -> None:
    source = (
        f"function process() {{ const error = new Error('x'); error.cause = {cause}; throw error }}"
    )
    assert (await run(pool, source)).error.cause is None


async def test_a_cycle_ends_where_it_closes(pool: SandboxPool) -> None:
    source = """function process() {
      const a = new Error('a'), b = new AggregateError([a], 'b', { cause: a })
      a.cause = b
      throw a
    }"""
    error = (await run(pool, source)).error
    assert error.cause is not None
    assert (error.cause.message, error.cause.cause, error.cause.errors) == ("b", None, ())


async def test_the_longest_errors_fit_into_a_verdict(pool: SandboxPool) -> None:
    source = """function process() {
      const long = '\\u0001'.repeat(1e5)
      let error = long
      for (let i = 0; i < 100; i++) {
        error = new AggregateError([long, new Error(long)], long, { cause: error })
        error.name = error.stack = long
      }
      throw error
    }"""
    error = (await run(pool, source)).error
    assert len(error.message) == 16 * 1024
    count, inner = 0, error.cause
    while inner is not None:
        assert len(inner.message) == 1024
        count, inner = count + 1, inner.cause
    assert count == 12


async def test_the_harness_lists_errors_without_running_user_code(pool: SandboxPool) -> None:
    source = """function process() {
      Array.prototype.toJSON = Object.prototype.toJSON = () => 'forged'
      for (const key of [0, 1, 'cause', 'errors', 'value', 'native'])
        Object.defineProperty(Object.prototype, key, { __proto__: null, set() { throw 9 } })
      throw new AggregateError([new TypeError('one'), 'two'], 'all')
    }"""
    error = (await run(pool, source)).error
    assert [inner.message for inner in error.errors] == ["one", "two"]


async def test_a_hidden_stack_does_not_hide_the_position(pool: SandboxPool) -> None:
    source = """function process() {
      const error = new Error('x')
      Object.defineProperty(error, 'stack', { get() { throw 1 } })
      throw error
    }"""
    error = (await run(pool, source)).error
    assert (error.line, error.column, error.stack) == (2, 21, "")


async def test_a_forged_out_of_memory_error_is_the_scripts(pool: SandboxPool) -> None:
    source = "function process() { throw new RangeError('Array buffer allocation failed') }"
    assert (await run(pool, source)).error.line == 1
    real = "function process() { const all = []; while (true) all.push(new Uint8Array(2 ** 26)) }"
    ran = await run(pool, real, memory_bytes=64 * MIB)
    assert isinstance(ran.outcome, OutOfMemory), ran.outcome


@pytest.mark.parametrize("where", ["top", "process", "timer"])
@pytest.mark.parametrize(
    "fails",
    [
        "new ArrayBuffer(-1)",
        "new ArrayBuffer(8, { maxByteLength: 4 })",
        "new ArrayBuffer({ valueOf() { return 1.8e308 } })",
        "new ArrayBuffer(Symbol())",
        "new ArrayBuffer(8, { maxByteLength: 16 }).resize(99)",
        "new ArrayBuffer(8).transfer(-1)",
    ],
)
async def test_a_forged_message_in_a_buffers_error_is_no_failed_allocation(
    pool: SandboxPool, fails: str, where: str
) -> None:
    words = "Array buffer allocation failed"
    if "resize" in fails:
        words = "ArrayBuffer.prototype.resize: Out of memory"
    forges = f"""try {{ {fails} }} catch (error) {{
      Object.setPrototypeOf(error, RangeError.prototype)
      error.message = '{words}'
      throw error
    }}"""
    source = {
        "top": forges,
        "process": f"function process() {{ {forges} }}",
        "timer": f"const process = () => new Promise(() => setTimeout(() => {{ {forges} }}))",
    }[where]
    assert (await run(pool, source)).error.message == words


async def test_a_scripts_error_thrown_by_a_resize_is_no_failed_allocation(
    pool: SandboxPool,
) -> None:
    source = """function process() {
      const buffer = new ArrayBuffer(8, { maxByteLength: 16 })
      try { buffer.resize(99) } catch (error) {
        error.message = 'ArrayBuffer.prototype.resize: Out of memory'
        buffer.resize({ valueOf() { throw error } })
      }
    }"""
    assert (await run(pool, source)).error.line == 3


@pytest.mark.parametrize(
    "takes",
    [
        "new ArrayBuffer(3e9)",
        "new Float64Array(3e8)",
        "new ArrayBuffer(8).transfer(5e9)",
        "new ArrayBuffer(8, { maxByteLength: 1e10 }).resize(9e9)",
        "const all = []; for (;;) all.push(new Uint8Array(5e6))",
        "new Uint8Array(3e8).slice(); new Uint8Array(3e8).slice()",
    ],
)
async def test_a_failed_allocation_is_known_after_its_error_was_caught(
    pool: SandboxPool, takes: str
) -> None:
    later = "console.log(1); new URL('http://h/'); new Array(1e6).fill().map(() => [0])"
    for source in (
        f"function process() {{ try {{ {takes} }} catch (error) {{ {later}; throw error }} }}",
        f"{{ {takes} }}",
    ):
        ran = await run(pool, source, memory_bytes=256 * MIB)
        assert isinstance(ran.outcome, OutOfMemory), ran.outcome


async def test_a_result_without_json_differs_from_a_tojson_that_throws(pool: SandboxPool) -> None:
    limit = "Error.stackTraceLimit = 0;"
    without = await run(pool, f"function process() {{ {limit} return {{ a: 1n }} }}")
    assert without.outcome == InvalidResult(message="a BigInt has no JSON: result.a")
    throws = f"return {{ toJSON() {{ {limit} throw new TypeError('mine') }} }}"
    error = (await run(pool, f"function process() {{ {throws} }}")).error
    assert error.message == "mine"


@pytest.mark.parametrize("message", ["Invalid string length", "Array buffer allocation failed"])
async def test_captured_frames_do_not_change_the_verdict(pool: SandboxPool, message: str) -> None:
    source = f"""function process() {{
      const error = new RangeError('{message}')
      return {{ toJSON() {{ Error.captureStackTrace(error, this.toJSON); throw error }} }}
    }}"""
    assert (await run(pool, source)).error.message == message
    builtin = f"""function process() {{
      const error = new RangeError('{message}')
      new ArrayBuffer({{ valueOf: function of() {{ Error.captureStackTrace(error, of) }} }})
      throw error
    }}"""
    assert (await run(pool, builtin)).error.message == message


async def test_a_builtin_that_throws_as_tojson_is_no_deep_nesting(pool: SandboxPool) -> None:
    source = "const process = () => ({ toJSON: 'x'.repeat.bind('x', -1) })"
    assert (await run(pool, source)).error.message == "Invalid count value: -1"


async def test_a_captured_stack_has_the_users_frames(pool: SandboxPool) -> None:
    source = """class Failure { constructor(message) {
        this.message = message
        Error.captureStackTrace(this, Failure)
      } }
      function process() { const plain = {}; Error.captureStackTrace(plain)
        Error.stackTraceLimit = 1; const one = {}; Error.captureStackTrace(one)
        throw new Failure(plain.stack + one.stack) }"""
    error = (await run(pool, source)).error
    frame = "    at process (process.js:{})"
    assert error.message == f"Error\n{frame.format('5:52')}Error\n{frame.format('6:58')}"
    assert (error.line, error.column) == (7, 15)


async def test_a_promise_is_awaited_even_if_then_is_replaced(pool: SandboxPool) -> None:
    source = """function process() {
      Promise.prototype.then = undefined
      return Promise.reject(new Error('late'))
    }"""
    assert (await run(pool, source)).error.message == "late"
