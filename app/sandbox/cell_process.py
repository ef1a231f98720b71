"""Control one cell process: exchange frames, watch memory and CPU time, kill it."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from msgspec import Struct

from app.sandbox.protocol import (
    HEADER,
    SMALL_BYTES,
    Frame,
    Kind,
    check_header,
    join_frames,
)

# The socket's send buffer: a payload of 1 MiB is sent in one turn of the event loop. The kernel
# gives less if `net.core.wmem_max` is lower.
_CHANNEL_BYTES: Final = 1024 * 1024
WATCH_INTERVAL_S: Final = 0.01
MAX_STDERR_BYTES: Final = 64 * 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
# The low bits of a process's own clock id (CPUCLOCK_SCHED, clock_getcpuclockid(3)).
_CPU_CLOCK: Final = 2
# The label of `crivo_cells_killed_total` for each reason; any other is `unresponsive`.
_END_LABELS: Final = {
    "memory": "memory",
    "cpu": "cpu",
    "deadline": "wall",
    "a breach of the protocol": "protocol",
    "a flood on stderr": "stderr",
    "its payload failed": "payload",
    "the zygote died": "zygote",
}
_PEAK: Final = re.compile(rb"VmHWM:\s+(\d+) kB")
_STOPPED: Final = re.compile(rb"^State:\t[Tt]", re.MULTILINE)


class Exit(Struct, frozen=True, kw_only=True):
    """The kernel's record of an ended process; `status`: negative for a signal, None: unknown."""

    status: int | None
    cpu_ns: int
    peak_bytes: int


class Used(Struct, frozen=True, kw_only=True):
    """The CPU time of one job, and its highest resident set."""

    cpu_ns: int
    peak_bytes: int


def new_channel() -> tuple[socket.socket, socket.socket]:
    """Make a cell's socket pair: the pool's non-blocking end, and the cell's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHANNEL_BYTES)
    ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return ours, theirs


class Cell:
    """One cell process, from its fork to its exit. `close` must be called to free descriptors."""

    def __init__(self, *, pid: int, pidfd: int, channel: socket.socket, stderr_fd: int) -> None:
        """Own the descriptors of a forked cell."""
        self.pid = pid
        self.killed_for: str | None = None
        self.meter = Meter(pid)
        self.memory_ceiling_bytes: int | None = None
        self.cpu_ceiling_ns: int | None = None
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[Exit] = self._loop.create_future()
        self._pidfd = pidfd
        self._channel = channel
        self._received = bytearray()
        self._stderr = bytearray()
        self._stderr_fd = stderr_fd
        os.set_blocking(stderr_fd, False)
        self._loop.add_reader(stderr_fd, self._read_stderr)
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, frames: Iterable[Frame]) -> None:
        """Send frames. Raises ConnectionError if the cell has ended."""
        for piece in join_frames(frames):
            await self._loop.sock_sendall(self._channel, piece)

    async def receive(self) -> tuple[Kind, bytes] | None:
        """Receive one frame; None: the cell has ended. Raises ProtocolError."""
        header = await self._take(HEADER.size)
        if header is None:
            return None
        kind, length = check_header(header)
        body = await self._take(length)
        return None if body is None else (kind, body)

    def is_silent(self) -> bool:
        """Return whether nothing is pending: no frame, nothing on stderr, no end."""
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._received and not self.stderr_tail()
        except OSError:
            pass
        return False

    def begin(self) -> None:
        """Measure and watch the next job, until `rest`."""
        self.memory_ceiling_bytes = None
        self.cpu_ceiling_ns = None
        self.meter.begin()
        self._check_usage()

    def rest(self) -> None:
        """Stop watching: the job has ended."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _check_usage(self) -> None:
        """Check usage every 10 ms; kill the cell above a ceiling."""
        if self._closed or self.exited.done():
            return
        resident_bytes = self.meter.sample()
        if self.memory_ceiling_bytes is not None and resident_bytes > self.memory_ceiling_bytes:
            self.kill("memory")
            return
        if self.cpu_ceiling_ns is not None and self.meter.cpu_ns() > self.cpu_ceiling_ns:
            self.kill("cpu")
            return
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self._check_usage)

    def kill(self, reason: str) -> None:
        """Send SIGKILL by pidfd, which never reaches another process with the same pid."""
        if self.killed_for is None and not self.exited.done():
            self.killed_for = reason
        if not self._closed:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    @property
    def end(self) -> str:
        """The label of how this cell ended, or why it runs no further job."""
        if self.killed_for is not None:
            return _END_LABELS.get(self.killed_for, "unresponsive")
        if not self.exited.done():
            return "given_up"
        # A cell that exits by itself with status 0 has met a limit of its job.
        return "died" if self.exited.result().status else "limit"

    def set_exited(self, account: Exit) -> None:
        """Record the exit; the zygote client calls it."""
        if not self.exited.done():
            self.exited.set_result(account)

    @property
    def pidfd(self) -> int:
        """The descriptor of this process."""
        return self._pidfd

    def stderr_tail(self) -> bytes:
        """Return what the cell wrote to stderr, including V8's last message."""
        if not self._closed:
            self._read_stderr()
        return bytes(self._stderr)

    def close(self) -> None:
        """Kill the cell if it still runs, and close its descriptors."""
        if self._closed:
            return
        self.kill("closed")
        self.stderr_tail()
        self._closed = True
        self.rest()
        self.meter.close()
        self._loop.remove_reader(self._stderr_fd)
        self._channel.close()
        for fd in (self._stderr_fd, self._pidfd):
            os.close(fd)

    async def _take(self, length: int) -> bytes | None:
        """Take `length` bytes; one receive may also fetch bytes of the next frames."""
        received = self._received
        while len(received) < length:
            missing = length - len(received)
            try:
                size = max(missing, 4 * SMALL_BYTES)
                piece = await self._loop.sock_recv(self._channel, size)
            except ConnectionError:
                return None
            if not piece:
                return None
            received += piece
        taken = bytes(memoryview(received)[:length])
        del received[:length]
        return taken

    def _read_stderr(self) -> None:
        try:
            text = os.read(self._stderr_fd, MAX_STDERR_BYTES)
        except BlockingIOError:
            return
        if not text:
            self._loop.remove_reader(self._stderr_fd)
            return
        self._stderr += text
        if len(self._stderr) > MAX_STDERR_BYTES:
            del self._stderr[MAX_STDERR_BYTES:]
            self._loop.remove_reader(self._stderr_fd)
            self.kill("a flood on stderr")


class Meter:
    """A cell's usage, read from the kernel: a cell's own figures are not trusted."""

    def __init__(self, pid: int) -> None:
        """Read the counters of process `pid`, a grandchild that is not reaped yet."""
        self.resident_bytes = 0
        self._sampled_bytes = 0
        self._statm_fd = _open(f"/proc/{pid}/statm")
        self._status_fd = _open(f"/proc/{pid}/status")
        self._clock = (~pid << 3) | _CPU_CLOCK
        self._began_ns = 0
        self._peak_before_bytes = 0

    def begin(self) -> None:
        """Start measuring."""
        self._sampled_bytes = 0
        self._began_ns = self._cpu_ns()
        self._peak_before_bytes = self._read_peak()

    def sample(self) -> int:
        """Return the current resident set, in bytes."""
        with suppress(OSError, IndexError, ValueError):
            pages = int(os.pread(self._statm_fd, 128, 0).split()[1])
            self.resident_bytes = pages * _PAGE_BYTES
            self._sampled_bytes = max(self._sampled_bytes, self.resident_bytes)
        return self.resident_bytes

    def cpu_ns(self, account: Exit | None = None) -> int:
        """CPU time since `begin`; `account`: of the process that has ended."""
        until_ns = self._cpu_ns() if account is None else account.cpu_ns
        return max(until_ns - self._began_ns, 0)

    def peak_bytes(self, account: Exit | None = None) -> int:
        """Highest resident set since `begin`.

        The kernel's peak, which the cell resets when a job arrives. An unchanged peak was not
        reset and says nothing about this job; then the highest of the samples every 10 ms.
        """
        peak_bytes = self._read_peak() if account is None else account.peak_bytes
        if peak_bytes == self._peak_before_bytes and self._sampled_bytes:
            return self._sampled_bytes
        return peak_bytes

    def used(self) -> Used | None:
        """Return the usage since `begin`; None: the process has ended, see its account."""
        used = Used(cpu_ns=self.cpu_ns(), peak_bytes=self.peak_bytes())
        # Checked last, so that a process that ends meanwhile is noticed.
        return used if self._still_exists() else None

    @property
    def is_stopped(self) -> bool:
        """Whether the process is stopped (SIGSTOP, a tracer)."""
        try:
            return _STOPPED.search(os.pread(self._status_fd, 4_096, 0)) is not None
        except OSError:
            return False  # it has ended

    def close(self) -> None:
        """Close the kernel's files."""
        for fd in (self._statm_fd, self._status_fd):
            if fd >= 0:
                os.close(fd)
        self._statm_fd = self._status_fd = -1

    def _still_exists(self) -> bool:
        try:
            time.clock_gettime_ns(self._clock)
            # An exiting process frees its memory first; without the file there is no peak.
            return self._status_fd < 0 or self._read_peak() > 0
        except OSError:
            return False

    @property
    def total_cpu_ns(self) -> int:
        """CPU time of the process so far."""
        return self._cpu_ns()

    def _cpu_ns(self) -> int:
        try:
            return time.clock_gettime_ns(self._clock)
        except OSError:
            return self._began_ns  # it has ended

    def _read_peak(self) -> int:
        try:
            match = _PEAK.search(os.pread(self._status_fd, 4_096, 0))
        except OSError:
            return 0  # it has ended
        return int(match[1]) * 1_024 if match else 0


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # it has ended already
