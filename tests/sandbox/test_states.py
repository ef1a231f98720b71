"""A state crosses the parts of a run exactly, or is refused with the place of the reason."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import InvalidResult, Succeeded
from app.sandbox.parts import Part, Task
from app.sandbox.pool import SandboxPool, open_pool
from tests.support.sandbox_runs import job
from tests.support.sandbox_streams import stream

FOLD, MERGE = Part(task=Task.FOLD), Part(task=Task.MERGE)
RESULT = Part(task=Task.FOLD, finish=True)
MERGED_RESULT = Part(task=Task.MERGE, finish=True)

# Describes a graph of values with everything that must cross: kinds, order, identity, bits.
DESCRIBE = """
const describe = root => {
  const seen = new Map(), lines = [];
  const hex = (b, at, n) => Array.from(new Uint8Array(b, at, n), x => x.toString(16)).join();
  const see = v => {
    if (typeof v === 'number') return Object.is(v, -0) ? '-0' : `${v}`;
    if (typeof v === 'bigint') return `${v}n`;
    if (v === null || typeof v !== 'object') return `${JSON.stringify(v)}`;
    if (seen.has(v)) return `#${seen.get(v)}`;
    const id = seen.size;
    seen.set(v, id);
    const kind = Object.getPrototypeOf(v) === null ? 'bare' : v.constructor.name;
    let inside;
    if (v instanceof Map) inside = [...v].map(([k, x]) => `${see(k)}=>${see(x)}`);
    else if (v instanceof Set) inside = [...v].map(see);
    else if (v instanceof Date) inside = see(v.getTime());
    else if (v instanceof ArrayBuffer) {
      inside = `${v.resizable && v.maxByteLength}:${hex(v, 0, v.byteLength)}`;
    } else if (ArrayBuffer.isView(v)) inside = [see(v.buffer), v.byteOffset, v.byteLength];
    else {
      inside = Reflect.ownKeys(v).map(k => k === 'length' ? v[k]
        : `${JSON.stringify(k)}:${see(Object.getOwnPropertyDescriptor(v, k).value)}`);
    }
    lines[id] = `#${id} ${kind} ${inside}`;
    return `#${id}`;
  };
  return [see(root), ...lines];
};
"""
KEEP = """
const kept = [];
const keep = made => (kept.push(made), made);
const again = at => kept.length ? kept[at % kept.length] : null;
const link = (from, to) => {
  const holder = again(from), target = again(to);
  if (Array.isArray(holder)) holder.push(target);
  else if (holder instanceof Map) holder.set(target, holder);
  else if (holder instanceof Set) holder.add(target);
  else if (holder && [Object.prototype, null].includes(Object.getPrototypeOf(holder))) {
    holder.link = target;
  }
};
"""
# Replaces what the harness could be tempted to use.
VANDALS = """
const vandalise = Object.defineProperty, plan = [];
for (const holder of [Array, Map, Set, Date, String, Number, BigInt, Object, Function, RegExp,
    ArrayBuffer, DataView, Uint8Array, Object.getPrototypeOf(Uint8Array), WeakMap]) {
  for (const at of [holder, holder.prototype]) {
    for (const name of Reflect.ownKeys(at)) {
      const found = Object.getOwnPropertyDescriptor(at, name);
      if (!found.configurable || name === '__proto__') continue;
      const bad = () => { throw new Error(`vandal: ${String(name)}`) };
      if ('value' in found) found.value = typeof found.value === 'function' ? bad : found.value;
      else found.get = found.set = bad;
      Object.setPrototypeOf(found, null);
      plan.push([at, name, found]);
    }
  }
}
for (const name of ['value', 'get', 'next', 'up', 'key', 'toJSON', 'then', '0', '1', 'link']) {
  const set = () => { throw new Error('set') };
  plan.push([Object.prototype, name, { __proto__: null, get: () => 7, set, configurable: true }]);
}
for (const name of ['Map', 'Set', 'Date', 'BigInt', 'Uint8Array', 'ArrayBuffer', 'WeakMap', 'JSON',
    'Reflect', 'Array', 'String', 'DataView', 'Float64Array', 'Object']) {
  plan.push([globalThis, name, { __proto__: null, value: undefined }]);
}
for (let i = 0; i < plan.length; i++) vandalise(plan[i][0], plan[i][1], plan[i][2]);
"""

integers = st.integers(-(2**53), 2**53).map(str)
bigs = st.integers(-(2**200), 2**200).map(lambda n: f"{n}n")
floats = st.floats().map(
    lambda f: {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(f), repr(f))
)
texts = st.text(st.characters(), max_size=5).map(json.dumps)
plain = st.sampled_from(["undefined", "null", "true", "false", "-0", "'\\ud800'", "'__proto__'"])
octets = st.binary(max_size=9).map(list)
buffers = st.builds(
    lambda data, room: f"keep(new Uint8Array({data}).buffer)" if room is None
    else f"keep(new ArrayBuffer({len(data)}, {{ maxByteLength: {len(data) + room} }}))",
    octets, st.none() | st.integers(0, 5),
)  # fmt: skip
views = st.builds(
    lambda data, name: f"keep(new {name}(new Uint8Array({[1, *data] * 16}).buffer, 8, 1))",
    octets,
    st.sampled_from(["Uint8Array", "Float64Array", "BigInt64Array", "DataView", "Float16Array"]),
)
dates = st.integers(-(8 * 10**15), 8 * 10**15).map(lambda ms: f"keep(new Date({ms}))")
leaves = st.one_of(
    integers, bigs, floats, texts, plain, buffers, views, dates, st.just("keep(new Date(NaN))"),
    st.integers(0, 50).map(lambda at: f"again({at})"),
)  # fmt: skip


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(texts, inner), max_size=4)
    lists = st.lists(inner, max_size=4)
    return st.one_of(
        lists.map(lambda each: f"keep([{','.join(each)}])"),
        # A trailing comma after a hole.
        lists.map(lambda each: f"keep([{',,'.join(each)},,])"),
        lists.map(lambda each: f"keep(new Set([{','.join(each)}]))"),
        pairs.map(lambda each: f"keep({{{','.join(f'[{k}]:{v}' for k, v in each)}}})"),
        pairs.map(
            lambda each: f"keep({{__proto__:null,{','.join(f'[{k}]:{v}' for k, v in each)}}})"
        ),
        st.lists(st.tuples(inner, inner), max_size=4).map(
            lambda each: f"keep(new Map([{','.join(f'[{k},{v}]' for k, v in each)}]))"
        ),
    )


graphs = st.tuples(
    st.recursive(leaves, containers, max_leaves=12),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=4),
)


EVERYTHING = """keep({
  numbers: [-0, 0, NaN, Infinity, -Infinity, 2 ** 53, 1e21, 5e-324, -1.5],
  bigs: [0n, -1n, 2n ** 70n, -(2n ** 70n)], none: undefined, texts: ['\\ud800', 'é日\\u0000'],
  ['__proto__']: keep(new Map([[NaN, -0], [keep(new Set([undefined, 1n])), again(0)]])),
  list: keep([, 1, , undefined]), empty: keep([,,]), 2: 1, 1: 2, dates: [keep(new Date(NaN))],
  views: (b => [b, new Uint8Array(b, 1, 2), new Float64Array(b), new DataView(b, 3)])(
    new Float64Array([NaN, -0, 1]).buffer),
})"""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_pool(runner: asyncio.Runner) -> Iterator[SandboxPool]:
    context = open_pool(PoolConfig(cells=1, warm=1))
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs)
@example(graph=(EVERYTHING, [(0, 0), (2, 3), (3, 2), (4, 5)]))
def test_a_state_crosses_exactly(
    runner: asyncio.Runner, shared_pool: SandboxPool, graph: tuple[str, list[tuple[int, int]]]
) -> None:
    expression, links = graph
    made = f"{KEEP} const value = {expression}; {';'.join(f'link{pair}' for pair in links)};"
    # An undefined state is refused, so it is wrapped.
    origin = f"{DESCRIBE} {made} const start = () => ({{ value }}), step = s => s;"

    async def cross() -> tuple[object, object, bytes, bytes]:
        described = await stream(
            shared_pool, job(f"{origin} const finish = s => describe(s.value);"), RESULT
        )
        sent = await stream(shared_pool, job(f"{origin} {VANDALS}"), FOLD)
        assert isinstance(sent.report.outcome, Succeeded), (sent.report, expression)
        state = sent.output
        again = await stream(
            shared_pool, job(f"const merge = (a, b) => b; {VANDALS}"), MERGE, states=[state, state]
        )
        received = await stream(
            shared_pool,
            job(f"{DESCRIBE} const finish = s => describe(s.value);"),
            MERGED_RESULT,
            states=[state],
        )
        return described.value, received.value, state, again.output

    described, received, state, again = runner.run(cross())
    assert received == described
    assert again == state


REFUSED = {
    "() => 1": "state is a function",
    "[1, { a: Symbol() }]": "state[1].a is a symbol",
    "{ a: [new (class X {})()] }": "state.a[0] is an instance of a class",
    "new (class extends Map {})()": "state is an instance of a class",
    "Object.create(Map.prototype)": "state is an instance of a class",
    "/x/": "state is an instance of a class",
    "Promise.resolve": "state is a function",
    "{ get a() { return 1 } }": "state has an accessor: a",
    "{ [Symbol.iterator]: 1 }": "state has a symbol for a key",
    "Object.assign([1], { x: 1 })": "state has a property beside its elements: x",
    "new Map([[{ f() {} }, 1]])": "state<0>.f is a function",
    "Object.assign(new Date(0), { x: 1 })": "state has properties of its own",
    "(b => (b.transfer(), b))(new ArrayBuffer(2))": "state is a detached buffer",
    "new Uint8Array(new ArrayBuffer(2, { maxByteLength: 4 }))":
        "state is a view of a resizable buffer",
    "undefined": "start returned undefined; did it forget `return`?",
}  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_what_cannot_cross_is_refused_with_its_place(pool: SandboxPool) -> None:
    found = {}
    for expression, reason in REFUSED.items():
        source = f"const start = () => ({expression}), step = s => s"
        ran = await stream(pool, job(source), FOLD)
        assert isinstance(ran.report.outcome, InvalidResult), ran
        suffix = "" if expression == "undefined" else ", which cannot cross parts"
        found[expression] = ran.report.outcome.message.removesuffix(suffix)
        assert reason in found[expression]
    assert found == REFUSED


@pytest.mark.asyncio(loop_scope="module")
async def test_a_long_chain_crosses(pool: SandboxPool) -> None:
    source = """
    const start = () => { let s = null; for (let i = 0; i < 200000; i++) s = { i, s }; return s };
    const step = s => s;
    const finish = s => { let n = 0; for (; s; s = s.s) n++; return n };
    """
    state = (await stream(pool, job(source), FOLD)).output
    assert (await stream(pool, job(source), MERGED_RESULT, states=[state])).value == 200_000
