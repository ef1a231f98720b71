"""Console lines are captured however the run ends."""

import pytest

from app.sandbox.outcomes import LogLine, OutOfMemory, Succeeded, TimedOut
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_levels_and_values_are_captured(pool: SandboxPool) -> None:
    source = """
    function process(d) {
      console.log('text', 1, null, undefined, 10n, true, Symbol('s'))
      console.info({ a: [1, { b: 2 }] }, [1, 'x'])
      console.warn(function named() {})
      console.error(new TypeError('bad'))
      console.debug('\\u0000 \\ud800 😀')
      const cycle = {}; cycle.self = cycle
      console.log(cycle)
      console.log()
      return d
    }"""
    ran = await run(pool, source)
    assert ran.logs == (
        LogLine(level="log", text="text 1 null undefined 10n true Symbol(s)"),
        LogLine(level="info", text='{"a":[1,{"b":2}]} [1,"x"]'),
        LogLine(level="warn", text="[Function: named]"),
        LogLine(level="error", text="TypeError: bad\n    at process (process.js:6:21)"),
        LogLine(level="debug", text="\0 \ud800 😀"),
        LogLine(level="log", text='{"self":[Circular]}'),
        LogLine(level="log", text=""),
    )
    assert ran.report.lines_dropped == 0


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        ("while (true);", TimedOut),
        ("return Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)", TimedOut),
        ("const a = []; while (true) a.push({ a })", OutOfMemory),
    ],
)
async def test_lines_survive_the_end_of_their_cell(
    pool: SandboxPool, body: str, ends: type[object]
) -> None:
    source = f"function process() {{ console.log('before'); {body} }}"
    wall_ms = 10_000 if ends is OutOfMemory else 200
    ran = await run(pool, source, wall_ms=wall_ms, memory_bytes=64 * MIB)
    assert isinstance(ran.outcome, ends), ran.outcome
    assert ran.logs == (LogLine(level="log", text="before"),)


async def test_lines_of_top_level_and_microtasks_count(pool: SandboxPool) -> None:
    source = (
        "console.log('top')\nasync function process() { await null; console.log('later') }\n"
        "Promise.resolve().then(() => console.log('micro'))"
    )
    texts = [line.text for line in (await run(pool, source)).logs]
    assert texts == ["top", "micro", "later"]


async def test_lines_over_the_count_are_dropped_and_counted(pool: SandboxPool) -> None:
    source = "function process(n) { for (let i = 0; i < n; i++) console.log(i); return n }"
    within = await run(pool, source, b"5", console_lines=5)
    assert (len(within.logs), within.report.lines_dropped) == (5, 0)
    above = await run(pool, source, b"100005", console_lines=5)
    assert (len(above.logs), above.report.lines_dropped) == (5, 100_000)
    assert isinstance(above.outcome, Succeeded)


async def test_lines_over_the_total_are_dropped_and_counted(pool: SandboxPool) -> None:
    source = "function process(n) { for (let i = 0; i < n; i++) console.log('é'); return n }"
    ran = await run(pool, source, b"12", console_bytes=20)
    assert (len(ran.logs), ran.report.lines_dropped) == (10, 2)


@pytest.mark.parametrize(
    ("count", "text"),
    [(10, "é" * 10), (11, "é" * 8 + "…"), (100_000, "é" * 8 + "…")],
)
async def test_a_long_line_is_clipped_between_characters(
    pool: SandboxPool, count: int, text: str
) -> None:
    source = "function process(n) { console.log('é'.repeat(n)); return n }"
    ran = await run(pool, source, str(count).encode(), console_line_bytes=20)
    assert ran.logs == (LogLine(level="log", text=text),)


async def test_an_unprintable_value_does_no_harm(pool: SandboxPool) -> None:
    source = """
    function process() {
      const evil = new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 } })
      console.log(evil); console.log({ toJSON() { throw 3 } }); console.log(Object.create(null))
      return 1
    }"""
    ran = await run(pool, source)
    assert ran.output == b"1"
    assert [line.text for line in ran.logs][2] == "{}"
