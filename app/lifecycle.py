"""End processes: with status 0 on a signal, and by a watchdog when they hang."""

import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

# sysexits.h: EX_SOFTWARE. A supervisor restarts the process.
EXIT_HUNG: Final = 70
# Checks within the time that is allowed between two beats.
_CHECKS: Final = 20


def exit_cleanly_on_signals() -> None:
    """Exit with status 0 on SIGTERM and SIGINT, until another handler is installed.

    Without a handler, SIGTERM does not end process 1 of a container at all, and elsewhere both
    signals end a process with a status that looks like a failure.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)


def _exit(_number: int, _frame: object) -> None:
    sys.exit(0)


class Watchdog:
    """Ends this process when a recurring task stops recurring.

    A supervisor restarts a process that has ended, but not one that hangs. Time is counted in
    checks of the watchdog's own thread: none passes while the whole process is stopped or
    starved.
    """

    def __init__(self, seconds: float) -> None:
        """Allow `seconds` between two beats of a task; 0 disables the watchdog."""
        self._seconds = seconds
        self._silent_seconds: dict[str, float] = {}
        self._closed = threading.Event()

    def beat(self, task: str) -> None:
        """Report that a task is being done; the first beat registers it."""
        self._silent_seconds[task] = 0.0

    def dismiss(self, task: str) -> None:
        """Stop watching a task."""
        self._silent_seconds.pop(task, None)

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    def watch(self) -> None:
        """Check until closed; runs in a thread."""
        pause_seconds = self._seconds / _CHECKS
        while not self._closed.wait(pause_seconds):
            for task in list(self._silent_seconds):
                silent_seconds = self._silent_seconds.get(task)
                if silent_seconds is None:
                    continue
                if silent_seconds >= self._seconds:
                    _end_hung(task, self._seconds)
                # This may overwrite a beat of the moment; the next one makes up for it.
                self._silent_seconds[task] = silent_seconds + pause_seconds


@contextmanager
def open_watchdog(seconds: float) -> Iterator[Watchdog]:
    """Watch tasks for the length of the block."""
    watchdog = Watchdog(seconds)
    if seconds:
        threading.Thread(target=watchdog.watch, name="watchdog", daemon=True).start()
    try:
        yield watchdog
    finally:
        watchdog.close()


def _end_hung(task: str, seconds: float) -> None:
    """Write which task hangs and where, and exit at once."""
    event = {
        "event": "process.hung",
        "level": "critical",
        "duty": task,
        "seconds": seconds,
        "at": datetime.now(UTC).isoformat(),
    }
    # Not through logging: the thread that hangs may hold its lock.
    os.write(2, json.dumps(event).encode("ascii") + b"\n")
    faulthandler.dump_traceback(file=2, all_threads=True)
    os._exit(EXIT_HUNG)
