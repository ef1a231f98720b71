"""Timers run in order on a clock that only they advance, after microtasks."""

import pytest

from app.sandbox.outcomes import Succeeded, TimedOut, UnsettledPromise
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLEEP = "const sleep = ms => new Promise(done => setTimeout(done, ms))\n"


async def test_timers_run_by_due_time_then_by_age_after_microtasks(pool: SandboxPool) -> None:
    source = (
        SLEEP
        + """
    async function process() {
      const seen = []
      const note = name => () => { seen.push(name) }
      setTimeout(note('later'), 20)
      setTimeout(note('a'), 10); setTimeout(note('b'), 10); setTimeout(note('first'), 0)
      setTimeout((...args) => { seen.push(args) }, 15, 1, 'two')
      queueMicrotask(note('micro'))
      Promise.resolve().then(note('then')).then(note('then then'))
      setTimeout(() => { note('c')(); queueMicrotask(note('micro of c')) }, 5)
      setTimeout(note('after c'), 5)
      await sleep(30)
      return seen
    }"""
    )
    assert (await run(pool, source)).value == [
        *("micro", "then", "then then", "first", "c", "micro of c", "after c", "a", "b"),
        *([1, "two"], "later"),
    ]


async def test_waiting_takes_no_time_and_moves_the_clock(pool: SandboxPool) -> None:
    source = (
        SLEEP
        + """
    async function process() {
      const start = [Date.now(), performance.now()]
      for (let i = 0; i < 1e6; i++) start[2] = Date.now()
      await sleep(86_400_000)
      return [start, Date.now(), performance.now(), performance.timeOrigin,
              Temporal.Now.instant().epochMilliseconds, new Date().getTime()]
    }"""
    )
    ran = await run(pool, source, clock_ms=1_000, wall_ms=5_000)
    later = 86_401_000
    assert ran.value == [[1_000, 0, 1_000], later, 86_400_000, 1_000, later, later]


async def test_a_cleared_timer_does_not_run(pool: SandboxPool) -> None:
    source = (
        SLEEP
        + """
    async function process() {
      const seen = []
      const gone = setTimeout(() => seen.push('gone'), 5)
      const interval = setInterval(() => { if (seen.push('tick') === 3) clearInterval(interval) }, 10)
      const other = setTimeout(() => seen.push('other'), 7)
      setTimeout(() => clearTimeout(other), 6)
      clearTimeout(gone); clearTimeout(undefined); clearTimeout(12345); clearTimeout({}); clearTimeout()
      await sleep(1000)
      return [seen, typeof gone, gone > 0, Date.now()]
    }"""  # noqa: E501 - a script
    )
    ran = await run(pool, source, clock_ms=0)
    assert ran.value == [["tick", "tick", "tick"], "number", True, 1_000]


async def test_nested_timers_without_a_delay_advance_the_clock(pool: SandboxPool) -> None:
    source = (
        SLEEP + "async function process() {"
        " let n = 0; while (Date.now() < 100) { await sleep(0); n++ } return n > 20 }"
    )
    assert (await run(pool, source, clock_ms=0)).value is True


async def test_thousands_of_timers_keep_their_order(pool: SandboxPool) -> None:
    source = """
    const process = n => new Promise(done => {
      const seen = []
      for (let i = 0; i < n; i++)
        setTimeout(() => { seen.push((i * 7919) % n); if (seen.length === n)
          done(seen.every((at, i) => i === 0 || seen[i - 1] <= at)) }, (i * 7919) % n)
    })"""
    assert (await run(pool, source, b"3000")).value is True


@pytest.mark.parametrize(
    "body",
    [
        "return new Promise(() => {})",
        "setTimeout(() => {}, 10); return new Promise(() => {})",
        "const id = setInterval(() => clearInterval(id), 10); return new Promise(() => {})",
        "const id = setTimeout(() => {}, 10); clearTimeout(id); return new Promise(() => {})",
    ],
)
async def test_a_promise_that_no_timer_settles_fails_at_once(pool: SandboxPool, body: str) -> None:
    outcome = (await run(pool, f"function process() {{ {body} }}", wall_ms=60_000)).outcome
    assert isinstance(outcome, UnsettledPromise), outcome


async def test_an_endless_interval_exceeds_the_time_limit(pool: SandboxPool) -> None:
    source = "const process = () => new Promise(() => { setInterval(() => {}, 1000) })"
    assert isinstance((await run(pool, source, wall_ms=300)).outcome, TimedOut)


async def test_a_result_does_not_wait_for_timers(pool: SandboxPool) -> None:
    for result in ("1", "Promise.resolve(1)"):
        source = f"function process() {{ setInterval(() => console.log('x'), 1); return {result} }}"
        ran = await run(pool, source)
        assert (ran.outcome, ran.logs) == (Succeeded(output_bytes=1), ())


@pytest.mark.parametrize("queue", ["setTimeout(fail, 10)", "queueMicrotask(fail)"])
async def test_an_error_in_a_callback_fails_the_run(pool: SandboxPool, queue: str) -> None:
    source = f"""function process() {{
      const fail = () => {{ throw new TypeError('bad') }}
      {queue}
      return new Promise(() => {{}})
    }}"""
    error = (await run(pool, source)).error
    assert (error.name, error.message, error.line) == ("TypeError", "bad", 2)


async def test_timers_of_the_top_level_run_while_process_waits(pool: SandboxPool) -> None:
    source = """
    let done
    setTimeout(() => done(7), 5)
    const process = () => new Promise(settle => { done = settle })"""
    assert (await run(pool, source)).value == 7


@pytest.mark.parametrize("call", ["setTimeout('1')", "setInterval()", "queueMicrotask({})"])
async def test_a_callback_is_a_function(pool: SandboxPool, call: str) -> None:
    assert (await run(pool, f"const process = () => {call}")).error.name == "TypeError"


async def test_poisoned_globals_change_no_order(pool: SandboxPool) -> None:
    source = """
    const evil = () => { throw new Error('poisoned') }
    const { defineProperty } = Reflect
    const holders = [Array.prototype, Object.prototype, Promise.prototype, Function.prototype]
    const names = ['push', 'pop', 'sort', 'call', 'apply', 'callback', 'due', 'id', 0, 1,
                   Symbol.iterator, Symbol.species]
    const poison = { __proto__: null, get: evil, set: evil, configurable: true }
    for (let i = 0; i < holders.length; i++)
      for (let j = 0; j < names.length; j++) defineProperty(holders[i], names[j], poison)
    const seen = []
    let at = 0
    const note = name => { defineProperty(seen, at++, { __proto__: null, value: name, enumerable: true }) }
    async function process() {
      setTimeout(note, 20, 'b'); setTimeout(note, 10, 'a'); queueMicrotask(() => note('m'))
      const id = setInterval(() => { note('i'); clearInterval(id) }, 15)
      await new Promise(done => setTimeout(done, 30))
      return `${seen[0]}${seen[1]}${seen[2]}${seen[3]}`
    }"""  # noqa: E501 - a script
    ran = await run(pool, source)
    assert ran.output == b'"maib"', ran.outcome
