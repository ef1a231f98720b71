"""The console shows values as they are, formats lines, and has the methods of other hosts."""

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _lines(pool: SandboxPool, body: str) -> list[str]:
    ran = await run(pool, f"async function process() {{ {body}\nreturn 1 }}")
    assert ran.output == b"1", ran.outcome
    return [f"{line.level} {line.text}" for line in ran.logs]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("new Map([[1, 'a'], [{ k: 2 }, [3]]])", 'Map(2) {1 => "a", {"k":2} => [3]}'),
        ("new Set(['x', new Set()])", 'Set(2) {"x", Set(0) {}}'),
        ("{ deep: [new Map([['k', undefined]])] }", '{"deep":[Map(1) {"k" => undefined}]}'),
        ("new (class Point { x = 1; y = -0 })()", 'Point {"x":1,"y":-0}'),
        ("new Uint8Array([1, 2])", "Uint8Array(2) [1,2]"),
        ("[new ArrayBuffer(8), new DataView(new ArrayBuffer(1))]",
         "[ArrayBuffer(8) {},DataView {}]"),
        ("{ a: NaN, b: undefined, c: 1n, d: Symbol('s'), e() {} }",
         '{"a":NaN,"b":undefined,"c":1n,"d":Symbol(s),"e":[Function: e]}'),
        ("[class A {}, () => {}, /x/g, Promise.resolve(1), new WeakMap()]",
         "[[class A],[Function],/x/g,Promise {},WeakMap {}]"),
        ("[new TypeError('bad')]", "[[TypeError: bad]]"),
        ("[new Date(0), new Date(NaN)]", '["1970-01-01T00:00:00.000Z",Invalid Date]'),
        ("(function* () {})()", "Object [Generator] {}"),
        ("{ toJSON: () => 'own' }", '"own"'),
        ("Object.create(null)", "{}"),
        ("Object.assign(Object.create({ [Symbol.toStringTag]: 'Map' }), { a: 1 })", '{"a":1}'),
        ("new URL('https://a.example/b')", '"https://a.example/b"'),
    ],
)  # fmt: skip
async def test_a_value_is_shown_as_it_is(pool: SandboxPool, value: str, text: str) -> None:
    assert await _lines(pool, f"console.log({value})") == [f"log {text}"]


async def test_cycles_and_deep_nesting_are_cut(pool: SandboxPool) -> None:
    body = """
    const map = new Map(); map.set('self', map); console.log(map)
    let deep = 1; for (let i = 0; i < 1e5; i++) deep = [deep]; console.log(deep)
    console.log(Array.from({ length: 1e6 }, () => ({ a: 1 })))"""
    circle, deep, long = await _lines(pool, body)
    assert circle == 'log Map(1) {"self" => [Circular]}'
    assert deep == f"log {'[' * 13}[Array]{']' * 13}"
    assert len(long) < 4_200


async def test_an_error_shows_its_stack_and_its_cause(pool: SandboxPool) -> None:
    body = "console.error(new TypeError('bad', { cause: new Error('why') }))"
    (line,) = await _lines(pool, body)
    assert line.startswith("error TypeError: bad\n    at process (process.js:1:")
    assert "\n  [cause]: Error: why\n    at process (process.js:1:" in line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("'%s is %d years, %i or %f', 'Bob', 42.5, 42.9, '1.5x'", "Bob is 42.5 years, 42 or 1.5"),
        ("'%o %O %j', { a: [1] }, new Set([1]), { b: undefined }", '{"a":[1]} Set(1) {1} {}'),
        ("'%c styled %s', 'color: red', 1", " styled 1"),
        ("'100%% %s%', 'x'", "100% x%"),
        ("'100%%'", "100%%"),
        ("'%s %s', 'one'", "one %s"),
        ("'a', '%s', 1", "a %s 1"),
        ("'%x %s', 1, 2", "%x 1 2"),
        ("'%d %d %i', 1n, Symbol(), '7px'", "1n NaN 7"),
        ("'%s', { toString() { throw 1 } }", '{"toString":[Function: toString]}'),
        ("'%j', (o => (o.o = o))({})", "[Circular]"),
        ("1, '%s', 2", "1 %s 2"),
    ],
)
async def test_a_line_is_formatted(pool: SandboxPool, arguments: str, text: str) -> None:
    assert await _lines(pool, f"console.log({arguments})") == [f"log {text}"]


async def test_groups_counters_and_timers(pool: SandboxPool) -> None:
    body = """
    console.count(); console.count('x'); console.count(); console.countReset(); console.count()
    console.group('outer'); console.log('a\\nb'); console.groupCollapsed(); console.warn('c')
    console.groupEnd(); console.groupEnd(); console.groupEnd(); console.log('d')
    console.time('t'); await new Promise(done => setTimeout(done, 250)); console.timeLog('t', 1)
    console.timeEnd('t'); console.timeEnd('t'); console.assert(true, 'no'); console.assert(1 > 2)
    console.assert(false, 'sum is %d', 3); console.assert(false, { a: 1 }); console.dir({ a: 1 })
    console.countReset('never')"""
    assert await _lines(pool, body) == [
        *("log default: 1", "log x: 1", "log default: 2", "log default: 1"),
        *("log outer", "log   a\n  b", "warn     c", "log d"),
        *("log t: 250ms 1", "log t: 250ms", "warn Timer 't' does not exist"),
        *("error Assertion failed", "error Assertion failed: sum is 3"),
        *(
            'error Assertion failed: {"a":1}',
            'log {"a":1}',
            "warn Count for 'never' does not exist",
        ),
    ]


async def test_a_table_is_drawn(pool: SandboxPool) -> None:
    body = """
    console.table([{ a: 1, b: 'x' }, 7]); console.table({ k: { a: 1, b: 2 } }, ['b'])
    console.table(5)"""
    first, second, third = await _lines(pool, body)
    assert first.split("\n") == [
        "log ┌─────────┬───┬─────┬────────┐",
        "│ (index) │ a │ b   │ Values │",
        "├─────────┼───┼─────┼────────┤",
        '│ 0       │ 1 │ "x" │        │',
        "│ 1       │   │     │ 7      │",
        "└─────────┴───┴─────┴────────┘",
    ]
    assert second.split("\n")[3] == "│ k       │ 2 │"
    assert third == "log 5"


@pytest.mark.parametrize(
    "rows",
    [
        """Array.from({ length: 200 }, (_, r) =>
             Object.fromEntries(Array.from({ length: 200 }, (_, c) => ['k' + r + '_' + c, c])))""",
        "Array.from({ length: 200 }, (_, r) => ({ ['k'.repeat(1e5) + r]: 'x'.repeat(1e6) }))",
        "[{}], Array.from({ length: 1e6 }, (_, c) => c)",
    ],
)
async def test_only_visible_cells_of_a_table_are_visited(pool: SandboxPool, rows: str) -> None:
    body = f"for (let i = 0; i < 20; i++) console.table({rows}); return 1"
    ran = await run(pool, f"const process = () => {{ {body} }}", wall_ms=5_000)
    assert ran.output == b"1", ran.outcome
    assert len(ran.logs) == 20
    assert all("┌─────────┬" in line.text and line.text.endswith("…") for line in ran.logs)
