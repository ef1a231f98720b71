"""Try contexts that share an isolate in processes of their own before the zygote makes any."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Final

from app.sandbox.native import ON
from app.sandbox.native.mini_racer import HeapExhausted
from app.sandbox.native.self_check import GROW, TIMEOUT_S, attempt, open_parts, raises
from app.sandbox.native.shared_isolate import PROTECTORS, SharedIsolate, find, invalidator
from app.sandbox.native.threadless import Context
from app.sandbox.native.v8_functions import V8Functions
from app.sandbox.native.watchdog import Watchdog

_STEPS: Final = (
    "microtasks",
    "second context",
    "patterns",
    "heap statistics",
    "protectors",
    "memory limit",
)
# V8's flag against its cache of results must have an effect: the groups are those of this context.
_MATCH: Final = b"""
const named = {}
named['a'.repeat(5000)] = 1
let groups
Object.keys(named)[0].replace(/(?<x>a)/g, (...args) => { groups ??= args.at(-1) })
typeof groups.left"""
_OBJECTS: Final = 4_000_000
_LIMIT_BYTES: Final = 16 * 1024 * 1024


def run(library: ctypes.CDLL) -> str:
    """Return `on` if contexts can share an isolate in this process's children, else why not."""
    state = find(library)
    return attempt(_STEPS, lambda: _prepare(library)) if state == ON else state


def _prepare(library: ctypes.CDLL) -> tuple[Watchdog, Callable[[], Iterator[bool]]]:
    v8 = V8Functions(library)
    watchdog = Watchdog(v8.terminate)
    isolate = SharedIsolate(library, v8, watchdog)
    first, second = Context(isolate), Context(isolate)
    called: list[bool] = []
    open_parts(first, on_callback=second.run_microtasks)
    open_parts(second, on_callback=lambda: called.append(True))
    return watchdog, lambda: _try_all(library, isolate, first, second, called)


def _try_all(
    library: ctypes.CDLL,
    isolate: SharedIsolate,
    first: Context,
    second: Context,
    called: list[bool],
) -> Iterator[bool]:
    """Yield whether each step worked, in the order of their names."""
    first.enter()
    code = b"let ran = 0; Promise.resolve().then(() => { ran = 1 }); parts[0](); ran"
    yield first.evaluate(code).integer == 0 and first.evaluate(b"ran").integer == 1
    first.evaluate(_MATCH + b"; groups.left = 1")
    first.evaluate(b"globalThis.left = Array.prototype.left = 1")
    first.exit()
    first.drop()
    second.enter()
    names = second.evaluate(b"typeof left + typeof [].left + typeof ran").text
    yield names == 3 * "undefined" and second.apply(0).integer == 1 and called == [True]
    yield second.evaluate(_MATCH).text == "undefined"
    before = isolate.heap_bytes
    second.evaluate(b"const kept = []; for (let i = 0; i < %d; i++) kept.push({ i })" % _OBJECTS)
    # Each takes 16 bytes at least. All but the youngest have been promoted meanwhile.
    yield isolate.knows_spaces and isolate.heap_bytes - before > 8 * _OBJECTS
    yield isolate.protectors_hold and all(_reports(library, isolate, name) for name in PROTECTORS)
    isolate.limit_memory(isolate.heap_bytes + _LIMIT_BYTES)
    yield raises(second, GROW, HeapExhausted, within_s=TIMEOUT_S)


def _reports(library: ctypes.CDLL, isolate: SharedIsolate, protector: str) -> bool:
    """Invalidate a protector, and return whether V8 reports the number that is known for it."""
    invalidate = getattr(library, invalidator(protector))
    invalidate.argtypes, invalidate.restype = [ctypes.c_void_p], None
    isolate.uses.reset()
    invalidate(isolate.address)
    return isolate.uses.used() == {PROTECTORS[protector]} and not isolate.protectors_hold
