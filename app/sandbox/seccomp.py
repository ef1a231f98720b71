"""Filter the system calls of a locked-down cell in the kernel.

A call is allowed, answered with EPERM, or ends the process. The program is classic BPF (Linux's
`Documentation/userspace-api/seccomp_filter.rst`): first the architecture, which defines the
numbers, then the few calls whose arguments matter, then the rest. The kernel caches the answer to
a call that depends on its number alone, so the length of the list costs nothing.

The lists were measured: `scripts/system-calls` shows the calls of a real run; run it again after
a change here, of V8 or of Python. **The table for arm64 was never run**: its numbers are those of
`asm-generic/unistd.h`.
"""

import ctypes
import errno
import os
import platform
import resource
import struct
from typing import Final, NamedTuple

_PROT_EXEC: Final = 4
_MAP_ANONYMOUS: Final = 0x20


class Argument(NamedTuple):
    """The condition on one argument of an allowed call: one of `values`, under `mask`.

    Only its low 32 bits are compared. The kernel itself uses no more of a pid and a resource, and
    the relevant bits of protections and flags are among them.
    """

    position: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF


class Instruction(NamedTuple):
    """One instruction of classic BPF; jumps are relative to the next instruction."""

    code: int
    operand: int
    if_true: int = 0
    if_false: int = 0


class Architecture(NamedTuple):
    """The kernel's identifier of an architecture, and the numbers of its calls."""

    name: str
    audit: int
    numbers: dict[str, int]
    # Higher numbers belong to another ABI (x32) with the same identifier.
    max_number: int = 0xFFFF_FFFF
    tested: bool = True


# For the channel, stderr, the process's own status.
_CHANNEL: Final = ("read", "pread64", "write", "sendto", "recvfrom", "close")
_MEMORY: Final = ("brk", "munmap", "mremap", "madvise")
# The two `sched_get*` come from a contended mutex in the C library.
_THREADS: Final = (
    *("futex", "gettid", "getpid", "sched_yield", "membarrier", "restart_syscall"),
    *("sched_getparam", "sched_getscheduler", "exit", "exit_group"),
)
_TIME: Final = (
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "nanosleep", "clock_nanosleep"),
    *("getrusage", "getrandom"),
)
_SIGNALS: Final = ("rt_sigprocmask", "rt_sigreturn", "sigaltstack")

ALLOWED: Final = (*_CHANNEL, *_MEMORY, *_THREADS, *_TIME, *_SIGNALS)

# Libraries make these calls and work without them: Python for a file, the allocator to name its
# memory, V8 for the clock's frequency, the C library in an abort. They change nothing beyond this
# process.
REFUSED: Final = (
    *("open", "openat", "openat2", "access", "faccessat", "faccessat2", "readlink"),
    *("readlinkat", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs"),
    *("getcwd", "getdents", "getdents64", "lseek", "fcntl", "ioctl", "prctl", "uname"),
    *("sysinfo", "getuid", "geteuid", "getgid", "getegid", "getppid", "times", "getcpu"),
    *("sched_getaffinity", "rt_sigaction", "getrlimit"),
)

X86_64: Final = Architecture(
    name="x86-64",
    audit=0xC000_003E,
    max_number=0x3FFF_FFFF,
    numbers={
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6,
        "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
        "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "access": 21,
        "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39,
        "sendto": 44, "recvfrom": 45, "exit": 60, "uname": 63, "fcntl": 72, "getdents": 78,
        "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98,
        "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107,
        "getegid": 108, "getppid": 110, "sigaltstack": 131, "statfs": 137, "fstatfs": 138,
        "sched_getparam": 143, "sched_getscheduler": 145, "prctl": 157, "gettid": 186,
        "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
        "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229,
        "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "openat": 257,
        "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "prlimit64": 302,
        "getcpu": 309, "getrandom": 318, "membarrier": 324, "pkey_mprotect": 329, "statx": 332,
        "openat2": 437, "faccessat2": 439,
    },
)  # fmt: skip

ARM64: Final = Architecture(
    name="arm64",
    audit=0xC000_00B7,
    tested=False,
    numbers={
        "getcwd": 17, "fcntl": 25, "ioctl": 29, "statfs": 43, "fstatfs": 44, "faccessat": 48,
        "openat": 56, "close": 57, "getdents64": 61, "lseek": 62, "read": 63, "write": 64,
        "pread64": 67, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93,
        "exit_group": 94, "futex": 98, "nanosleep": 101, "clock_gettime": 113,
        "clock_getres": 114, "clock_nanosleep": 115, "sched_getscheduler": 120,
        "sched_getparam": 121, "sched_getaffinity": 123, "sched_yield": 124,
        "restart_syscall": 128, "tgkill": 131, "sigaltstack": 132, "rt_sigaction": 134,
        "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153, "uname": 160,
        "getrlimit": 163, "getrusage": 165, "prctl": 167, "getcpu": 168, "gettimeofday": 169,
        "getpid": 172, "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176,
        "getegid": 177, "gettid": 178, "sysinfo": 179, "sendto": 206, "recvfrom": 207,
        "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226,
        "madvise": 233, "prlimit64": 261, "getrandom": 278, "membarrier": 283,
        "pkey_mprotect": 288, "statx": 291, "openat2": 437, "faccessat2": 439,
    },
)  # fmt: skip

# Read once for all cells of a zygote.
_MACHINE: Final = platform.machine()
_ARCHITECTURES: Final = {"x86_64": X86_64, "aarch64": ARM64}

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

KILL: Final = 0x8000_0000
REFUSE: Final = 0x0005_0000 | errno.EPERM
ALLOW: Final = 0x7FFF_0000

_SET_MODE_FILTER: Final = 1
_TSYNC: Final = 1
_NUMBER_OF_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}

_libc: Final = ctypes.CDLL(None, use_errno=True)


def install(*, status_fd: int) -> dict[str, str]:
    """Filter the calls of every thread of this process from now on; return what is in force.

    `no_new_privs` must be set. The state is measured: by a call that must fail now, and by
    `/proc/self/status`, open as `status_fd`.
    """
    architecture = _ARCHITECTURES.get(_MACHINE)
    if architecture is None:
        return {"seccomp": f"off: no list of calls for {_MACHINE}"}
    state = _load(assemble(architecture, own_pid=os.getpid()), _NUMBER_OF_SECCOMP[_MACHINE])
    if state == "on" and not _in_force(status_fd):
        state = "off: loaded, but not in force"
    tested = "on" if architecture.tested else f"off: the list for {architecture.name} is untested"
    return {"seccomp": state, "tested_architecture": tested}


def arguments_of(*, own_pid: int) -> dict[str, tuple[Argument, ...]]:
    """Return the calls that are allowed with certain arguments only.

    No memory becomes executable later: V8 maps all of its executable memory with the first
    isolate, and frees a used isolate's with `madvise` (measured with protection keys and without:
    4,000 optimised functions and 20,000 expressions, 8 times over, in one pool of isolates). With
    the keys it also protects its metadata on that code with `pkey_mprotect`. Files are never
    mapped. A process may signal only itself, as the C library does to abort; the limits are those
    of one execution.
    """
    no_code = Argument(2, (0,), mask=_PROT_EXEC)
    return {
        "mmap": (no_code, Argument(3, (_MAP_ANONYMOUS,), mask=_MAP_ANONYMOUS)),
        "mprotect": (no_code,),
        "pkey_mprotect": (no_code,),
        "tgkill": (Argument(0, (own_pid,)),),
        "prlimit64": (
            Argument(0, (0,)),
            Argument(1, (resource.RLIMIT_CPU, resource.RLIMIT_DATA)),
        ),
    }


def assemble(architecture: Architecture, *, own_pid: int) -> list[Instruction]:
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
    for name, arguments in arguments_of(own_pid=own_pid).items():
        tests = [step for argument in arguments for step in _test(argument)]
        program += [
            Instruction(_JUMP_EQUAL, numbers[name], if_false=len(tests) + 1),
            *tests,
            Instruction(_RETURN, ALLOW),
        ]
    for names, answer in ((ALLOWED, ALLOW), (REFUSED, REFUSE)):
        for name in names:
            # Newer architectures lack some of the older calls.
            if name in numbers:
                program += [
                    Instruction(_JUMP_EQUAL, numbers[name], if_false=1),
                    Instruction(_RETURN, answer),
                ]
    return [*program, Instruction(_RETURN, KILL)]


def _test(argument: Argument) -> list[Instruction]:
    """Continue after these steps if the argument is allowed, else end the process."""
    last = len(argument.values)
    return [
        Instruction(_LOAD, _ARGUMENTS_AT + 8 * argument.position),
        Instruction(_AND, argument.mask),
        *(
            Instruction(_JUMP_EQUAL, value, if_true=last - index)
            for index, value in enumerate(argument.values)
        ),
        Instruction(_RETURN, KILL),
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
