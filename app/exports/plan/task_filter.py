"""List the system calls of a task: those of DuckDB and Python once all libraries are loaded.

Any other call fails with EPERM, so that the error of DuckDB or Python says what happened. The
list was measured: `scripts/system-calls --tasks` shows the calls of real tasks; run it again
after a change here, of DuckDB or of Python.
"""

import fcntl
from typing import Final

from app.sandbox.seccomp import NOT_EXECUTABLE, REFUSE, Argument, Filter

# On which paths they work is for Landlock. None changes an owner, a mode or a time, or links.
_PATHS: Final = (
    *("open", "openat", "access", "faccessat", "faccessat2", "stat", "lstat", "newfstatat"),
    *("statx", "statfs", "readlink", "readlinkat", "getcwd", "mkdir", "mkdirat", "rmdir"),
    *("unlink", "unlinkat", "rename", "renameat", "renameat2"),
)
_FILES: Final = (
    *("read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "lseek"),
    *("fstat", "fstatfs", "ftruncate", "fallocate", "fadvise64", "fsync", "fdatasync"),
    *("getdents64", "close"),
)
_MEMORY: Final = ("brk", "munmap", "mremap", "madvise")
_THREADS: Final = (
    *("futex", "gettid", "getpid", "getppid", "set_robust_list", "rseq", "membarrier", "getcpu"),
    *("sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler"),
    *("restart_syscall", "exit", "exit_group"),
)
_TIME: Final = (
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "nanosleep", "clock_nanosleep"),
    *("getrusage", "times", "getrandom", "sysinfo", "getrlimit"),
)
_SIGNALS: Final = ("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack")
_USERS: Final = ("getuid", "geteuid", "getgid", "getegid")

# Python asks whether a file is a terminal; `seccomp.install` tries the other.
_REFUSED: Final = ("ioctl", "uname")

# Of a thread of this process, as the C library starts it. One C library adds a flag that Linux
# ignores (CLONE_DETACHED).
_THREAD: Final = 0x003D_0F00
_IGNORED: Final = 0x0040_0000

# Not those that choose who is sent a signal.
_FCNTL: Final = (
    *(fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_DUPFD_CLOEXEC),
    *(fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW),
)


def task_filter(*, own_pid: int) -> Filter:
    """Return what becomes of each call of a task.

    No memory becomes executable, so no library is loaded any more. A process may signal only
    itself: the C library does to abort, and DuckDB to find out whether the process that a
    temporary file is named for is alive. Limits can be read, not set; only the low half of the
    pointer to new ones is compared, and another half changes limits of this process alone.
    `clone3` is absent, since a filter cannot see its flags; the C library then uses `clone`.
    """
    own = (Argument(0, (own_pid,)),)
    return Filter(
        allowed=(*_PATHS, *_FILES, *_MEMORY, *_THREADS, *_TIME, *_SIGNALS, *_USERS),
        by_arguments={
            "mmap": (NOT_EXECUTABLE,),
            "mprotect": (NOT_EXECUTABLE,),
            "clone": (Argument(0, (_THREAD,), mask=0xFFFF_FFFF ^ _IGNORED),),
            "fcntl": (Argument(1, _FCNTL),),
            "kill": own,
            "tgkill": own,
            "prlimit64": (Argument(0, (0,)), Argument(2, (0,))),
        },
        refused=_REFUSED,
        absent=("clone3",),
        otherwise=REFUSE,
    )
