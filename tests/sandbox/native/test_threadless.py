"""Isolates made before a fork behave like those with a thread, which replace them if need be."""

import resource
import subprocess
import sys
import threading
from time import monotonic
from typing import Final, NoReturn

import pytest

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.native.mini_racer import CANCEL_GRACE_S, DeadlineExceeded
from app.sandbox.native.watchdog import Watchdog
from app.sandbox.outcomes import OutOfMemory
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import Isolation
from tests.sandbox.native.engines import MISSING, ROOT, TURNED_OFF, evaluate, run_program
from tests.sandbox.native.test_snapshot import _WALK
from tests.support.sandbox_runs import MIB, run

REPORTS: Final = (
    "throw new Error('plain')",
    "\n\n  null.x",
    "let let",
    "throw 'text'",
    "throw undefined",
    "throw Symbol('s')",
    "throw { toString() { throw 1 } }",
    "throw Object.assign(new Error('x'), { stack: 7 })",
    "throw new Error('lone \\ud800, \\u00fc, \\ud83d\\ude00')",
    "throw new Error('a\\0b')",
    "'a\0b'; throw new Error('after NUL in the line')",
    "const deep = () => deep(); deep()",
    "JSON.parse('[1,')",
    "Promise.reject(new Error('unhandled')); throw new RangeError('thrown')",
    "//# sourceURL=process.js\nthrow new Error('named')",
    "'text \\u00fc \\ud800'",
    "''",
)


def test_exceptions_are_reported_as_by_an_isolate_with_a_thread() -> None:
    forked, threaded = evaluate(*REPORTS, isolation=Isolation.ISOLATE), evaluate(*REPORTS)

    assert forked.states["threadless"] == "on", "V8's or mini-racer's functions have changed"
    assert (forked.kind, threaded.kind) == ("ThreadlessIsolate", "ThreadedIsolate")
    assert forked.values == threaded.values


def test_a_script_sees_the_same_world() -> None:
    forked, threaded = evaluate(_WALK, isolation=Isolation.ISOLATE), evaluate(_WALK)

    assert forked.values[0].count("\n") > 500
    assert forked.values == threaded.values


@pytest.mark.parametrize(
    ("missing", "state"),
    [
        ("v8_functions.MEMORY_CALLBACK", MISSING),
        ("self_check._LEAST_DEPTH", "off: the self-check ended with status 127"),
        ("self_check.PARTS", "off: the self-check ended with status 127"),
    ],
)
def test_without_them_isolates_have_threads(missing: str, state: str) -> None:
    evaluated = evaluate("`${6 * 7}`", isolation=Isolation.ISOLATE, missing=(missing,))

    assert evaluated.states["threadless"] == state
    assert evaluated.kind == "ThreadedIsolate"
    assert evaluated.values == ["42"]


def test_a_crash_in_the_self_check_is_survived() -> None:
    # The address of something that is no function.
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from app.sandbox import v8\n"
        "from app.sandbox.protocol import Isolation\n"
        "from app.sandbox.native import v8_functions\n"
        "engine = v8.Engine()\n"
        "run = v8_functions._SIGNATURES['run']\n"
        "v8_functions._SIGNATURES['new_context'] = (run[0], *run[1:])\n"
        "engine.prepare(Isolation.ISOLATE, contexts=1, isolates=1)\n"
        "print(engine.native['threadless'], flush=True)\n"
        "import os; os._exit(0)\n"
    )
    assert run_program(program).startswith("off: the self-check ended with status")


def test_a_low_hard_limit_of_the_stack_keeps_user_code_off_the_main_thread() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from app.sandbox import v8\n"
        "from app.sandbox.protocol import Isolation\n"
        "engine = v8.Engine()\n"
        "engine.prepare(Isolation.ISOLATE, contexts=1, isolates=1)\n"
        "print(engine.native['threadless'], flush=True)\n"
        "import os; os._exit(0)\n"
    )
    low = 1024 * 1024
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(ROOT)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (low, low)),
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "off: the hard limit of the stack is 1024 KiB\n"


def test_a_call_that_ignores_its_termination_is_given_up() -> None:
    terminated: list[int] = []
    given_up = threading.Event()

    def give_up() -> NoReturn:
        given_up.set()
        while True:
            threading.Event().wait()

    watchdog = Watchdog(terminated.append)
    watchdog.start(on_stuck=give_up)
    began = monotonic()
    watchdog.begin_call(7, began + 0.01)

    assert given_up.wait(30)
    assert terminated == [7]
    assert monotonic() - began >= CANCEL_GRACE_S


def test_an_earlier_deadline_wakes_the_watchdog() -> None:
    terminated = threading.Event()

    def never() -> NoReturn:
        raise AssertionError

    watchdog = Watchdog(lambda _: terminated.set())
    watchdog.start(on_stuck=never)
    watchdog.begin_call(1, monotonic() + 600)
    watchdog.end_call()
    watchdog.begin_call(2, monotonic() + 0.01)

    assert terminated.wait(30)
    with pytest.raises(DeadlineExceeded):
        watchdog.end_call()
    with pytest.raises(DeadlineExceeded):
        watchdog.begin_call(2, monotonic())


_RUNS: Final = (
    ("const process = d => [d, Math.random(), Date.now(), typeof URL]", b"[1]"),
    ("async function process() { await 1; return new Promise(r => setTimeout(r, 9, 5)) }", b"1"),
    ("function process() { return null.x }", b"1"),
    ("throw new RangeError('top')", b"1"),
    ("const process = () => 1; let let", b"1"),
    ("const process = d => d", b"{nope"),
    ("const process = () => { const a = []; for (;;) a.push(new Array(999).fill(1.5)) }", b"1"),
    ("const process = () => 'x'.repeat(3e6) + '\\u00fc'.repeat(9)", b"1"),
    ("const process = d => d.length", b'"' + "ü".encode() * 2_000_000 + b'"'),
    ("const process = () => { console.log('line', { a: [1] }); return new Map([[1, 2]]) }", b"1"),
)
_ENDLESS: Final = (
    "function process() { for (;;); }",
    "for (;;);",
    "const f = () => { Promise.resolve().then(f) }; f(); const process = () => 1",
    "const f = () => { Promise.resolve().then(f) }; f(); throw 1",
    "const process = () => new Proxy({}, { ownKeys() { for (;;); } })",
)


async def observe(pool: SandboxPool) -> list[object]:
    seen: list[object] = []
    endless = [(source, b"1", 150) for source in _ENDLESS]
    for source, payload, wall_ms in [*((*each, 30_000) for each in _RUNS), *endless]:
        ran = await run(pool, source, payload, wall_ms=wall_ms, memory_bytes=64 * MIB)
        outcome = ran.outcome
        detail: object = outcome
        if isinstance(outcome, OutOfMemory):
            detail = outcome.limit_bytes
        seen.append((source, type(outcome), detail, ran.output, [e.text for e in ran.logs]))
    return seen


async def test_a_pool_observes_the_same_both_ways() -> None:
    seen = []
    for native in (True, False):
        async with open_pool(PoolConfig(cells=1, warm=0, native=native)) as pool:
            assert pool.native["threadless"] == ("on" if native else TURNED_OFF)
            seen.append(await observe(pool))
    forked, threaded = seen

    assert forked == threaded
