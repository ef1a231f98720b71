"""Number the system calls that filters name, on each architecture that has a filter.

**The table for arm64 was never run**: its numbers are those of `asm-generic/unistd.h`.
"""

import platform
from typing import Final, NamedTuple


class Architecture(NamedTuple):
    """The kernel's identifier of an architecture, and the numbers of its calls."""

    name: str
    audit: int
    numbers: dict[str, int]
    # Higher numbers belong to another ABI (x32) with the same identifier.
    max_number: int = 0xFFFF_FFFF
    tested: bool = True


X86_64: Final = Architecture(
    name="x86-64",
    audit=0xC000_003E,
    max_number=0x3FFF_FFFF,
    numbers={
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6,
        "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
        "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "pwrite64": 18,
        "readv": 19, "writev": 20, "access": 21, "sched_yield": 24, "mremap": 25, "madvise": 28,
        "nanosleep": 35, "getpid": 39, "sendto": 44, "recvfrom": 45, "clone": 56, "exit": 60,
        "kill": 62, "uname": 63, "fcntl": 72, "fsync": 74, "fdatasync": 75, "ftruncate": 77,
        "getdents": 78, "getcwd": 79, "rename": 82, "mkdir": 83, "rmdir": 84, "unlink": 87,
        "readlink": 89, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99,
        "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108,
        "getppid": 110, "sigaltstack": 131, "statfs": 137, "fstatfs": 138, "sched_getparam": 143,
        "sched_getscheduler": 145, "prctl": 157, "gettid": 186, "time": 201, "futex": 202,
        "sched_getaffinity": 204, "getdents64": 217, "restart_syscall": 219, "fadvise64": 221,
        "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
        "tgkill": 234, "openat": 257, "mkdirat": 258, "newfstatat": 262, "unlinkat": 263,
        "renameat": 264, "readlinkat": 267, "faccessat": 269, "set_robust_list": 273,
        "fallocate": 285, "preadv": 295, "pwritev": 296, "prlimit64": 302, "getcpu": 309,
        "renameat2": 316, "getrandom": 318, "membarrier": 324, "pkey_mprotect": 329, "statx": 332,
        "rseq": 334, "clone3": 435, "openat2": 437, "faccessat2": 439,
    },
)  # fmt: skip

ARM64: Final = Architecture(
    name="arm64",
    audit=0xC000_00B7,
    tested=False,
    numbers={
        "getcwd": 17, "fcntl": 25, "ioctl": 29, "mkdirat": 34, "unlinkat": 35, "renameat": 38,
        "statfs": 43, "fstatfs": 44, "ftruncate": 46, "fallocate": 47, "faccessat": 48,
        "openat": 56, "close": 57, "getdents64": 61, "lseek": 62, "read": 63, "write": 64,
        "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "preadv": 69, "pwritev": 70,
        "readlinkat": 78, "newfstatat": 79, "fstat": 80, "fsync": 82, "fdatasync": 83, "exit": 93,
        "exit_group": 94, "futex": 98, "set_robust_list": 99, "nanosleep": 101,
        "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
        "sched_getscheduler": 120, "sched_getparam": 121, "sched_getaffinity": 123,
        "sched_yield": 124, "restart_syscall": 128, "kill": 129, "tgkill": 131,
        "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
        "times": 153, "uname": 160, "getrlimit": 163, "getrusage": 165, "prctl": 167,
        "getcpu": 168, "gettimeofday": 169, "getpid": 172, "getppid": 173, "getuid": 174,
        "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179,
        "sendto": 206, "recvfrom": 207, "brk": 214, "munmap": 215, "mremap": 216, "clone": 220,
        "mmap": 222, "fadvise64": 223, "mprotect": 226, "madvise": 233, "prlimit64": 261,
        "renameat2": 276, "getrandom": 278, "membarrier": 283, "pkey_mprotect": 288, "statx": 291,
        "rseq": 293, "clone3": 435, "openat2": 437, "faccessat2": 439,
    },
)  # fmt: skip

# Read once for all cells of a zygote.
MACHINE: Final = platform.machine()
ARCHITECTURES: Final = {"x86_64": X86_64, "aarch64": ARM64}
