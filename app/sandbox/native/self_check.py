"""Try isolates without threads in processes of their own before the zygote makes any.

A function that no longer does what `threadless` expects may crash the process. So a child makes an
isolate and forks, as the zygote does, and the grandchild uses the isolate as a cell does.
`context_check` tries contexts that share an isolate in the same way.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from time import monotonic
from typing import Final

from app.sandbox.native import ON
from app.sandbox.native.isolate import Isolate
from app.sandbox.native.mini_racer import DeadlineExceeded, HeapExhausted, Type
from app.sandbox.native.threadless import Context
from app.sandbox.native.v8_functions import V8Functions, find
from app.sandbox.native.watchdog import Watchdog

# Long enough for a machine under load: a check takes a tenth of a second.
TIMEOUT_S: Final = 10
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
PARTS: Final = b"""
const parts = [null, new ArrayBuffer(8), function () {
  'use strict'
  parts[0]()
  return typeof this === 'string' ? this + '!' : this + 1
}]
parts"""
# Exceeds any memory limit.
GROW: Final = b"{ const all = []; for (;;) all.push(new Array(1000).fill(1.5)) }"
# Make what the grandchild needs; the returned function yields whether each step worked.
Prepare = Callable[[], tuple[Watchdog, Callable[[], Iterator[bool]]]]


def run(library: ctypes.CDLL) -> str:
    """Return `on` if isolates without threads work in this process's children, else why not."""
    state = find(library)
    return attempt(_STEPS, lambda: _prepare(library)) if state == ON else state


def attempt(steps: Sequence[str], prepare: Prepare) -> str:
    """Prepare in a child, try the steps in a child of that. Returns `on`, or `off` and why."""
    status = _run_in_child(lambda: _prepare_and_fork(steps, prepare))
    if status == 0:
        return ON
    if status <= len(steps):
        return f"off: the self-check failed at: {steps[status - 1]}"
    return f"off: the self-check ended with status {status}"


def _run_in_child(work: Callable[[], int]) -> int:
    """Run work in a child that exits with its result; 128 is added to a signal's number."""
    pid = os.fork()
    if pid == 0:
        status = 127
        try:
            signal.alarm(TIMEOUT_S)
            status = work()
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _prepare_and_fork(steps: Sequence[str], prepare: Prepare) -> int:
    """Do as the zygote does; returns the number of the step that failed, or 0."""
    watchdog, try_all = prepare()

    def use() -> int:
        """Do as a cell does."""
        watchdog.start(on_stuck=lambda: os._exit(len(steps)))
        passed = sum(1 for _ in takewhile(bool, try_all()))
        return 0 if passed == len(steps) else passed + 1

    return _run_in_child(use)


def _prepare(library: ctypes.CDLL) -> tuple[Watchdog, Callable[[], Iterator[bool]]]:
    v8 = V8Functions(library)
    watchdog = Watchdog(v8.terminate)
    context = Context(Isolate(v8, watchdog))
    called: list[bool] = []
    open_parts(context, on_callback=lambda: called.append(True))
    return watchdog, lambda: _try_all(context, called)


def open_parts(context: Context, *, on_callback: Callable[[], None]) -> None:
    """Put the callback into a context, as for the harness."""
    context.enter()
    context.open_parts(
        PARTS, callback_part=0, memory_part=1, function_part=2, on_callback=on_callback
    )
    context.exit()


def _try_all(context: Context, called: list[bool]) -> Iterator[bool]:
    """Yield whether each step worked, in the order of their names."""
    context.enter()
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
    yield raises(context, b"for (;;);", DeadlineExceeded, within_s=0.01)
    context.isolate.limit_memory(_LIMIT_BYTES)
    yield raises(context, GROW, HeapExhausted, within_s=TIMEOUT_S)
    context.exit()
    context.drop()
    context.isolate.dispose()


def raises(context: Context, code: bytes, error: type[Exception], *, within_s: float) -> bool:
    """Return whether the code ends in this error."""
    try:
        context.evaluate(code, deadline=monotonic() + within_s)
    except error:
        return True
    return False
