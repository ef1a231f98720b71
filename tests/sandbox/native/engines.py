"""Start V8 in a process of its own, with or without parts of app.sandbox.native."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.sandbox.protocol import Isolation

ROOT: Final = Path(__file__).parents[3]
MISSING: Final = "off: the library does not export missing"
TURNED_OFF: Final = "off: turned off by CRIVO_NATIVE"


def run_program(program: str) -> str:
    """Run a program in a process of its own, with ROOT as its argument; return its output."""
    command = [sys.executable, "-I", "-c", program, str(ROOT)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


# What a library without these functions looks like: their names are not found in it.
_PROGRAM: Final = """
import importlib, json, os, resource, sys
sys.path.insert(0, sys.argv[1])
order = json.load(sys.stdin)
for path in order["missing"]:
    module, name = path.rsplit(".", 1)
    setattr(importlib.import_module("app.sandbox.native." + module), name, "missing")
from app.sandbox import v8
from app.sandbox.protocol import Isolation
engine = v8.Engine(native=order["native"])
if order["isolation"]:
    engine.prepare(Isolation(order["isolation"]), contexts=2, isolates=2)
    if pid := os.fork():
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
isolate = engine.open_isolate(on_console_line=lambda: None)
engine.start_watchdog(on_stuck=lambda: os._exit(1))
isolate.begin()
isolate.reset_allocation_failures()
# As a cell has it: more than this is refused.
resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))
values = [isolate.evaluate(script.encode()).text for script in order["scripts"]]
kind = type(isolate).__name__
failed = isolate.allocation_may_have_failed()
print(json.dumps({"states": engine.native, "values": values, "allocation_failed": failed,
    "kind": kind}))
sys.stdout.flush()
os._exit(0)
"""


class Evaluated(Struct, frozen=True):
    """What an isolate of this kind returned, and the states of the native parts."""

    states: dict[str, str]
    values: list[str]
    allocation_failed: bool
    kind: str


def evaluate(
    *scripts: str,
    native: bool = True,
    missing: tuple[str, ...] = (),
    isolation: Isolation | None = None,
) -> Evaluated:
    """Evaluate scripts in one isolate; `missing` names constants like `snapshot._CREATE`.

    `isolation`: the isolate is made before a fork, as the zygote does.
    """
    order = {"scripts": scripts, "native": native, "missing": missing, "isolation": isolation}
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PROGRAM, str(ROOT)],
        input=json.dumps(order),
        capture_output=True,
        check=True,
        text=True,
    )
    return Evaluated(**json.loads(done.stdout))
