"""The pool's hold on one cell: its frames, its memory, its end."""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from typing import Final

from msgspec import Struct

from app.sandbox.protocol import HEADER, Kind, check_header

WATCH_INTERVAL_S: Final = 0.01
MAX_STDERR_BYTES: Final = 64 * 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")


class Exit(Struct, frozen=True, kw_only=True):
    """The kernel's account of a process; `status` is negative for a signal, None: unknown."""

    status: int | None
    cpu_ns: int
    peak_bytes: int


def new_channel() -> tuple[socket.socket, socket.socket]:
    """Make a cell's socket pair: the pool's end, which does not block, and the cell's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return ours, theirs


class Cell:
    """One cell process, from its fork to its end. `close` it, or its descriptors stay."""

    def __init__(self, *, pid: int, pidfd: int, channel: socket.socket, stderr_fd: int) -> None:
        """Own the descriptors of a forked cell."""
        self.pid = pid
        self.killed_for: str | None = None
        self.peak_bytes = 0
        self.resident_bytes = 0
        self.memory_ceiling_bytes: int | None = None
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[Exit] = self._loop.create_future()
        self._pidfd = pidfd
        self._channel = channel
        self._stderr = bytearray()
        self._stderr_fd = stderr_fd
        os.set_blocking(stderr_fd, False)
        self._loop.add_reader(stderr_fd, self._read_stderr)
        self._statm_fd = self._open_statm()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, kind: Kind, body: bytes | memoryview = b"") -> None:
        """Send one frame. Raises ConnectionError when the cell is gone."""
        header = HEADER.pack(kind, len(body))
        if len(body) <= 4096:  # noqa: PLR2004 - one system call where the copy is cheap
            await self._loop.sock_sendall(self._channel, header + bytes(body))
            return
        await self._loop.sock_sendall(self._channel, header)
        await self._loop.sock_sendall(self._channel, body)

    async def receive(self) -> tuple[Kind, bytes] | None:
        """Receive one frame; None at the end. Raises ProtocolError."""
        header = await self._receive_exactly(HEADER.size)
        if header is None:
            return None
        kind, length = check_header(header)
        body = await self._receive_exactly(length)
        return None if body is None else (kind, bytes(body))

    def watch_memory(self) -> None:
        """Read the resident set from now on, every 10 ms; kill the cell over its ceiling."""
        if self._closed or self.exited.done():
            return
        with suppress(OSError, IndexError, ValueError):
            pages = int(os.pread(self._statm_fd, 128, 0).split()[1])
            self.resident_bytes = pages * _PAGE_BYTES
            self.peak_bytes = max(self.peak_bytes, self.resident_bytes)
        ceiling = self.memory_ceiling_bytes
        if ceiling is not None and self.resident_bytes > ceiling:
            self.kill("memory")
            return
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self.watch_memory)

    def kill(self, reason: str) -> None:
        """SIGKILL, by pidfd: never another process of the same number."""
        if self.killed_for is None and not self.exited.done():
            self.killed_for = reason
        if not self._closed:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def ended(self, account: Exit) -> None:
        """Take note of the end; the spawner calls it."""
        if not self.exited.done():
            self.exited.set_result(account)

    @property
    def pidfd(self) -> int:
        """The descriptor that stands for this very process."""
        return self._pidfd

    def last_words(self) -> bytes:
        """Return what the cell wrote to stderr, V8's last message among it."""
        if not self._closed:
            self._read_stderr()
        return bytes(self._stderr)

    def close(self) -> None:
        """Kill the cell if it still runs and let go of it."""
        if self._closed:
            return
        self.kill("closed")
        self.last_words()
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        self._loop.remove_reader(self._stderr_fd)
        self._channel.close()
        for fd in (self._stderr_fd, self._pidfd, self._statm_fd):
            if fd >= 0:
                os.close(fd)

    async def _receive_exactly(self, length: int) -> bytearray | None:
        buffer = bytearray(length)
        view = memoryview(buffer)
        while view:
            try:
                count = await self._loop.sock_recv_into(self._channel, view)
            except ConnectionError:
                return None
            if count == 0:
                return None
            view = view[count:]
        return buffer

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

    def _open_statm(self) -> int:
        try:
            return os.open(f"/proc/{self.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1  # it is gone already
