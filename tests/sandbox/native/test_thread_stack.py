"""V8 gets a stack that its threads have, whatever `ulimit -s` is."""

import resource
import subprocess
import sys
from typing import Final

import pytest

from app.sandbox.native import thread_stack
from tests.sandbox.native.engines import ROOT, TURNED_OFF

_PROGRAM: Final = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
from app.sandbox import v8
engine = v8.Engine(native=sys.argv[2] == "native")
isolate = engine.open_isolate(on_console_line=lambda: None)
depth = isolate.evaluate(b"let n = 0; const f = () => { n++; f() }; try { f() } catch {}; `${n}`")
print(engine.native["thread_stack"])
print(depth.text, flush=True)
os._exit(0)
"""


def _depth_of_recursion(how: str, *, stack_kib: int) -> tuple[str, int]:
    program = [sys.executable, "-I", "-c", _PROGRAM, str(ROOT), how]
    done = subprocess.run(
        ["/bin/sh", "-c", f'ulimit -S -s {stack_kib}; exec "$@"', "sh", *program],
        capture_output=True,
        check=True,
        text=True,
    )
    state, depth = done.stdout.splitlines()
    return state, int(depth)


@pytest.mark.parametrize("stack_kib", [1_024, 8_192])
def test_the_limit_of_the_shell_does_not_matter(stack_kib: int) -> None:
    state, depth = _depth_of_recursion("native", stack_kib=stack_kib)

    assert state == "on"
    assert depth > 30_000


def test_without_it_v8_keeps_to_the_stack_that_there_is() -> None:
    state, shallow = _depth_of_recursion("plain", stack_kib=1_024)
    _, deep = _depth_of_recursion("plain", stack_kib=8_192)

    assert state == TURNED_OFF
    assert 1_000 < shallow < 30_000 < deep


def test_an_unlimited_stack_is_glibcs_default(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: unlimited)

    assert thread_stack.default_bytes() == 2 * 1024 * 1024
