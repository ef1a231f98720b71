"""Globals that a script changes before it fails do not change the kind of its failure."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.execution_errors import failure_of
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool
from tests.support.sandbox_runs import MIB, run

# Taken before the prelude, so that the failure itself is the same with it.
TAKEN = """
const { ArrayBuffer: B, Uint8Array: U, Promise: P, Symbol: S, Proxy: X } = globalThis
const { RangeError: R, TypeError: T } = globalThis, { revocable } = X
"""

# name: kind, source, limits.
FAILURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "throws": ("script_error", "const process = () => { throw new T('mine') }", {}),
    "rejects": ("script_error", "const process = async () => { await 0; null.property }", {}),
    "recurses": ("script_error", "const process = () => process() + 1", {}),
    "throws a text": ("script_error", "const process = () => { throw 'no' }", {}),
    "claims memory": (
        "script_error",
        "const process = () => { throw new R('Array buffer allocation failed') }",
        {},
    ),
    "claims length": (
        "script_error",
        "const process = () => ({ get a() { throw new R('Invalid string length') } })",
        {},
    ),
    "claims a cycle": (
        "script_error",
        (
            "const say = 'Converting circular structure to JSON';"
            "const process = () => ({ toJSON() { throw new T(say) } })"
        ),
        {},
    ),
    "throws at the top": ("script_error", "throw new T('mine')", {}),
    "claims memory at the top": (
        "script_error",
        "throw new R('Array buffer allocation failed')",
        {},
    ),
    "has no process": ("script_error", "const other = 1", {}),
    "loops": ("timeout", "const process = () => { while (true); }", {"wall_ms": 100}),
    "loops in promises": (
        "timeout",
        "const process = async () => { while (true) await 0 }",
        {"wall_ms": 100},
    ),
    "loops at the top": ("timeout", "while (true);", {"wall_ms": 100}),
    "fills the heap": (
        "out_of_memory",
        "const process = () => { let a = null; while (true) a = { a, b: 1, c: 2 } }",
        {"memory_bytes": 32 * MIB},
    ),
    "a large buffer": ("out_of_memory", "const process = () => new B(2 ** 32).byteLength", {}),
    "a large typed array": ("out_of_memory", "const process = () => new U(2 ** 32).length", {}),
    "a large array in a promise": (
        "out_of_memory",
        "const process = async () => { await 0; return new U(2 ** 32).length }",
        {},
    ),
    "a large buffer at the top": ("out_of_memory", "new B(2 ** 32)", {}),
    "returns nothing": ("invalid_result", "const process = () => {}", {}),
    "returns a function": ("invalid_result", "const process = () => process", {}),
    "returns a symbol": ("invalid_result", "const process = () => S('x')", {}),
    "returns a BigInt": ("invalid_result", "const process = () => ({ a: [0, 1n] })", {}),
    "returns a cycle": (
        "invalid_result",
        "const process = () => { const a = { b: {} }; a.b.c = a; return a }",
        {},
    ),
    "returns great depth": (
        "invalid_result",
        (
            "const process = a => { const p = new X([], { __proto__: null });"
            "for (let i = 5e5; i--; ) a = { __proto__: null, p, a }; return a }"
        ),
        {},
    ),
    "returns what was revoked": (
        "invalid_result",
        (
            "const process = () => { const { proxy, revoke } = revocable([], {}); revoke();"
            "return { __proto__: null, proxy } }"
        ),
        {},
    ),
    "toJSON returns nothing": ("invalid_result", "const process = () => ({ toJSON() {} })", {}),
    "writes too much": (
        "output_too_large",
        (
            "const text = 'x'.repeat(64 * 1024);"
            "const process = () => ({ __proto__: null, a: text, b: text })"
        ),
        {"output_bytes": 96 * 1024},
    ),
    "writes more than a text holds": (
        "output_too_large",
        (
            "const text = 'x'.repeat(2 ** 24);"
            "const process = () => { const all = { __proto__: null };"
            "for (let i = 0; i < 40; i++) all['k' + i] = text; return all }"
        ),
        {"memory_bytes": 1024 * MIB},
    ),
    "never settles": ("unsettled_promise", "const process = () => new P(() => {})", {}),
    "a thenable that forgets": ("unsettled_promise", "const process = () => ({ then() {} })", {}),
}

_NAMES = (
    "kind error errors cause message name stack line column allocation allocating code get set "
    "value writable configurable enumerable up key then length value writing phase"
)
# What the methods of intrinsics become: a script that works without them is not disturbed.
_THROWING = "for (const name of names) try { object[name] = () => { throw 1 } } catch {}"

PRELUDES = {
    "nothing": "",
    "no frames": "Error.stackTraceLimit = 0",
    "no frames, locked": (
        "Object.defineProperty(Error, 'stackTraceLimit', "
        "{ value: 0, writable: false, configurable: false })"
    ),
    "frames that are no number": (
        "Object.defineProperty(Error, 'stackTraceLimit', "
        "{ value: 'x', writable: false, configurable: false })"
    ),
    "a getter for the frames": (
        "Object.defineProperty(Error, 'stackTraceLimit', { get: () => 0, configurable: false })"
    ),
    "no limit of frames": "delete Error.stackTraceLimit; Object.preventExtensions(Error)",
    "an inherited limit": (
        "delete Error.stackTraceLimit; Object.setPrototypeOf(Error, { stackTraceLimit: 0 });"
        "Object.freeze(Error)"
    ),
    "no frames by way of others": (
        "for (const all of [Object.getPrototypeOf(R), Object.getPrototypeOf(T),"
        "Error.prototype.constructor, Object.getPrototypeOf(AggregateError)])"
        "{ all.stackTraceLimit = 0; Object.freeze(all) }"
    ),
    "endless frames": "Error.stackTraceLimit = Infinity",
    "a hook for stacks": (
        "try { Error.prepareStackTrace = () => 'x' } catch {};"
        "Error.captureStackTrace = object => { object.stack = 'x' }"
    ),
    "errors that throw": (
        "for (const key of ['name', 'message', 'stack'])"
        "Object.defineProperty(Error.prototype, key, { get() { throw 1 }, set() { throw 2 } });"
        "Error.prototype.toString = () => { throw 3 }"
    ),
    "other names for errors": (
        "R.prototype.name = 'X'; T.prototype.name = 'X'; R.prototype.message = 'y';"
        "R.prototype.toString = T.prototype.toString = () => 'nothing'"
    ),
    "errors without ancestors": (
        "Object.setPrototypeOf(R.prototype, null); Object.setPrototypeOf(T.prototype, null)"
    ),
    "errors behind a proxy": (
        "const trap = new Proxy({}, { get() { throw 1 }, has() { throw 1 } });"
        "Object.setPrototypeOf(R.prototype, trap); Object.setPrototypeOf(T.prototype, trap)"
    ),
    "other errors": (
        "globalThis.Error = globalThis.RangeError = globalThis.TypeError = class Mine {};"
        "R.prototype.constructor = T.prototype.constructor = Object"
    ),
    "no error is one": "Error.isError = () => false",
    "other JSON": "JSON.stringify = () => 'mine'; JSON.parse = () => 1; Object.freeze(JSON)",
    "toJSON for all": (
        "Object.defineProperty(Error.prototype, 'toJSON', { value: () => 'mine' });"
        "String.prototype.toJSON = Number.prototype.toJSON = Boolean.prototype.toJSON = () => 'no'"
    ),
    "names that all objects have": (
        f"for (const key of '{_NAMES}'.split(' ')) try {{ Object.defineProperty(Object.prototype,"
        "key, { get() { return undefined }, set() { throw 1 }, configurable: true }) } catch {}"
    ),
    "indices that all lists have": (
        "for (const one of [Array.prototype, Object.prototype]) Object.defineProperty(one, '1', "
        "{ set() { throw 1 }, get() { throw 2 }, configurable: true })"
    ),
    "lists that throw": (
        "{ const object = Array.prototype, names = Object.getOwnPropertyNames(object);"
        f"{_THROWING} }}"
    ),
    "functions that throw": (
        "{ const object = Function.prototype, names = ['call', 'apply', 'bind', 'toString'];"
        f"{_THROWING} }}"
    ),
    "maps that throw": (
        "{ const object = WeakMap.prototype, names = ['get', 'set', 'has', 'delete'];"
        f"{_THROWING} }}"
    ),
    "reflection that throws": (
        "{ const object = Reflect, names = Reflect.ownKeys(Reflect);" + _THROWING + "}"
    ),
    "objects that throw": (
        "{ const object = Object, names = Reflect.ownKeys(Object);" + _THROWING + "}"
    ),
    "expressions that match nothing": (
        "RegExp.prototype.exec = () => null; RegExp.prototype.test = () => false;"
        "Object.defineProperty(RegExp.prototype, 'flags', { get() { throw 1 } })"
    ),
    "other promises": (
        "P.prototype.then = function () { throw 1 }; P.resolve = P.reject = null;"
        "Object.defineProperty(P, Symbol.species, { get() { throw 1 } })"
    ),
    "other symbols": (
        "for (const one of [Object.prototype, Function.prototype])"
        "for (const key of [Symbol.toPrimitive, Symbol.toStringTag, Symbol.hasInstance])"
        "try { Object.defineProperty(one, key, { value: () => { throw 1 } }) } catch {}"
    ),
    "no globals": (
        "for (const name of Object.getOwnPropertyNames(globalThis))"
        "if (!'TBURPSX'.includes(name)) try { delete globalThis[name] } catch {}"
    ),
    "everything frozen": (
        "for (const name of Object.getOwnPropertyNames(globalThis)) {"
        # A web API that is first asked for here finds its prototypes frozen, and may not load.
        "let value; try { value = globalThis[name] } catch { continue }"
        "Object.freeze(value);"
        "if (typeof value === 'function') Object.freeze(value.prototype) }"
    ),
    "names of the harness": (
        "function finish() {} function run() {} function settle() {}\n//# sourceURL=harness.js"
    ),
}

# These take a second each, and the preludes that matter to them are about frames.
COSTLY = {"fills the heap", "writes more than a text holds"}
WITH_COSTLY = {"nothing", "no frames, locked"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=1, warm=2)) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", PRELUDES)
async def test_no_prelude_changes_the_kind_of_a_failure(pool: SandboxPool, name: str) -> None:
    failures = {
        each: failure
        for each, failure in FAILURES.items()
        if name in WITH_COSTLY or each not in COSTLY
    }
    kinds = {}
    for each, (_, source, limits) in failures.items():
        ran = await run(pool, f"{TAKEN}{PRELUDES[name]}\n{source}", **limits)
        failure = failure_of(ran.outcome)
        kinds[each] = None if failure is None else str(failure.kind)
    assert kinds == {each: kind for each, (kind, _, _) in failures.items()}
