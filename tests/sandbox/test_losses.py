"""Values that a result loses in JSON are reported with their path; the output is unchanged."""

import pytest

from app.losses import warnings_document
from app.sandbox.outcomes import Succeeded
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("result", "losses"),
    [
        ("[1, 2].map(async x => x)", [("promise", "result[0]")]),
        ("({ rows: [0, { at: Promise.resolve(1) }] })", [("promise", "result.rows[1].at")]),
        ("({ a: new Map([[1, 2]]), 'b c': new Set([1]) })",
         [("map", "result.a"), ("set", 'result["b c"]')]),
        ("new Map", [("map", "result")]),
        ("(function* () { yield 1 })()", [("iterator", "result")]),
        ("({ a: (async function* () {})() })", [("iterator", "result.a")]),
        ("({ a: [1].values(), b: new Map().entries(), c: Iterator.from([1]).map(x => x) })",
         [("iterator", "result.a"), ("iterator", "result.b"), ("iterator", "result.c")]),
        ("({ error: new TypeError('x') })", [("error", "result.error")]),
        ("[/x/]", [("regexp", "result[0]")]),
        ("[new Uint8Array(2), new ArrayBuffer(2), new DataView(new ArrayBuffer(2))]",
         [("buffer", "result[0]")]),
        ("({ a: new (class { #x = 1; get x() { return this.#x } }), b: new WeakMap })",
         [("opaque", "result.a"), ("opaque", "result.b")]),
        ("({ a: NaN, b: [1, -Infinity] })",
         [("not_finite", "result.a"), ("not_finite", "result.b[1]")]),
        ("NaN", [("not_finite", "result")]),
        ("[1, undefined, () => 1, Symbol()]", [("no_value", "result[1]")]),
        ("[[1,, 2]]", [("no_value", "result[0][1]")]),
        ("Array.from({ length: 99 }, (_, i) => ({ a: new Set, b: [NaN] }))",
         [("set", "result[0].a"), ("not_finite", "result[0].b[0]")]),
        ("Object.fromEntries(Array.from({ length: 99 }, (_, i) => ['k' + i, new Map]))",
         [("map", f"result.k{i}") for i in range(10)]),
        ("({ ['\\ud800']: new Map })", [("map", 'result["\\ud800"]')]),
    ],
)  # fmt: skip
async def test_a_loss_is_reported(
    pool: SandboxPool, result: str, losses: list[tuple[str, str]]
) -> None:
    ran = await run(pool, f"const process = () => {result}")

    assert isinstance(ran.outcome, Succeeded)
    assert [(loss.code, loss.path) for loss in ran.report.losses] == losses
    assert warnings_document(ran.report) is not None


@pytest.mark.parametrize(
    "result",
    [
        "({ a: {}, b: [], c: null, d: [null, {}], e: Object.create(null) })",
        "({ a: undefined, f() {}, [Symbol()]: 1 })",
        "({ a: new Date(0), b: Temporal.Instant.from('2020-01-01T00Z') })",
        "({ a: { toJSON: () => ({}) }, b: new (class { toJSON() { return null } }) })",
        "({ a: new (class { x = 1 }), b: Object('x'), c: Object(1) })",
        "({ '0': 1, a: null, b: Object.assign([], { x: new Map }) })",
        "({ a: null, get b() { return null } })",
        "({ a: null, b: Object.defineProperty({ c: 1 }, 'hidden', { value: new Map }) })",
        "Promise.resolve([null])",
        "JSON.parse('[null, {\"__proto__\": null}]')",
    ],
)
async def test_a_json_value_is_no_loss(pool: SandboxPool, result: str) -> None:
    ran = await run(pool, f"const process = () => ({result})")

    assert isinstance(ran.outcome, Succeeded)
    assert ran.report.losses == ()
    assert warnings_document(ran.report) is None


@pytest.mark.parametrize(
    "prelude",
    [
        "Object.defineProperty(Map.prototype, Symbol.toStringTag, { value: 'Object' })",
        "Object.setPrototypeOf(Map.prototype, null)",
        "Object.defineProperty(Map.prototype, 'size', { get() { throw 1 } })",
        "Object.prototype.code = Array.prototype.push = Object.keys = Reflect.ownKeys = 1",
        "Map.prototype.constructor = Object; JSON.stringify = Array.isArray = () => false",
        (
            "for (const key of ['value', 'get', 'place', 'keys', 'up'])"
            "Object.defineProperty(Object.prototype, key,"
            "{ __proto__: null, get() {}, set() { throw 1 } })"
        ),
    ],
)
async def test_no_prelude_hides_or_forges_a_loss(pool: SandboxPool, prelude: str) -> None:
    fake = "{ [Symbol.toStringTag]: 'Map', size: 1, __proto__: { constructor: Map, x: 1 }, y: {} }"
    source = f"const M = Map; {prelude}; const process = () => [[new M([[1, 2]])], {fake}]"
    ran = await run(pool, source)

    assert ran.output == b'[[{}],{"size":1,"y":{}}]'
    assert [(loss.code, loss.path) for loss in ran.report.losses] == [("map", "result[0][0]")]


@pytest.mark.parametrize(
    "trap",
    ["for (;;);", "throw 1", "console.log('x'); return null", "while (true) new Array(1e6)"],
)
@pytest.mark.parametrize("size", [1, 100_000])
async def test_traps_do_not_change_a_success(pool: SandboxPool, trap: str, size: int) -> None:
    """JSON.stringify asks a proxy for no prototype: only the look for losses does."""
    source = f"""const process = () => [
      null, 'x'.repeat({size}), new Proxy({{}}, {{ getPrototypeOf() {{ {trap} }} }}),
    ]"""
    ran = await run(pool, source)

    assert ran.outcome == Succeeded(output_bytes=len(ran.output))
    assert ran.output == b'[null,"' + b"x" * size + b'",{}]'
    assert (ran.logs, ran.report.lines_dropped) == ((), 0)
    assert (await run(pool, "const process = () => 1")).output == b"1"


async def test_a_large_result_is_searched_too(pool: SandboxPool) -> None:
    source = """const process = () => {
      const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, name: 'x'.repeat(200) }))
      rows.push({ id: new Map })
      return rows
    }"""
    ran = await run(pool, source)

    assert len(ran.output) > 4 * MIB
    assert [(loss.code, loss.path) for loss in ran.report.losses] == [("map", "result[20000].id")]


async def test_long_keys_hide_no_loss(pool: SandboxPool) -> None:
    source = """const process = () => {
      const key = '-'.repeat(1e6)
      return Array.from({ length: 10 }, (_, n) => {
        let place = { ['z' + n]: new Map }
        for (let i = 0; i < 20; i++) place = { [key + i]: place }
        return { ['q' + n]: place }
      })
    }"""
    ran = await run(pool, source, output_bytes=512 * MIB)

    assert [loss.code for loss in ran.report.losses] == ["map"] * 10
    assert {len(loss.path) for loss in ran.report.losses} == {500}
