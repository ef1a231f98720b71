"""Serve jobs in a cell: a pool of isolates for one tenant, one isolate per job.

Imports the standard library and V8 only. An exception here ends the process, which the pool
notices.
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn

from app.sandbox import lockdown
from app.sandbox.job import IsolateSlot
from app.sandbox.protocol import (
    VERSION,
    Frame,
    FrameReader,
    Isolation,
    Kind,
    encode_json,
    send_frames,
)
from app.sandbox.v8 import Engine

# Written to clear_refs, it resets the peak of the resident set (proc(5)).
_RESET_PEAK: Final = b"5"


def serve(
    engine: Engine,
    channel: socket.socket,
    *,
    isolates: int,
    zygote_pid: int,
    namespaces: dict[str, str],
) -> None:
    """Lock down, send READY, run up to `isolates` jobs."""
    cell = enter(
        engine,
        channel,
        isolates=isolates,
        zygote_pid=zygote_pid,
        namespaces=namespaces,
    )
    while cell.run_job():
        pass


def enter(
    engine: Engine,
    channel: socket.socket,
    *,
    isolates: int,
    zygote_pid: int,
    namespaces: dict[str, str],
) -> "_Cell":
    """Make the isolates, lock down and send READY; nothing undoes the lockdown."""
    status_fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    peak_fd = -1
    with suppress(OSError):  # then peaks are those of the pool's samples
        peak_fd = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    dropped = lockdown.drop_privileges(
        parent_pid=zygote_pid,
        keep_fds=frozenset({2, channel.fileno(), status_fd, peak_fd} - {-1}),
    )
    cell = _Cell(channel, status_fd=status_fd, peak_fd=peak_fd)
    cell.fill(engine, isolates=isolates)
    measures = lockdown.seal(
        parent_pid=zygote_pid, status_fd=status_fd, measured={**namespaces, **dropped}
    )
    ready = {
        "protocol": VERSION,
        "v8": engine.version,
        "lockdown": measures,
        "isolates": isolates,
        "isolation": Isolation.PROCESS if isolates == 1 else Isolation.ISOLATE,
    }
    cell.send([(Kind.READY, encode_json(ready))])
    return cell


class _Cell:
    """The isolate pool of this process, and the channel for its jobs."""

    def __init__(self, channel: socket.socket, *, status_fd: int, peak_fd: int) -> None:
        self._channel = channel
        self._reader = FrameReader(channel)
        self._send_lock = threading.Lock()
        self._status_fd = status_fd
        self._peak_fd = peak_fd
        self._slots: deque[IsolateSlot] = deque()
        self._current: IsolateSlot | None = None

    def fill(self, engine: Engine, *, isolates: int) -> None:
        """Open all isolates and start all threads: none can start after the lockdown."""
        for _ in range(isolates):
            self._slots.append(IsolateSlot(engine, send=self.send))
        engine.start_watchdog(on_stuck=self._give_up)

    def send(self, frames: Sequence[Frame]) -> None:
        """Send frames together; console lines come from an isolate's thread."""
        with self._send_lock:
            send_frames(self._channel, frames)

    def run_job(self) -> bool:
        """Run one job. Returns whether another may follow; then AGAIN was sent."""
        slot = self._current = self._slots.popleft()
        self._reader.wait()
        # The pool has read the last job's peak before it sends this one.
        if self._peak_fd >= 0:
            os.write(self._peak_fd, _RESET_PEAK)
        if not slot.run_job(self._reader, status_fd=self._status_fd) or not self._slots:
            return False
        slot.close()
        self.send([(Kind.AGAIN, b"")])
        return True

    def _give_up(self) -> NoReturn:
        """Answer for a job that is stuck in V8; runs on the watchdog's thread."""
        try:
            if self._current is not None:
                self._current.give_up()
        finally:
            os._exit(0)
