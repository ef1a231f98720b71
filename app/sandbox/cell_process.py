"""Control one cell process: exchange frames, watch memory and CPU time, kill it."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from app.sandbox.frame_buffer import FrameBuffer
from app.sandbox.meter import Exit, Meter
from app.sandbox.protocol import CHUNK_BYTES, Frame, Kind, join_frames

# The socket's send buffer: a payload of 1 MiB is sent in one turn of the event loop. The kernel
# gives less if `net.core.wmem_max` is lower.
_CHANNEL_BYTES: Final = 1024 * 1024
# More is left in the channel until this has been taken.
_MAX_BUFFER_BYTES: Final = CHUNK_BYTES
WATCH_INTERVAL_S: Final = 0.01
MAX_STDERR_BYTES: Final = 64 * 1024
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
        self._buffer = FrameBuffer()
        self._arrival: asyncio.Future[None] | None = None
        self._reading = False
        self._ended = False
        # The source that the cell has, after its first job.
        self.source: bytes | None = None
        self._stderr = bytearray()
        self._stderr_fd = stderr_fd
        os.set_blocking(stderr_fd, False)
        self._loop.add_reader(stderr_fd, self._read_stderr)
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    def send_at_once(self, frames: Sequence[Frame]) -> list[memoryview]:
        """Send what the channel takes now; return the rest, for `send`.

        Raises ConnectionError if the cell has ended.
        """
        pieces = join_frames(frames)
        if not pieces:
            return []
        try:
            sent = self._channel.sendmsg(pieces)
        except BlockingIOError:
            sent = 0
        rest = []
        for piece in pieces:
            if sent < len(piece):
                rest.append(memoryview(piece)[sent:])
            sent = max(sent - len(piece), 0)
        return rest

    async def send(self, pieces: Sequence[memoryview]) -> None:
        """Send the rest of frames. Raises ConnectionError if the cell has ended."""
        for piece in pieces:
            await self._loop.sock_sendall(self._channel, piece)

    def received(self) -> tuple[Kind, bytes] | None:
        """Take a frame that has arrived; None: there is none. Raises ProtocolError."""
        return self._buffer.take()

    async def receive(self) -> tuple[Kind, bytes] | None:
        """Receive one frame; None: the cell has ended. Raises ProtocolError."""
        while (frame := self._buffer.take()) is None:
            if self._ended:
                return None
            if not self._reading:
                self._reading = True
                self._loop.add_reader(self._channel, self._read)
            self._arrival = self._loop.create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        return frame

    def _read(self) -> None:
        """Receive what has arrived, unless nobody waits for it: then the channel holds it.

        Receives until nothing is left: uvloop drops the reader of a socket whose other end was
        closed before it had read everything, after this call.
        """
        if self._arrival is None or self._arrival.done():
            self._stop_reading()
            return
        while not self._ended and self._buffer.length < _MAX_BUFFER_BYTES:
            try:
                piece = self._channel.recv(self._buffer.wanted_bytes)
            except BlockingIOError:
                break
            except OSError:
                piece = b""
            self._buffer.append(piece)
            self._ended = not piece
        else:
            self._stop_reading()
        self._arrival.set_result(None)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._channel)

    def is_silent(self) -> bool:
        """Return whether nothing is pending: no frame, nothing on stderr, no end."""
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self._buffer.is_empty and not self.stderr_tail()
        except OSError:
            pass
        return False

    def begin(self) -> None:
        """Measure and watch the next job, until `rest`."""
        self.memory_ceiling_bytes = None
        self.cpu_ceiling_ns = None
        self.meter.begin()
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self._check_usage)

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
        self._stop_reading()
        self._loop.remove_reader(self._stderr_fd)
        self._channel.close()
        for fd in (self._stderr_fd, self._pidfd):
            os.close(fd)

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
