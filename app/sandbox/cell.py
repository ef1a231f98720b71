"""The life of a cell: a pool of isolates, one tenant, each isolate for one job.

Standard library and V8 only. What is raised here ends the process; the pool sees the death.
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from app.sandbox import lockdown
from app.sandbox.job import IsolateSlot
from app.sandbox.protocol import VERSION, Frame, FrameReader, Kind, encode_json, send_frames
from app.sandbox.v8 import Engine

# What is written to clear_refs to set the peak of the resident set back (proc(5)).
_RESET_PEAK: Final = b"5"


def serve(
    engine: Engine,
    channel: socket.socket,
    *,
    isolates: int,
    zygote_pid: int,
    namespaces: dict[str, str],
) -> None:
    """Lock down, say READY, do up to `isolates` jobs."""
    cell = enter(
        engine,
        channel,
        isolates=isolates,
        zygote_pid=zygote_pid,
        namespaces=namespaces,
    )
    while cell.work():
        pass


def enter(
    engine: Engine,
    channel: socket.socket,
    *,
    isolates: int,
    zygote_pid: int,
    namespaces: dict[str, str],
) -> "_Cell":
    """Prepare, lock down and say READY: nothing is given back after this."""
    status_fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    peak_fd = -1
    with suppress(OSError):  # then peaks are those of the samples
        peak_fd = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    given_up = lockdown.give_up(
        parent_pid=zygote_pid,
        keep_fds=frozenset({2, channel.fileno(), status_fd, peak_fd} - {-1}),
    )
    cell = _Cell(channel, status_fd=status_fd, peak_fd=peak_fd)
    cell.load(engine, isolates=isolates)
    measures = lockdown.seal(
        parent_pid=zygote_pid, status_fd=status_fd, measured={**namespaces, **given_up}
    )
    ready = {
        "protocol": VERSION,
        "v8": engine.version,
        "lockdown": measures,
        "isolates": isolates,
    }
    cell.send([(Kind.READY, encode_json(ready))])
    return cell


class _Cell:
    """A pool of isolates and the channel about their jobs."""

    def __init__(self, channel: socket.socket, *, status_fd: int, peak_fd: int) -> None:
        self._channel = channel
        self._reader = FrameReader(channel)
        self._sending = threading.Lock()
        self._status_fd = status_fd
        self._peak_fd = peak_fd
        self._slots: deque[IsolateSlot] = deque()

    def load(self, engine: Engine, *, isolates: int) -> None:
        """Make all isolates: after the lockdown no thread can start."""
        for _ in range(isolates):
            self._slots.append(IsolateSlot(engine, send=self.send))

    def send(self, frames: Sequence[Frame]) -> None:
        """Send frames, at once; console lines come from an isolate's thread."""
        with self._sending:
            send_frames(self._channel, frames)

    def work(self) -> bool:
        """Do one job. Says whether another may follow: then AGAIN was sent."""
        slot = self._slots.popleft()
        self._reader.wait()
        # Now that the pool has sent a job, it has read what the last one took.
        if self._peak_fd >= 0:
            os.write(self._peak_fd, _RESET_PEAK)
        if not slot.work(self._reader, status_fd=self._status_fd) or not self._slots:
            return False
        slot.close()
        self.send([(Kind.AGAIN, b"")])
        return True
