"""Every outcome of a run, each by a script that has it."""

import json
from pathlib import Path

import pytest

from app.sandbox.outcomes import (
    InvalidInput,
    InvalidResult,
    OutOfMemory,
    OutputTooLarge,
    Succeeded,
    Threw,
    TimedOut,
    UnsettledPromise,
)
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARDS = Path(__file__).resolve().parents[2] / "examples" / "cards"


@pytest.mark.parametrize("variant", ["", "-quarters"])
async def test_the_card_statistics_come_out_as_expected(pool: SandboxPool, variant: str) -> None:
    ran = await run(
        pool,
        (CARDS / "script.js").read_bytes(),
        (CARDS / f"payload{variant}.json").read_bytes(),
    )
    expected = Path(CARDS / f"expected{variant}.json").read_bytes()
    assert ran.outcome == Succeeded(output_bytes=len(ran.output))
    assert ran.value == json.loads(expected)
    assert ran.report.usage.run_ms > 0
    assert ran.report.usage.cpu_ms > 0
    assert ran.report.usage.peak_memory_bytes > MIB


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("function process(d) { return d }", b'{"a":[1,null]}'),
        ("const process = d => d.a", b"[1,null]"),
        ("let process = async d => (await d).a[0]", b"1"),
        ("var process = class { static run() {} }.run.bind(null) && (() => 'x')", b'"x"'),
        ("async function process(d) { await null; await 0; return d.a }", b"[1,null]"),
        ("function process() { return { then(ok) { ok(7) } } }", b"7"),
        ("function process() { return Promise.resolve({ then(ok) { ok([8]) } }) }", b"[8]"),
        ("function process() { return { then: 1 } }", b'{"then":1}'),
        ("function process() { return { a: undefined, b() {}, c: NaN, d: [undefined] } }",
         b'{"c":null,"d":[null]}'),
        ("function process() { return new Date(0) }", b'"1970-01-01T00:00:00.000Z"'),
        ("function process() { return '\\ud800' }", b'"\\ud800"'),
        ("function process() { return null }", b"null"),
    ],
)  # fmt: skip
async def test_a_result_is_what_json_stringify_gives(
    pool: SandboxPool, source: str, output: bytes
) -> None:
    ran = await run(pool, source, b'{"a": [1, null]}')
    assert (ran.outcome, ran.output) == (Succeeded(output_bytes=len(output)), output)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "function process() {}",
            "process returned undefined, which has no JSON; did it forget `return`?",
        ),
        ("function process() { return process }", "a function"),
        ("function process() { return Symbol('x') }", "a symbol"),
        ("async function process() {}", "undefined"),
        ("function process() { return { toJSON() {} } }", "toJSON"),
        ("function process() { return 1n }", "BigInt has no JSON: result"),
        ("function process() { return { a: [0, { 'x y': 1n }] } }", 'result.a[1]["x y"]'),
        ("function process() { const a = { b: {} }; a.b.c = a; return a }", "property 'c'"),
        (
            "const process = a => { for (let i = 5e5; i--; ) a = [new Proxy([], {}), a]; return a}",
            "nested too deeply",
        ),
    ],
)
async def test_a_result_without_json_is_named(pool: SandboxPool, source: str, says: str) -> None:
    ran = await run(pool, source)
    assert isinstance(ran.outcome, InvalidResult), ran.outcome
    assert says in ran.outcome.message
    assert ran.output == b""


@pytest.mark.parametrize(
    "source",
    [
        "function process() { return { get a() { throw new TypeError('mine') } } }",
        "function process() { return { toJSON() { throw new TypeError('mine') } } }",
        "async function process() { throw new TypeError('mine') }",
        "function process() { return { then() { throw new TypeError('mine') } } }",
        "function process() { return Promise.reject(new TypeError('mine')) }",
        "const process = () => ({ get then() { throw new TypeError('mine') } })",
    ],
)
async def test_an_error_while_the_result_is_written_is_the_scripts(
    pool: SandboxPool, source: str
) -> None:
    error = (await run(pool, source)).error
    assert (error.name, error.message, error.line) == ("TypeError", "mine", 1)


@pytest.mark.parametrize(
    ("payload", "offset"),
    [
        (b'{"a":1}\xff', 7),
        (b'"\xc3', 1),
        (b'"\xed\xa0\x80"', 1),
        (b'"' + b"\xc3\xa9" * 200_000 + b'\xc3"', 400_001),
        (b"\xff" + b" " * (8 * MIB), 0),
        # A letter across the end of what is read at once, and of a frame.
        (b'"' + b" " * (65_536 - 2) + b'\xc3"', 65_536 - 1),
        (b'"' + b" " * (MIB - 2) + b'\xc3"', MIB - 1),
        (b'"' + b" " * (MIB - 2) + b'\xc3\xa9\xff"', MIB + 1),
    ],
)
async def test_input_that_is_not_utf8_is_refused_with_its_offset(
    pool: SandboxPool, payload: bytes, offset: int
) -> None:
    ran = await run(pool, "function process(d) { return d }", payload)
    assert isinstance(ran.outcome, InvalidInput), ran.outcome
    assert ran.outcome.byte_offset == offset
    assert str(offset) in ran.outcome.message


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "Unexpected end of JSON input"),
        (b"{", "position 1"),
        (b'{"a":01}', "position 6"),
        (b"\xef\xbb\xbf[1]", "Unexpected token"),
        (b"[1]\x00", "position 3"),
    ],
)
async def test_input_that_is_not_json_gets_v8s_message(
    pool: SandboxPool, payload: bytes, says: str
) -> None:
    ran = await run(pool, "function process(d) { return d }", payload)
    assert isinstance(ran.outcome, InvalidInput), ran.outcome
    assert says in ran.outcome.message
    assert ran.outcome.byte_offset is None


@pytest.mark.parametrize(
    "source",
    [
        "function process() { return new Promise(() => {}) }",
        "async function process() { await new Promise(() => {}) }",
        "function process() { return { then() {} } }",
    ],
)
async def test_a_promise_that_nothing_can_settle_fails_at_once(
    pool: SandboxPool, source: str
) -> None:
    assert (await run(pool, source)).outcome == UnsettledPromise()


@pytest.mark.parametrize(
    "source",
    [
        "function process() { while (true); }",
        "function process() { while (true) try { throw 1 } catch {} finally { continue } }",
        "async function process() { while (true) await null }",
        "function again() { Promise.resolve().then(again) }; const process = () => again() ?? 1",
        "function process() { return /^(a+)+$/.test('a'.repeat(40) + 'b') }",
        "function process() { while (true) new Array(2 ** 26).fill(0) }",
        "function process() { return Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }",
        "function process() { return { toJSON() { while (true); } } }",
        "function process() { return { then() { while (true); } } }",
        "while (true);",
    ],
)
async def test_an_endless_script_times_out(pool: SandboxPool, source: str) -> None:
    ran = await run(pool, source, wall_ms=200, memory_bytes=1024 * MIB)
    assert ran.outcome == TimedOut(limit_ms=200)


@pytest.mark.parametrize(
    "source",
    [
        "function process() { const a = []; while (true) a.push({ a }) }",
        "function process() { const a = []; while (true) try { a.push([1, 2]) } catch {} }",
        "function process() { const a = []; while (true) a.push('ab'.repeat(1e6) + a.length) }",
        "function process() { const a = []; while (true) a.push(new Uint8Array(1e6).fill(1)) }",
        "function process() { return new Uint8Array(2 ** 31).fill(1).length }",
        "const a = []; while (true) a.push(new Array(1000).fill(a.length))",
        "function process() { const m = new Map(); while (true) m.set(m.size, [m.size]) }",
    ],
)
async def test_a_memory_bomb_ends_only_its_own_run(pool: SandboxPool, source: str) -> None:
    ran = await run(pool, source, memory_bytes=64 * MIB)
    assert isinstance(ran.outcome, OutOfMemory), ran.outcome
    assert ran.outcome.limit_bytes == 64 * MIB
    assert (await run(pool, "function process() { return 1 }")).output == b"1"


async def test_memory_below_the_limit_can_be_used(pool: SandboxPool) -> None:
    source = "function process() { const a = new Uint8Array(48e6).fill(1); return a.length }"
    assert (await run(pool, source, memory_bytes=64 * MIB)).output == b"48000000"


async def test_output_may_be_as_long_as_its_limit(pool: SandboxPool) -> None:
    source = "function process(n) { return 'é'.repeat(n) }"
    at_limit = await run(pool, source, b"50", output_bytes=102)
    assert at_limit.outcome == Succeeded(output_bytes=102)
    above = await run(pool, source, b"51", output_bytes=102)
    assert above.outcome == OutputTooLarge(limit_bytes=102)
    assert above.output == b""


async def test_a_result_that_no_string_can_hold_is_too_large(pool: SandboxPool) -> None:
    source = "function process() { const s = 'x'.repeat(2 ** 20); return new Array(520).fill(s) }"
    ran = await run(pool, source, memory_bytes=2048 * MIB)
    assert isinstance(ran.outcome, OutputTooLarge), ran.outcome


async def test_a_source_that_cannot_run_is_the_scripts_failure(pool: SandboxPool) -> None:
    for source, name in (
        ("function process( {", "SyntaxError"),
        ("const other = 1", "ReferenceError"),
        ("const process = {}", "TypeError"),
        ("throw new RangeError('no')", "RangeError"),
    ):
        outcome = (await run(pool, source)).outcome
        assert isinstance(outcome, Threw)
        assert outcome.error.name == name
