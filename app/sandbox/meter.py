"""Read a cell's use of CPU time and memory from the kernel."""

import os
import re
import time
from contextlib import suppress
from typing import Final

from msgspec import Struct

_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
# The low bits of a process's own clock id (CPUCLOCK_SCHED, clock_getcpuclockid(3)).
_CPU_CLOCK: Final = 2
# The state and, unless the process has ended, peak and size of the resident set.
_STATUS: Final = re.compile(
    rb"^State:\t(\w)(?:.*?^VmHWM:\s+(\d+) kB\nVmRSS:\s+(\d+) kB)?", re.MULTILINE | re.DOTALL
)
_STOPPED: Final = (b"T", b"t")


class Exit(Struct, frozen=True, kw_only=True):
    """The kernel's record of an ended process; `status`: negative for a signal, None: unknown."""

    status: int | None
    cpu_ns: int
    peak_bytes: int


class Used(Struct, frozen=True, kw_only=True):
    """The CPU time of one job, and its highest resident set."""

    cpu_ns: int
    peak_bytes: int


class Meter:
    """A cell's usage, read from the kernel: a cell's own figures are not trusted."""

    def __init__(self, pid: int) -> None:
        """Read the counters of process `pid`, a grandchild that is not reaped yet."""
        self.resident_bytes = 0
        self._sampled_bytes = 0
        # Private memory, resident or not: what RLIMIT_DATA limits.
        self._private_bytes = 0
        self._private_before_bytes = 0
        self._statm_fd = _open(f"/proc/{pid}/statm")
        self._status_fd = _open(f"/proc/{pid}/status")
        self._clock = (~pid << 3) | _CPU_CLOCK
        self._began_ns = 0
        self._peak_bytes = 0
        self._peak_before_bytes = 0
        self._status_is_new = False

    def begin(self) -> None:
        """Start measuring."""
        if not self._status_is_new:
            self._read_status()
        self._status_is_new = False
        self._sampled_bytes = self.resident_bytes
        self._private_before_bytes = self._private_bytes
        self._began_ns = self._cpu_ns()
        self._peak_before_bytes = self._peak_bytes

    def sample(self) -> int:
        """Return the current resident set, in bytes."""
        with suppress(OSError, IndexError, ValueError):
            fields = os.pread(self._statm_fd, 128, 0).split()
            self.resident_bytes = int(fields[1]) * _PAGE_BYTES
            self._sampled_bytes = max(self._sampled_bytes, self.resident_bytes)
            # An ended process has none; what it had last is evidence.
            self._private_bytes = int(fields[5]) * _PAGE_BYTES or self._private_bytes
        return self.resident_bytes

    @property
    def private_growth_bytes(self) -> int:
        """How much the private memory had grown since `begin`, by the last sample."""
        return self._private_bytes - self._private_before_bytes

    def cpu_ns(self, account: Exit | None = None) -> int:
        """CPU time since `begin`; `account`: of the process that has ended."""
        until_ns = self._cpu_ns() if account is None else account.cpu_ns
        return max(until_ns - self._began_ns, 0)

    def peak_bytes(self, account: Exit | None = None) -> int:
        """Highest resident set since `begin`.

        The kernel's peak, which the cell resets when a job arrives. An unchanged peak was not
        reset and says nothing about this job; then the highest of the samples every 10 ms.
        """
        if account is None:
            self._read_status()
            peak_bytes = self._peak_bytes
        else:
            peak_bytes = account.peak_bytes
        if peak_bytes == self._peak_before_bytes and self._sampled_bytes:
            return self._sampled_bytes
        return peak_bytes

    def used(self) -> Used | None:
        """Return the usage since `begin`; None: the process has ended, see its account."""
        try:
            until_ns = time.clock_gettime_ns(self._clock)
        except OSError:
            return None
        # Read last: an exiting process frees its memory first; without the file there is no peak.
        peak_bytes = self.peak_bytes()
        if self._status_fd >= 0 and not self._peak_bytes:
            return None
        return Used(cpu_ns=max(until_ns - self._began_ns, 0), peak_bytes=peak_bytes)

    @property
    def is_stopped(self) -> bool:
        """Whether the process is stopped (SIGSTOP, a tracer); `begin` uses what is read for it."""
        self._status_is_new = True
        return self._read_status() in _STOPPED

    def close(self) -> None:
        """Close the kernel's files."""
        for fd in (self._statm_fd, self._status_fd):
            if fd >= 0:
                os.close(fd)
        self._statm_fd = self._status_fd = -1

    @property
    def total_cpu_ns(self) -> int:
        """CPU time of the process so far."""
        return self._cpu_ns()

    def _cpu_ns(self) -> int:
        try:
            return time.clock_gettime_ns(self._clock)
        except OSError:
            return self._began_ns  # it has ended

    def _read_status(self) -> bytes:
        """Read peak and size of the resident set; return the process's state."""
        match = None
        with suppress(OSError):  # it has ended
            match = _STATUS.search(os.pread(self._status_fd, 4_096, 0))
        self._peak_bytes = 0
        if match is None:
            return b""
        if match[2] is not None:
            self._peak_bytes = int(match[2]) * 1_024
            self.resident_bytes = int(match[3]) * 1_024
        return match[1]


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # it has ended already
