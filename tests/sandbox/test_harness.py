"""Scripts see a deterministic world without the harness, and cannot forge their outcome."""

import pytest

from app.sandbox.outcomes import InvalidResult, Succeeded
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import job, run, run_job

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_clock_stands_still_at_the_jobs_time(pool: SandboxPool) -> None:
    source = """
    function process() {
      class Later extends Date {}
      const now = 1600000000123
      const seen = [
        Date.now(), new Date().getTime(), new (new Date().constructor)().getTime(),
        new Later().getTime(), Temporal.Now.instant().epochMilliseconds,
        Temporal.Now.zonedDateTimeISO().epochMilliseconds,
        new Date(now).getTime(), Reflect.construct(Date, []).getTime(),
      ]
      return [
        seen.every(ms => ms === now), Date(), new Later() instanceof Later,
        new Later() instanceof Date, Date.UTC(2020, 0), new Date(2020, 0, 1).toISOString(),
        Temporal.Now.plainDateISO().toString(), Temporal.Now.timeZoneId(),
        Date.length, Date.name,
        new Intl.DateTimeFormat('en').format(),
        new Intl.DateTimeFormat('en', { year: 'numeric' }).formatToParts()[0].value,
        [0].map(new Intl.DateTimeFormat('en').format)[0],
      ]
    }"""
    ran = await run(pool, source, clock_ms=1_600_000_000_123)
    assert ran.value == [
        True,
        "Sun Sep 13 2020 12:26:40 GMT+0000 (Coordinated Universal Time)",
        True,
        True,
        1_577_836_800_000,
        "2020-01-01T00:00:00.000Z",
        "2020-09-13",
        "UTC",
        7,
        "Date",
        "9/13/2020",
        "2020",
        "1/1/1970",
    ]


async def test_the_seed_determines_random(pool: SandboxPool) -> None:
    source = "const process = n => Array.from({ length: n }, () => Math.random())"
    first, again, low, high = [
        (await run(pool, source, b"1000", seed=seed)).value for seed in (7, 7, 8, 7 + 2**32)
    ]
    assert isinstance(first, list)
    assert first == again
    assert first != low
    assert first != high
    assert all(0 <= draw < 1 for draw in first)
    assert 0.45 < sum(first) / len(first) < 0.55
    assert len(set(first)) == len(first)


async def test_seeds_may_be_zero_and_just_below_2_to_the_53(pool: SandboxPool) -> None:
    source = "const process = () => [Math.random(), Math.random()]"
    for seed in (0, 2**53 - 1):
        ran = await run(pool, source, seed=seed)
        assert isinstance(ran.value, list)
        assert ran.value[0] != ran.value[1]


async def test_a_run_leaves_nothing_for_the_next(pool: SandboxPool) -> None:
    source = """
    var count
    function process() {
      globalThis.left = (globalThis.left ?? 0) + 1
      Array.prototype.left = (Array.prototype.left ?? 0) + 1
      Object.left = (Object.left ?? 0) + 1
      count = (count ?? 0) + 1
      return [globalThis.left, [].left, Object.left, count]
    }"""
    for _ in range(3):
        assert (await run(pool, source)).value == [1, 1, 1, 1]


async def test_irreproducible_globals_are_removed(pool: SandboxPool) -> None:
    names = ["WebAssembly", "SharedArrayBuffer", "Atomics", "WeakRef", "FinalizationRegistry"]
    source = f"const process = () => {names}.filter(name => name in globalThis)"
    assert (await run(pool, source)).value == []


@pytest.mark.parametrize(
    "attempt",
    ["eval('1')", "Function('return 1')()", "(() => {}).constructor('return 1')()",
     "(async () => {}).constructor('return 1')()"],
)  # fmt: skip
async def test_code_from_strings_is_refused(pool: SandboxPool, attempt: str) -> None:
    error = (await run(pool, f"const process = () => {attempt}")).error
    assert error.name == "EvalError"


async def test_import_finds_nothing(pool: SandboxPool) -> None:
    source = "const process = () => import('fs').then(() => 'found', () => 'refused')"
    assert (await run(pool, source)).value == "refused"


async def test_the_harness_is_out_of_sight(pool: SandboxPool) -> None:
    source = """
    const before = Reflect.ownKeys(globalThis).map(String)
    function process() {
      const seen = []
      try { Error.prepareStackTrace = (e, frames) => frames } catch {}
      const stack = new Error('x').stack
      seen.push(typeof stack, String(stack).includes('harness'))
      seen.push(process.caller, typeof process.arguments)
      seen.push(before.filter(name => /harness|notify|input|output/i.test(name)))
      seen.push(this === undefined || this === globalThis)
      return seen
    }"""
    value = (await run(pool, source)).value
    assert value == ["string", False, None, "object", [], True]


POISON = """
const evil = () => { throw new Error('poisoned') }
const own = Reflect.ownKeys, define = Object.defineProperty
const holders = [Array.prototype, String.prototype, Object.prototype, Function.prototype,
                 RegExp.prototype, WeakMap.prototype, Promise.prototype, JSON, Reflect,
                 Math, Error.prototype, Number.prototype]
for (let i = 0; i < holders.length; i++) {
  const names = own(holders[i])
  for (let j = 0; j < names.length; j++)
    if (names[j] !== 'constructor' && names[j] !== 'then')
      try { define(holders[i], names[j], { value: evil, configurable: true }) } catch {}
}
"""


@pytest.mark.parametrize(
    ("ending", "output"),
    [("return { a: [1] }", b'{"a":[1]}'), ("return Promise.resolve(2)", b"2")],
)
async def test_poisoned_globals_change_no_verdict(
    pool: SandboxPool, ending: str, output: bytes
) -> None:
    # What JSON.stringify itself asks for, `toJSON` and `then`, stays as it was.
    ran = await run(pool, f"async function process() {{ {POISON}; {ending} }}")
    plain = await run(pool, f"function process() {{ {POISON}; return [3] }}")
    assert (ran.outcome, ran.output) == (Succeeded(output_bytes=len(output)), output)
    assert plain.output == b"[3]"


async def test_a_replaced_then_does_not_see_the_result(pool: SandboxPool) -> None:
    source = """
    async function process() {
      Promise.prototype.then = function () { throw new Error('seen') }
      return 2
    }"""
    assert (await run(pool, source)).output == b"2"


async def test_poisoned_globals_hide_no_error(pool: SandboxPool) -> None:
    source = f"function process() {{ {POISON}; null.x }}"
    error = (await run(pool, source)).error
    assert error.name in {"TypeError", "Error"}
    assert error.line is not None


async def test_setters_on_indexes_and_tojson_do_not_reach_the_harness(
    pool: SandboxPool,
) -> None:
    source = """
    function process() {
      for (const index of [0, 1, 2, 'kind', 'error', 'name', 'message', 'toJSON', 'line'])
        Object.defineProperty(Object.prototype, index, {
          set() { throw new Error('set') }, get() { return undefined }, configurable: true })
      return undefined
    }"""
    ran = await run(pool, source)
    assert isinstance(ran.outcome, InvalidResult), ran.outcome


async def test_the_same_job_gives_the_same_bytes(pool: SandboxPool) -> None:
    source = (
        "const process = d => ({ d, at: new Date(), r: Math.random(),"
        " l: (1234.5).toLocaleString(), z: Intl.DateTimeFormat().resolvedOptions().timeZone })"
    )
    outputs = {(await run_job(pool, job(source), b'{"b":1,"a":2}')).output for _ in range(3)}
    assert len(outputs) == 1
