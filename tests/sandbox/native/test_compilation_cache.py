"""Contexts of one isolate share V8's compiled code, if the source is the same."""

import json
import subprocess
import sys

import pytest

from tests.sandbox.native.engines import ROOT

LIBRARY = ROOT / "tests/sandbox/libraries/vendor/lodash/lodash.min.js"
# Measured by what stays in the heap, since times vary.
PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from app.sandbox.protocol import Isolation
from app.sandbox.v8 import Engine
source = Path(sys.argv[2]).read_bytes()
engine = Engine()
engine.prepare(Isolation.CONTEXT, contexts=4, isolates=1)
if engine.isolation != Isolation.CONTEXT:
    print("null", flush=True)
    os._exit(0)
def old_bytes(shared):
    used = 0
    for space in shared._spaces:
        if not shared._name_of(space).startswith(b"new_"):
            shared._read_space(shared.address, shared._statistics, space)
            used += shared._statistics[2]
    return used
grown = []
for code in (source, source, source + b" ", source):
    isolate = engine.open_isolate(on_console_line=lambda: None)
    isolate.begin()
    before = old_bytes(isolate.isolate)
    isolate.evaluate(code)
    grown.append(old_bytes(isolate.isolate) - before)
    isolate.close()
print(json.dumps(grown))
sys.stdout.flush()
os._exit(0)
"""


def test_a_source_is_compiled_once_in_a_cell() -> None:
    command = [sys.executable, "-I", "-c", PROGRAM, str(ROOT), str(LIBRARY)]
    ran = subprocess.run(command, capture_output=True, check=True, timeout=120)
    grown = json.loads(ran.stdout)
    if grown is None:
        pytest.skip("no contexts on this machine")
    first, again, other, later = grown
    assert max(again, later) < min(first, other) / 2
