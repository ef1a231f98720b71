"""How our processes end: with 0 when they are told to, by themselves when they hang."""

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

# sysexits.h: EX_SOFTWARE. Whoever keeps the process starts it again.
EXIT_HUNG: Final = 70
_LOOKS: Final = 20


def exit_cleanly_when_told() -> None:
    """End with 0 for SIGTERM and SIGINT, unless somebody handles them later.

    As process 1 of a container this process would otherwise not end at all for the first, and
    elsewhere in a way that looks like a failure.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)


def _exit(_number: int, _frame: object) -> None:
    sys.exit(0)


class Watchdog:
    """Ends this process when something that should happen again and again no longer does.

    A supervisor starts again what has ended, not what hangs. Time is counted by looks of its own
    thread: while the whole process is stopped or starved, none passes.
    """

    def __init__(self, seconds: float) -> None:
        """Allow so many seconds between two beats; 0: any number."""
        self._seconds = seconds
        self._missed: dict[str, float] = {}
        self._closed = threading.Event()

    def beat(self, duty: str) -> None:
        """Say that a duty goes on."""
        self._missed[duty] = 0.0

    def dismiss(self, duty: str) -> None:
        """Expect no more of a duty."""
        self._missed.pop(duty, None)

    def close(self) -> None:
        """Expect nothing any more."""
        self._closed.set()

    def watch(self) -> None:
        """Look until closed; run in a thread."""
        pause_seconds = self._seconds / _LOOKS
        while not self._closed.wait(pause_seconds):
            for duty in list(self._missed):
                missed = self._missed.get(duty)
                if missed is None:
                    continue
                if missed >= self._seconds:
                    _end_hung(duty, self._seconds)
                # A beat in between is lost, and the next one counts.
                self._missed[duty] = missed + pause_seconds


@contextmanager
def open_watchdog(seconds: float) -> Iterator[Watchdog]:
    """Watch over duties until the context ends."""
    watchdog = Watchdog(seconds)
    if seconds:
        threading.Thread(target=watchdog.watch, name="watchdog", daemon=True).start()
    try:
        yield watchdog
    finally:
        watchdog.close()


def _end_hung(duty: str, seconds: float) -> None:
    """Say what hangs and where, and end at once."""
    event = {
        "event": "process.hung",
        "level": "critical",
        "duty": duty,
        "seconds": seconds,
        "at": datetime.now(UTC).isoformat(),
    }
    # Not by the log: whoever hangs may hold its lock.
    os.write(2, json.dumps(event).encode("ascii") + b"\n")
    faulthandler.dump_traceback(file=2, all_threads=True)
    os._exit(EXIT_HUNG)
