"""List the system calls of a locked-down cell.

The lists were measured: `scripts/system-calls` shows the calls of a real run; run it again after
a change here, of V8 or of Python.
"""

import resource
from typing import Final

from app.sandbox.seccomp import ANONYMOUS, NOT_EXECUTABLE, Argument, Filter

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

_ALLOWED: Final = (*_CHANNEL, *_MEMORY, *_THREADS, *_TIME, *_SIGNALS)

# Libraries make these calls and work without them: Python for a file, the allocator to name its
# memory, V8 for the clock's frequency, the C library in an abort. They change nothing beyond this
# process.
_REFUSED: Final = (
    *("open", "openat", "openat2", "access", "faccessat", "faccessat2", "readlink"),
    *("readlinkat", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs"),
    *("getcwd", "getdents", "getdents64", "lseek", "fcntl", "ioctl", "prctl", "uname"),
    *("sysinfo", "getuid", "geteuid", "getgid", "getegid", "getppid", "times", "getcpu"),
    *("sched_getaffinity", "rt_sigaction", "getrlimit"),
)


def cell_filter(*, own_pid: int) -> Filter:
    """Return what becomes of each call of a cell; those of no list end the process.

    No memory becomes executable later: V8 maps all of its executable memory with the first
    isolate, and frees a used isolate's with `madvise` (measured with protection keys and without:
    4,000 optimised functions and 20,000 expressions, 8 times over, in one pool of isolates). With
    the keys it also protects its metadata on that code with `pkey_mprotect`. Files are never
    mapped. A process may signal only itself, as the C library does to abort; the limits are those
    of one execution.
    """
    return Filter(
        allowed=_ALLOWED,
        refused=_REFUSED,
        by_arguments={
            "mmap": (NOT_EXECUTABLE, ANONYMOUS),
            "mprotect": (NOT_EXECUTABLE,),
            "pkey_mprotect": (NOT_EXECUTABLE,),
            "tgkill": (Argument(0, (own_pid,)),),
            "prlimit64": (
                Argument(0, (0,)),
                Argument(1, (resource.RLIMIT_CPU, resource.RLIMIT_DATA)),
            ),
        },
    )
