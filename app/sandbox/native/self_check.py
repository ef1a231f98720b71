"""Try isolates without threads in processes of their own before the zygote makes any.

A function that no longer does what `threadless` expects may crash the process. So a child makes an
isolate and forks, as the zygote does, and the grandchild uses the isolate as a cell does.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from itertools import takewhile
from time import monotonic
from typing import Final

from app.sandbox.native import ON
from app.sandbox.native.mini_racer import DeadlineExceeded, HeapExhausted, Type
from app.sandbox.native.threadless import Context
from app.sandbox.native.v8_functions import V8Functions, find
from app.sandbox.native.watchdog import Watchdog

# Long enough for a machine under load: a check takes a tenth of a second.
_TIMEOUT_S: Final = 20
_LEAST_DEPTH: Final = 1_000
_LIMIT_BYTES: Final = 48 * 1024 * 1024
_STEPS: Final = (
    "context",
    "script",
    "exception",
    "microtasks",
    "stack",
    "deadline",
    "memory limit",
)

# A list with the form of the harness's.
_PARTS: Final = b"""
const parts = [null, new ArrayBuffer(8), function () {
  'use strict'
  parts[0]()
  return typeof this === 'string' ? this + '!' : this + 1
}]
parts"""


def run(library: ctypes.CDLL) -> str:
    """Return `on` if isolates without threads work in this process's children, else why not."""
    state = find(library)
    if state != ON:
        return state
    status = _run_in_child(lambda: _make_and_fork(library))
    if status == 0:
        return ON
    if status <= len(_STEPS):
        return f"off: the self-check failed at: {_STEPS[status - 1]}"
    return f"off: the self-check ended with status {status}"


def _run_in_child(work: Callable[[], int]) -> int:
    """Run work in a child that exits with its result; 128 is added to a signal's number."""
    pid = os.fork()
    if pid == 0:
        status = 127
        try:
            signal.alarm(_TIMEOUT_S)
            status = work()
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _make_and_fork(library: ctypes.CDLL) -> int:
    """Do as the zygote does; returns the number of the step that failed, or 0."""
    v8 = V8Functions(library)
    watchdog = Watchdog(v8.terminate)
    context = Context(v8, watchdog)
    called: list[bool] = []
    context.enter()
    context.open_parts(
        _PARTS,
        callback_part=0,
        memory_part=1,
        function_part=2,
        on_callback=lambda: called.append(True),
    )
    context.exit()
    return _run_in_child(lambda: _use(context, watchdog, called))


def _use(context: Context, watchdog: Watchdog, called: list[bool]) -> int:
    """Do as a cell does; returns the number of the step that failed, or 0."""
    watchdog.start(on_stuck=lambda: os._exit(len(_STEPS)))
    context.enter()
    passed = sum(1 for _ in takewhile(bool, _try_all(context, called)))
    if passed < len(_STEPS):
        return passed + 1
    context.exit()
    context.close()
    return 0


def _try_all(context: Context, called: list[bool]) -> Iterator[bool]:
    """Yield whether each step worked, in the order of their names."""
    yield context.apply(0).integer == 1 and called == [True]
    with context.string("ü".encode()) as text:
        yield context.apply(text).text == "ü!"
    thrown = context.evaluate(b"\n  null.x")
    invalid = context.evaluate(b"let let")
    yield (
        (thrown.type, invalid.type) == (Type.EXECUTE_EXCEPTION, Type.PARSE_EXCEPTION)
        and thrown.text.startswith("<anonymous>:2: TypeError: ")
        and "\n  null.x\n       ^\n" in thrown.text
    )
    context.evaluate(b"let later = 0; Promise.resolve().then(() => { later = 1 })")
    yield context.evaluate(b"later").integer == 1
    depth = context.evaluate(b"let n = 0; const f = () => { n++; f() }; try { f() } catch {}; n")
    yield depth.integer >= _LEAST_DEPTH
    yield _raises(context, b"for (;;);", DeadlineExceeded, within_s=0.01)
    context.limit_memory(_LIMIT_BYTES)
    grow = b"const all = []; for (;;) all.push(new Array(1000).fill(1.5))"
    yield _raises(context, grow, HeapExhausted, within_s=_TIMEOUT_S)


def _raises(context: Context, code: bytes, error: type[Exception], *, within_s: float) -> bool:
    try:
        context.evaluate(code, deadline=monotonic() + within_s)
    except error:
        return True
    return False
