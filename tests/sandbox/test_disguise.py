"""Ordinary scripts do not notice what the harness put in the place of V8's own."""

import pytest

from app.sandbox.pool import SandboxPool
from tests.sandbox.runs import run

# What V8 says of its own functions, measured without the harness.
SHAPES = {
    "Date": ("Date", 7, "length,name,prototype,now,parse,UTC"),
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
