"""The same job gives the same bytes in any cell and any environment of the service."""

import asyncio

import pytest

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import Isolation
from tests.support.sandbox_runs import job, run, run_job

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Everything that was found to vary, or might, between two processes, two isolates or two tiers
# of compilation: each observation ends up in the output's bytes.
OBSERVATIONS = """
class Later extends Date {}
const hot = (times, step) => { let x = 0; for (let i = 0; i < times; i++) x = step(x, i); return x }
const bits = number => [...new Uint32Array(new Float64Array([number]).buffer)]
const order = async () => {
  const seen = []
  const note = name => () => { seen.push(name) }
  const thenable = { then(done) { seen.push('then'); done() } }
  Promise.resolve().then(note(1)).then(note(2))
  ;(async () => { await null; note(3)(); await thenable; note(4)() })()
  Promise.reject(0).catch(note(5)).finally(note(6))
  for await (const name of (async function* () { yield 7; yield 8 })()) note(name)()
  await Promise.allSettled([thenable, Promise.race([thenable])])
  return seen
}
const stackOf = attempt => { try { attempt(); return null } catch (error) { return error.stack } }
const observations = {
  dates: () => [Date(), Date.now(), new Date(), new Later(), new Date().toString(),
                new Date().toLocaleString(), new Date(2020, 6, 1).getTimezoneOffset(),
                new Date(2020, 6, 1, 12).toISOString(), Date.parse('1 Jan 50'), new Date(1e12)],
  temporal: () => [Temporal.Now.instant(), Temporal.Now.plainDateTimeISO(), Temporal.Now.timeZoneId(),
                   Temporal.Now.zonedDateTimeISO('Asia/Kolkata'), Temporal.Now.plainTimeISO()],
  intl: () => [Intl.DateTimeFormat().resolvedOptions(), Intl.NumberFormat().resolvedOptions(),
               new Intl.DateTimeFormat('de', { dateStyle: 'full', timeStyle: 'full' }).format(),
               new Intl.DateTimeFormat('ja').formatToParts(), (1234567.891).toLocaleString(),
               new Intl.Collator().resolvedOptions().locale, 'I\\u0307'.toLocaleLowerCase(),
               ['ä', 'z', 'a', 'Z', 'é'].sort((a, b) => a.localeCompare(b)),
               new Intl.ListFormat().format(['a', 'b']), new Intl.PluralRules().select(2),
               new Intl.RelativeTimeFormat('pt').format(-1, 'day'),
               [...new Intl.Segmenter().segment('añ👩‍👧')].map(part => part.segment),
               Intl.supportedValuesOf('timeZone').length, new Intl.DisplayNames('fr', { type: 'region' }).of('DE')],
  random: () => Array.from({ length: 50 }, Math.random),
  globals: () => [Reflect.ownKeys(globalThis).map(String), typeof gc, typeof Atomics, typeof WeakRef],
  web: () => [crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(40)), performance.now(),
              performance.timeOrigin, new URL('http://ü.example/?ä').href, btoa('x'),
              new TextDecoder('gbk').decode(new Uint8Array([0xba, 0xba])), structuredClone(new Date()),
              stackOf(() => new URL('x')), stackOf(() => atob('x')), stackOf(() => setTimeout(1))],
  keys: () => {
    const held = {}, map = new Map(), set = new Set()
    for (let i = 0; i < 3000; i++) {
      const key = 'k' + (i * 7919 % 3001)
      held[key] = held[i * 31 % 977] = i
      map.set(key, i); set.add(key)
      if (i % 3 === 0) { delete held['k' + i]; map.delete('k' + i); set.delete('k' + i) }
    }
    return [Object.keys(held).join(), [...map.keys()].join(), [...set].join(),
            Object.keys(Object.groupBy(Object.keys(held), key => key.length))]
  },
  numbers: () => [Math.sin(1e22), Math.tan(5.5), Math.exp(1.1), Math.pow(2.1, 3.3), Math.cbrt(7),
                  Math.atan2(1, 3), Math.hypot(3.3, 4.4), Math.expm1(1e-9), 0.1 + 0.2, 1e21, 5e-324,
                  (25.005).toFixed(2), (1 / 3).toString(3), 123.456.toPrecision(4), Math.f16round(0.1),
                  Math.sumPrecise ? Math.sumPrecise([1e20, 0.1, -1e20]) : null],
  tiers: () => [hot(3e5, (x, i) => x + Math.sin(i) * Math.pow(i, 0.3)), hot(3e5, (x, i) => (x * 31 + i) | 0),
                bits(0 / hot(1e5, x => x)), bits(hot(1e5, x => x - x + NaN)), bits(-NaN), bits(Infinity - Infinity),
                bits(hot(2e5, (x, i) => Math.sqrt(-1 - i))), bits(Number('x')), bits(NaN ** 2)],
  sorting: () => [Array.from({ length: 999 }, (_, i) => i).sort((a, b) => a % 7 - b % 7).join(),
                  Array.from({ length: 99 }, (_, i) => i * 37 % 101).sort((a, b) => (a ^ b) & 1 ? 1 : -1),
                  [3, 1, 2].toSorted(() => 0), ['b', undefined, , 'a'].sort()],
  errors: () => [stackOf(() => null.x), stackOf(() => JSON.parse('{"a":}')), stackOf(() => [].reduce(x => x)),
                 stackOf(() => { throw new AggregateError([1], 'm', { cause: 2 }) }), stackOf(() => 1n + 1),
                 stackOf(() => [1].map(() => undefined())), stackOf(() => new Array(-1)), stackOf(() => 'x'.repeat(-1)),
                 stackOf(() => decodeURIComponent('%')), stackOf(() => { (function f() { f() })() }).split('\\n')[0]],
  texts: () => ['ß'.toUpperCase(), 'ﬃ'.normalize('NFKD'), (() => 1).toString(), Date.toString(), String(Symbol('s')),
                /(?<year>\\d{4})/.exec('in 2020').groups.year, 'aXbX'.replaceAll(/x/gi, (m, at) => at), escape('é€')],
  buffers: () => [new Uint8Array(64), new Uint32Array(8), new ArrayBuffer(16, { maxByteLength: 32 }).maxByteLength,
                  new Uint8Array(new Float32Array([1.1, -0, NaN]).buffer), new Uint8Array(32).toBase64 ? 1 : 0],
  weak: () => { const key = {}, map = new WeakMap([[key, 1]]); return [map.get(key), map.has({}), String(map)] },
}
const timed = async () => {
  const seen = []
  const tick = setInterval(() => { seen.push(Date.now(), performance.now()) }, 7)
  for (const ms of [9, 3, 3.5, 20, 0, -1, 'x', 2 ** 32]) setTimeout(() => { seen.push(ms) }, ms)
  await new Promise(done => setTimeout(done, 30))
  clearInterval(tick)
  return [...seen, new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(9)))]
}
async function process(data) {
  const seen = { data, order: await order(), timed: await timed() }
  for (const [name, observe] of Object.entries(observations)) seen[name] = observe()
  for (const level of ['log', 'info', 'error', 'table']) console[level](level, seen.random[0], new Error(level))
  console.time(); console.timeEnd(); console.count()
  return seen
}"""  # noqa: E501 - a list, one observation after the other
PAYLOAD = b'{"b": 1, "a": [2.50, 1e400, "\\ud800"], "10": 0, "9": {}}'


async def test_fresh_and_used_cells_give_the_same(pool: SandboxPool) -> None:
    what = job(OBSERVATIONS, seed=9)
    ran = [await run_job(pool, what, PAYLOAD) for _ in range(12)]
    assert len(ran[0].output) > 10_000, ran[0].outcome
    assert len({one.output for one in ran}) == 1
    assert len({one.logs for one in ran}) == 1
    async with open_pool(PoolConfig(cells=2, warm=0, isolation=Isolation.PROCESS)) as fresh:
        for _ in range(6):
            one = await run_job(fresh, what, PAYLOAD)
            assert (one.output, one.logs) == (ran[0].output, ran[0].logs)


async def test_load_on_the_machine_changes_nothing(pool: SandboxPool) -> None:
    what = job(OBSERVATIONS, seed=9)
    ran = await asyncio.gather(*(run_job(pool, what, PAYLOAD) for _ in range(8)))
    assert len({(one.output, one.logs) for one in ran}) == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo"},
        {"LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr", "TZ": "America/New_York"},
        {"LC_ALL": "C", "TZ": "", "NODE_ICU_DATA": "/nowhere", "ICU_TIMEZONE_FILES_DIR": "/"},
    ],
)
async def test_the_environment_of_the_service_changes_nothing(
    pool: SandboxPool, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    what = job(OBSERVATIONS, seed=9)
    expected = await run_job(pool, what, PAYLOAD)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with open_pool(PoolConfig(cells=1, warm=0)) as elsewhere:
        assert (await run_job(elsewhere, what, PAYLOAD)).output == expected.output


async def test_locale_and_time_zone_are_fixed(pool: SandboxPool) -> None:
    source = """const process = () => {
      const { locale, timeZone } = Intl.DateTimeFormat().resolvedOptions()
      return [locale, timeZone, new Date(0).getTimezoneOffset(), new Date(0).toLocaleString()]
    }"""
    expected = ["en-US", "UTC", 0, "1/1/1970, 12:00:00 AM"]
    assert (await run(pool, source)).value == expected


@pytest.mark.parametrize(("seed", "clock_ms"), [(10, 5), (9, 6)])
async def test_another_seed_or_clock_is_visible(
    pool: SandboxPool, seed: int, clock_ms: int
) -> None:
    # Or else the comparisons above would prove nothing.
    one = await run(pool, OBSERVATIONS, PAYLOAD, seed=9, clock_ms=5)
    other = await run(pool, OBSERVATIONS, PAYLOAD, seed=seed, clock_ms=clock_ms)
    assert one.output != other.output
