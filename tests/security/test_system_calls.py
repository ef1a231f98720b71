"""A locked-down cell can make only the listed system calls, tried from inside one."""

import ast
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from app.exports.plan.task_filter import task_filter
from app.sandbox.cell_filter import cell_filter
from app.sandbox.seccomp import ABSENT, ALLOW, KILL, REFUSE, Filter, assemble
from app.sandbox.system_calls import ARM64, X86_64, Architecture
from tests.security.bpf import run_program
from tests.security.system_calls import ENDS, REFUSALS, WORKS

ROOT: Final = Path(__file__).parents[2]
PID: Final = 4_321
CELL: Final = cell_filter(own_pid=PID)
TASK: Final = task_filter(own_pid=PID)

on_x86_64: Final = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers are those of x86-64"
)


class Prober:
    """A process that forks cells and tries one call in each."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def fate_of(self, **order: Any) -> str:  # noqa: ANN401 - what an order may hold
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"thread": False, **order}) + "\n")
        self._process.stdin.flush()
        fate: str = json.loads(self._process.stdout.readline())["fate"]
        return fate


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.security.probed_cell", str(os.getpid())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Prober(process)


@on_x86_64
@pytest.mark.parametrize("thread", [False, True], ids=["main", "thread"])
@pytest.mark.parametrize("name", REFUSALS)
def test_optional_calls_of_libraries_are_refused(
    prober: Prober, name: str, *, thread: bool
) -> None:
    number, arguments = REFUSALS[name]
    assert prober.fate_of(number=number, arguments=arguments, thread=thread) == "EPERM"


@on_x86_64
@pytest.mark.parametrize("thread", [False, True], ids=["main", "thread"])
@pytest.mark.parametrize("name", ENDS)
def test_any_other_call_ends_the_process(prober: Prober, name: str, *, thread: bool) -> None:
    number, arguments = ENDS[name]
    assert prober.fate_of(number=number, arguments=arguments, thread=thread) == "SIGSYS"


@on_x86_64
@pytest.mark.parametrize("thread", [False, True], ids=["main", "thread"])
@pytest.mark.parametrize("name", WORKS)
def test_the_calls_of_a_run_work(prober: Prober, name: str, *, thread: bool) -> None:
    number, arguments = WORKS[name]
    assert prober.fate_of(number=number, arguments=arguments, thread=thread) == "works"


@on_x86_64
@pytest.mark.parametrize("thread", [False, True], ids=["main", "thread"])
def test_a_32_bit_system_call_ends_the_process(prober: Prober, *, thread: bool) -> None:
    # mov eax, 20 (getpid there, writev here); int 0x80; ret
    assert prober.fate_of(code="b814000000cd80c3", thread=thread) == "SIGSYS"
    # The same by this architecture's own way in: mov eax, 39 (getpid); syscall; ret
    assert prober.fate_of(code="b8270000000f05c3", thread=thread) == "works"


@pytest.mark.parametrize("thread", [False, True], ids=["main", "thread"])
def test_an_abort_ends_as_an_abort(prober: Prober, *, thread: bool) -> None:
    assert prober.fate_of(abort=True, thread=thread) == "SIGABRT"


def test_nothing_in_the_app_imports_the_probes() -> None:
    for path in (ROOT / "app").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "probed_cell" not in text
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                modules = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            assert not any(module.split(".")[0] == "tests" for module in modules)


@pytest.fixture(params=[X86_64, ARM64], ids=["x86-64", "arm64"])
def architecture(request: pytest.FixtureRequest) -> Architecture:
    found: Architecture = request.param
    return found


@pytest.fixture(params=[CELL, TASK], ids=["cell", "task"])
def calls(request: pytest.FixtureRequest) -> Filter:
    found: Filter = request.param
    return found


def answer(architecture: Architecture, calls: Filter, number: int, *arguments: int) -> int:
    program = assemble(architecture, calls)
    return run_program(program, audit=architecture.audit, number=number, arguments=arguments)


def test_a_program_answers_each_call_of_its_lists_and_all_others_alike(
    architecture: Architecture, calls: Filter
) -> None:
    expected = {
        architecture.numbers[name]: fate
        for names, fate in ((calls.allowed, ALLOW), (calls.refused, REFUSE), (calls.absent, ABSENT))
        for name in names
        if name in architecture.numbers
    }
    by_arguments = {architecture.numbers[name] for name in calls.by_arguments}
    assert not by_arguments & set(expected)
    for number in set(range(1_200)) - by_arguments:
        fate = answer(architecture, calls, number)
        assert fate == expected.get(number, calls.otherwise), number


def test_every_call_of_the_lists_has_a_number(architecture: Architecture, calls: Filter) -> None:
    # arm64 came after these, and has others in their place.
    older = {"open", "access", "readlink", "stat", "lstat", "getdents", "time"}
    older |= {"mkdir", "rmdir", "unlink", "rename"}
    named = {*calls.allowed, *calls.refused, *calls.absent, *calls.by_arguments}
    missing = {name for name in named if name not in architecture.numbers}
    assert missing == (older & named if architecture is ARM64 else set())
    assert len(set(architecture.numbers.values())) == len(architecture.numbers)


@pytest.mark.parametrize("audit", [0x4000_0003, 0xC000_003E, 0xC000_00B7, 0x4000_0028, 0])
def test_a_program_ends_a_process_of_any_other_architecture(
    architecture: Architecture, calls: Filter, audit: int
) -> None:
    program = assemble(architecture, calls)
    number = architecture.numbers["getpid"]
    fate = run_program(program, audit=audit, number=number)
    assert fate == (ALLOW if audit == architecture.audit else KILL)


@pytest.mark.parametrize(
    ("name", "arguments", "fate"),
    [
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 0, 0x32), ALLOW),
        ("mmap", (0, 4096, 7, 0x22), KILL),
        ("mmap", (0, 4096, 5, 0x22), KILL),
        ("mmap", (0, 4096, 3, 0x02), KILL),
        ("mprotect", (0, 4096, 3), ALLOW),
        ("mprotect", (0, 4096, 4), KILL),
        ("pkey_mprotect", (0, 4096, 0, 1), ALLOW),
        ("pkey_mprotect", (0, 4096, 7, 1), KILL),
        ("tgkill", (PID, 1, 6), ALLOW),
        ("tgkill", (PID + 1, 1, 6), KILL),
        ("tgkill", (0, 1, 6), KILL),
        ("tgkill", (-1, 1, 6), KILL),
        ("prlimit64", (0, 0), ALLOW),
        ("prlimit64", (0, 2), ALLOW),
        ("prlimit64", (0, 1), KILL),
        ("prlimit64", (0, 7), KILL),
        ("prlimit64", (PID, 2), KILL),
        # The kernel, too, looks at the low half of a pid only.
        ("prlimit64", (2**32, 2), ALLOW),
        ("prlimit64", (2**32 + 1, 2), KILL),
    ],
)
def test_calls_are_filtered_by_their_arguments(
    architecture: Architecture, name: str, arguments: tuple[int, ...], fate: int
) -> None:
    assert answer(architecture, CELL, architecture.numbers[name], *arguments) == fate


@pytest.mark.parametrize(
    ("name", "arguments", "fate"),
    [
        ("mmap", (0, 4096, 1, 0x02, 5, 0), ALLOW),
        ("mmap", (0, 4096, 5, 0x02, 5, 0), REFUSE),
        ("mprotect", (0, 4096, 3), ALLOW),
        ("mprotect", (0, 4096, 5), REFUSE),
        # A thread as two C libraries start it; a process; a thread with another network.
        ("clone", (0x003D_0F00,), ALLOW),
        ("clone", (0x007D_0F00,), ALLOW),
        ("clone", (0x0120_0011,), REFUSE),
        ("clone", (0x403D_0F00,), REFUSE),
        ("kill", (PID, 0), ALLOW),
        ("kill", (PID + 1, 0), REFUSE),
        ("kill", (-1, 9), REFUSE),
        ("tgkill", (PID, 1, 6), ALLOW),
        ("tgkill", (PID + 1, 1, 6), REFUSE),
        # Locks, but nobody is chosen who gets a signal.
        ("fcntl", (5, 6), ALLOW),
        ("fcntl", (5, 8), REFUSE),
        ("prlimit64", (0, 7, 0), ALLOW),
        ("prlimit64", (0, 7, 4096), REFUSE),
        ("prlimit64", (PID + 1, 7, 0), REFUSE),
    ],
)
def test_calls_of_a_task_are_filtered_by_their_arguments(
    architecture: Architecture, name: str, arguments: tuple[int, ...], fate: int
) -> None:
    assert answer(architecture, TASK, architecture.numbers[name], *arguments) == fate
