"""Scripts cannot tell the harness's stand-ins from V8's own functions."""

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What V8 says of its own functions, measured without the harness.
SHAPES = {
    "Date": ("Date", 7, "length,name,prototype,now,parse,UTC"),
    "Error": (
        "Error",
        1,
        "length,name,prototype,captureStackTrace,isError,stackTraceLimit,prepareStackTrace",
    ),
    "Error.captureStackTrace": ("captureStackTrace", 2, "length,name"),
    "Date.now": ("now", 0, "length,name"),
    "Math.random": ("random", 0, "length,name"),
    "Temporal.Now.instant": ("instant", 0, "length,name"),
    "Temporal.Now.plainDateISO": ("plainDateISO", 0, "length,name"),
    "Temporal.Now.zonedDateTimeISO": ("zonedDateTimeISO", 0, "length,name"),
    "Intl.DateTimeFormat.prototype.formatToParts": ("formatToParts", 1, "length,name"),
    "Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format').get": (
        "get format",
        0,
        "length,name",
    ),
    "new Intl.DateTimeFormat().format": ("", 1, "length,name"),
    "console.log": ("log", 0, "length,name"),
    "console.context": ("context", 1, "length,name"),
}


@pytest.fixture(scope="module")
def shapes_source() -> str:
    looks = (
        "f => [f.name, f.length, Reflect.ownKeys(f).join(), Function.prototype.toString.call(f)]"
    )
    return f"const process = () => [{', '.join(SHAPES)}].map({looks})"


async def test_replaced_functions_look_native(pool: SandboxPool, shapes_source: str) -> None:
    native = "function () { [native code] }"
    expected = [[*shape, native] for shape in SHAPES.values()]
    assert (await run(pool, shapes_source)).value == expected


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[Math, 'random']", [True, False, True]),
        ("[Date, 'now']", [True, False, True]),
        ("[Date, 'prototype']", [False, False, False]),
        ("[Date.prototype, 'constructor']", [True, False, True]),
        ("[globalThis, 'Date']", [True, False, True]),
        ("[globalThis, 'console']", [True, False, True]),
        ("[Temporal.Now, 'instant']", [True, False, True]),
        ("[console, 'log']", [True, True, True]),
        ("[globalThis, 'Error']", [True, False, True]),
        ("[Error, 'prototype']", [False, False, False]),
        ("[Error.prototype, 'constructor']", [True, False, True]),
        ("[Error, 'stackTraceLimit']", [True, True, True]),
    ],
)
async def test_properties_keep_their_attributes(
    pool: SandboxPool, expression: str, value: list[bool]
) -> None:
    source = f"""
    function process() {{
      const [object, name] = {expression}
      const found = Object.getOwnPropertyDescriptor(object, name)
      return [found.writable, found.enumerable, found.configurable]
    }}"""
    assert (await run(pool, source)).value == value


async def test_error_can_be_extended_called_and_constructed(pool: SandboxPool) -> None:
    source = """
    class Failure extends Error { constructor(text) { super(text, { cause: 7 }) } }
    function Old() { return Reflect.construct(Error, arguments, Old) }
    Old.prototype = Object.create(Error.prototype)
    function process() {
      const failure = new Failure('x')
      return [
        failure instanceof Failure, failure instanceof Error, failure.message, failure.cause,
        Object.getPrototypeOf(Failure) === Error, Error.isError(failure), `${failure}`,
        new Old('y') instanceof Old, new Old('y').message, Error('z') instanceof Error,
        Reflect.construct(Error, [], Array) instanceof Array, new RangeError instanceof Error,
        new Error('m').constructor === Error, Object.prototype.toString.call(failure),
        failure.stack.split('\\n').length, Failure.stackTraceLimit,
      ]
    }"""
    assert (await run(pool, source)).value == [
        *(True, True, "x", 7, True, True, "Error: x", True, "y", True, True, True, True),
        *("[object Error]", 2, 10),
    ]


async def test_a_script_chooses_how_many_frames_it_sees(pool: SandboxPool) -> None:
    source = """
    const dive = depth => depth ? dive(depth - 1) : new Error('x').stack.split('\\n').length - 1
    Error.stackTraceLimit = 60
    function process() {
      const counts = [dive(80)]
      for (const limit of [0, 3, 10]) { Error.stackTraceLimit = limit; counts.push(dive(80)) }
      return counts
    }"""
    assert (await run(pool, source)).value == [60, 0, 3, 10]


async def test_scripts_cannot_reach_v8s_own_error(pool: SandboxPool) -> None:
    source = """
    const seen = new Set(), doubles = []
    const walk = value => {
      if (Object(value) !== value || seen.has(value)) return
      seen.add(value)
      const own = Reflect.getOwnPropertyDescriptor(value, 'prototype')
      if (typeof value === 'function' && own?.value === Error.prototype) doubles.push(value)
      for (const key of Reflect.ownKeys(value)) {
        const found = Reflect.getOwnPropertyDescriptor(value, key)
        walk(found.value); walk(found.get); walk(found.set)
      }
      walk(Reflect.getPrototypeOf(value))
    }
    function process() {
      walk(globalThis)
      walk(new Error('x'))
      try { null.x } catch (error) { walk(error) }
      return [doubles.length, doubles[0] === Error, seen.size > 500]
    }"""
    assert (await run(pool, source)).value == [1, True, True]


async def test_date_can_be_extended_called_and_constructed(pool: SandboxPool) -> None:
    source = """
    class Day extends Date { next() { return new Day(+this + 86400000) } }
    function Old() { return Reflect.construct(Date, arguments, Old) }
    Old.prototype = Object.create(Date.prototype)
    function process() {
      const throws = attempt => { try { attempt() } catch (error) { return error.name } }
      return [
        new Day(0).next().toISOString(), new Day() instanceof Date, new Day().constructor === Day,
        new Old(5) instanceof Old, new Old(5).getTime(), new Old().getTime(),
        Reflect.construct(Date, [7], Array) instanceof Array,
        Reflect.construct(Object, [], Date) instanceof Date,
        Date.prototype.constructor === Date, Object.getPrototypeOf(Date) === Function.prototype,
        Object.prototype.toString.call(new Date()), typeof Date(1, 2),
        new Date(undefined).getTime(),
        new Date(2020, 1).getTime(), new Date(new Date(9)).getTime(), new Date('2020').getTime(),
        throws(() => new Date.now()), throws(() => new Math.random()), throws(() => Day()),
      ]
    }"""
    assert (await run(pool, source, clock_ms=5)).value == [
        "1970-01-02T00:00:00.000Z", True, True, True, 5, 5, True, True, True, True,
        "[object Date]", "string", None, 1_580_515_200_000, 9, 1_577_836_800_000,
        "TypeError", "TypeError", "TypeError",
    ]  # fmt: skip


async def test_a_formatter_has_one_bound_format(pool: SandboxPool) -> None:
    source = """
    function process() {
      const { format } = new Intl.DateTimeFormat('en')
      const one = new Intl.DateTimeFormat('de')
      return [one.format === one.format, format(undefined), format(), format(0)]
    }"""
    value = (await run(pool, source)).value
    assert value == [True, "11/14/2023", "11/14/2023", "1/1/1970"]


async def test_the_console_may_be_replaced(pool: SandboxPool) -> None:
    source = """
    'use strict'
    const lines = [], { log } = console
    console.log = (...args) => { lines.push(args); log('also', ...args) }
    function process() { console.log(1); return [lines, String(console)] }"""
    ran = await run(pool, source)
    assert ran.value == [[[1]], "[object console]"]
    assert [line.text for line in ran.logs] == ["also 1"]


async def test_settings_of_stack_traces_are_accepted(pool: SandboxPool) -> None:
    source = """
    'use strict'
    Error.stackTraceLimit = 1
    Error.prepareStackTrace = (_, frames) => frames
    const inner = () => new Error('x').stack
    function process() { return inner() }"""
    assert (await run(pool, source)).value == "Error: x\n    at inner (process.js:5:25)"
