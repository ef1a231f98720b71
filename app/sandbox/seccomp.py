"""Filter the system calls of a process in the kernel.

A call is allowed, answered with an error, or ends the process. The program is classic BPF (Linux's
`Documentation/userspace-api/seccomp_filter.rst`): first the architecture, which defines the
numbers, then the few calls whose arguments matter, then the rest. The kernel caches the answer to
a call that depends on its number alone, so the length of the list costs nothing.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from app.sandbox.system_calls import ARCHITECTURES, MACHINE, Architecture

KILL: Final = 0x8000_0000
_ERROR: Final = 0x0005_0000
REFUSE: Final = _ERROR | errno.EPERM
ABSENT: Final = _ERROR | errno.ENOSYS
ALLOW: Final = 0x7FFF_0000


class Argument(NamedTuple):
    """The condition on one argument of an allowed call: one of `values`, under `mask`.

    Only its low 32 bits are compared. The kernel itself uses no more of a pid and a resource, and
    the relevant bits of protections and flags are among them.
    """

    position: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF


# Of mmap, mprotect, pkey_mprotect; of mmap.
NOT_EXECUTABLE: Final = Argument(2, (0,), mask=0x4)
ANONYMOUS: Final = Argument(3, (0x20,), mask=0x20)


class Filter(NamedTuple):
    """What becomes of each call.

    `refused` are answered with EPERM, `absent` with ENOSYS, as by a kernel without them. Those
    of `by_arguments` are allowed with these. `otherwise` is the answer to all others.
    """

    allowed: tuple[str, ...]
    by_arguments: Mapping[str, tuple[Argument, ...]]
    refused: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    otherwise: int = KILL


class Instruction(NamedTuple):
    """One instruction of classic BPF; jumps are relative to the next instruction."""

    code: int
    operand: int
    if_true: int = 0
    if_false: int = 0


# BPF: load a word of `struct seccomp_data`, mask it, compare, return.
_LOAD: Final = 0x20
_AND: Final = 0x54
_JUMP_EQUAL: Final = 0x15
_JUMP_ABOVE: Final = 0x25
_RETURN: Final = 0x06
_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_ARGUMENTS_AT: Final = 16
_INSTRUCTION: Final = struct.Struct("=HBBI")

_SET_MODE_FILTER: Final = 1
_TSYNC: Final = 1
_NUMBER_OF_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}

_libc: Final = ctypes.CDLL(None, use_errno=True)


def install(calls: Filter, *, status_fd: int) -> dict[str, str]:
    """Filter the calls of every thread of this process from now on; return what is in force.

    `no_new_privs` must be set, and `calls` must not allow `uname`. The state is measured: by that
    call, which must fail now, and by `/proc/self/status`, open as `status_fd`.
    """
    architecture = ARCHITECTURES.get(MACHINE)
    if architecture is None:
        return {"seccomp": f"off: no list of calls for {MACHINE}"}
    state = _load(assemble(architecture, calls), _NUMBER_OF_SECCOMP[MACHINE])
    if state == "on" and not _in_force(status_fd):
        state = "off: loaded, but not in force"
    tested = "on" if architecture.tested else f"off: the list for {architecture.name} is untested"
    return {"seccomp": state, "tested_architecture": tested}


def assemble(architecture: Architecture, calls: Filter) -> list[Instruction]:
    """Assemble the program for an architecture."""
    numbers = architecture.numbers
    program = [
        Instruction(_LOAD, _ARCHITECTURE_AT),
        Instruction(_JUMP_EQUAL, architecture.audit, if_true=1),
        Instruction(_RETURN, KILL),
        Instruction(_LOAD, _NUMBER_AT),
        Instruction(_JUMP_ABOVE, architecture.max_number, if_false=1),
        Instruction(_RETURN, KILL),
    ]
    for name, arguments in calls.by_arguments.items():
        tests = [step for argument in arguments for step in _test(argument, calls.otherwise)]
        program += [
            Instruction(_JUMP_EQUAL, numbers[name], if_false=len(tests) + 1),
            *tests,
            Instruction(_RETURN, ALLOW),
        ]
    for names, answer in (
        (calls.allowed, ALLOW),
        (calls.refused, REFUSE),
        (calls.absent, ABSENT),
    ):
        for name in names:
            # Newer architectures lack some of the older calls.
            if name in numbers:
                program += [
                    Instruction(_JUMP_EQUAL, numbers[name], if_false=1),
                    Instruction(_RETURN, answer),
                ]
    return [*program, Instruction(_RETURN, calls.otherwise)]


def _test(argument: Argument, otherwise: int) -> list[Instruction]:
    """Continue after these steps if the argument is allowed, else answer `otherwise`."""
    last = len(argument.values)
    return [
        Instruction(_LOAD, _ARGUMENTS_AT + 8 * argument.position),
        Instruction(_AND, argument.mask),
        *(
            Instruction(_JUMP_EQUAL, value, if_true=last - index)
            for index, value in enumerate(argument.values)
        ),
        Instruction(_RETURN, otherwise),
    ]


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _load(program: list[Instruction], number_of_seccomp: int) -> str:
    code = b"".join(
        _INSTRUCTION.pack(step.code, step.if_true, step.if_false, step.operand) for step in program
    )
    # TSYNC: on all threads, including the isolates', or on none.
    answer: int = _libc.syscall(
        number_of_seccomp,
        _SET_MODE_FILTER,
        _TSYNC,
        ctypes.byref(_Program(len(program), code)),
    )
    if answer == 0:
        return "on"
    if answer > 0:
        return f"off: thread {answer} cannot take the filter"
    return f"off: {os.strerror(ctypes.get_errno())}"


def _in_force(status_fd: int) -> bool:
    try:
        os.uname()
    except PermissionError:
        return b"\nSeccomp:\t2\n" in os.pread(status_fd, 8_192, 0)
    return False
