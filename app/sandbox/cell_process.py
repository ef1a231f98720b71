"""The pool's hold on one cell: its frames, its memory and CPU time, its end."""

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

# So much waits in a channel for its reader: a payload of 1 MiB goes in one turn of the loop.
# The kernel gives less where `net.core.wmem_max` says so.
_CHANNEL_BYTES: Final = 1024 * 1024
WATCH_INTERVAL_S: Final = 0.01
MAX_STDERR_BYTES: Final = 64 * 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
# The low bits of a process's own clock id (CPUCLOCK_SCHED, clock_getcpuclockid(3)).
_CPU_CLOCK: Final = 2
# Why the pool kills, in a word for counters; what is not here is a cell that does not answer.
_ENDS: Final = {
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
    """The kernel's account of a process; `status` is negative for a signal, None: unknown."""

    status: int | None
    cpu_ns: int
    peak_bytes: int


class Used(Struct, frozen=True, kw_only=True):
    """What one job took of CPU time, and its highest resident set."""

    cpu_ns: int
    peak_bytes: int


def new_channel() -> tuple[socket.socket, socket.socket]:
    """Make a cell's socket pair: the pool's end, which does not block, and the cell's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHANNEL_BYTES)
    ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return ours, theirs


class Cell:
    """One cell process, from its fork to its end. `close` it, or its descriptors stay."""

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
        """Send frames. Raises ConnectionError when the cell is gone."""
        for piece in join_frames(frames):
            await self._loop.sock_sendall(self._channel, piece)

    async def receive(self) -> tuple[Kind, bytes] | None:
        """Receive one frame; None at the end. Raises ProtocolError."""
        header = await self._take(HEADER.size)
        if header is None:
            return None
        kind, length = check_header(header)
        body = await self._take(length)
        return None if body is None else (kind, body)

    def is_silent(self) -> bool:
        """Say whether nothing came that nobody has received: no frame, no word, no end."""
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._received and not self.stderr_tail()
        except OSError:
            pass
        return False

    def begin(self) -> None:
        """Measure the next job from here, and watch it until `rest`."""
        self.memory_ceiling_bytes = None
        self.cpu_ceiling_ns = None
        self.meter.begin()
        self._look()

    def rest(self) -> None:
        """The job is over: nothing is watched."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        """Look every 10 ms; kill the cell over its ceilings."""
        if self._closed or self.exited.done():
            return
        resident_bytes = self.meter.look()
        if self.memory_ceiling_bytes is not None and resident_bytes > self.memory_ceiling_bytes:
            self.kill("memory")
            return
        if self.cpu_ceiling_ns is not None and self.meter.cpu_ns() > self.cpu_ceiling_ns:
            self.kill("cpu")
            return
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self._look)

    def kill(self, reason: str) -> None:
        """SIGKILL, by pidfd: never another process of the same number."""
        if self.killed_for is None and not self.exited.done():
            self.killed_for = reason
        if not self._closed:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    @property
    def end(self) -> str:
        """Say in a word how a cell has come to its end that is not to do another job."""
        if self.killed_for is not None:
            return _ENDS.get(self.killed_for, "unresponsive")
        if not self.exited.done():
            return "given_up"
        # Its own end is a limit that it met, after which V8 is not trusted with a next job.
        return "died" if self.exited.result().status else "limit"

    def ended(self, account: Exit) -> None:
        """Take note of the end; the zygote calls it."""
        if not self.exited.done():
            self.exited.set_result(account)

    @property
    def pidfd(self) -> int:
        """The descriptor that stands for this very process."""
        return self._pidfd

    def stderr_tail(self) -> bytes:
        """Return what the cell wrote to stderr, V8's last message among it."""
        if not self._closed:
            self._read_stderr()
        return bytes(self._stderr)

    def close(self) -> None:
        """Kill the cell if it still runs and let go of it."""
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
        """Take so many bytes; a small part comes with as much more as is there by now."""
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
            words = os.read(self._stderr_fd, MAX_STDERR_BYTES)
        except BlockingIOError:
            return
        if not words:
            self._loop.remove_reader(self._stderr_fd)
            return
        self._stderr += words
        if len(self._stderr) > MAX_STDERR_BYTES:
            del self._stderr[MAX_STDERR_BYTES:]
            self._loop.remove_reader(self._stderr_fd)
            self.kill("a flood on stderr")


class Meter:
    """What a cell uses, as the kernel tells the pool: a cell is not asked."""

    def __init__(self, pid: int) -> None:
        """Read the counters of process `pid`, a child's child that is not yet reaped."""
        self.resident_bytes = 0
        self._sampled_bytes = 0
        self._statm_fd = _open(f"/proc/{pid}/statm")
        self._status_fd = _open(f"/proc/{pid}/status")
        self._clock = (~pid << 3) | _CPU_CLOCK
        self._began_ns = 0
        self._peak_before_bytes = 0

    def begin(self) -> None:
        """Count from here."""
        self._sampled_bytes = 0
        self._began_ns = self._cpu_ns()
        self._peak_before_bytes = self._read_peak()

    def look(self) -> int:
        """Read the resident set, in bytes."""
        with suppress(OSError, IndexError, ValueError):
            pages = int(os.pread(self._statm_fd, 128, 0).split()[1])
            self.resident_bytes = pages * _PAGE_BYTES
            self._sampled_bytes = max(self._sampled_bytes, self.resident_bytes)
        return self.resident_bytes

    def cpu_ns(self, account: Exit | None = None) -> int:
        """CPU time since `begin`, by `account` of the process that has ended."""
        until_ns = self._cpu_ns() if account is None else account.cpu_ns
        return max(until_ns - self._began_ns, 0)

    def peak_bytes(self, account: Exit | None = None) -> int:
        """Highest resident set since `begin`.

        The kernel's peak, which the cell sets back when a job comes. One that is as before was
        not set back, and tells nothing of this job: then what was seen every 10 ms.
        """
        peak_bytes = self._read_peak() if account is None else account.peak_bytes
        if peak_bytes == self._peak_before_bytes and self._sampled_bytes:
            return self._sampled_bytes
        return peak_bytes

    def used(self) -> Used | None:
        """Tell what was used since `begin`; None: it has ended, only its account can tell."""
        used = Used(cpu_ns=self.cpu_ns(), peak_bytes=self.peak_bytes())
        # Looked at last: what ends in between is noticed.
        return used if self._is_whole() else None

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped the process (SIGSTOP, a tracer)."""
        try:
            return _STOPPED.search(os.pread(self._status_fd, 4_096, 0)) is not None
        except OSError:
            return False  # it has ended

    def close(self) -> None:
        """Let go of the kernel's files."""
        for fd in (self._statm_fd, self._status_fd):
            if fd >= 0:
                os.close(fd)
        self._statm_fd = self._status_fd = -1

    def _is_whole(self) -> bool:
        try:
            time.clock_gettime_ns(self._clock)
            # Its memory goes first; without the file there is no peak to lose.
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
            found = _PEAK.search(os.pread(self._status_fd, 4_096, 0))
        except OSError:
            return 0  # it has ended
        return int(found[1]) * 1_024 if found else 0


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # it is gone already
