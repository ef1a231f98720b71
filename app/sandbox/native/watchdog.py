"""Terminate JavaScript at its deadline, from a thread that sleeps until then.

The thread is woken only for an earlier deadline than the one to which it sleeps, so that most
calls do not wake it, and a process without work is at rest.
"""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Final, NoReturn

from app.sandbox.native.mini_racer import CANCEL_GRACE_S, DeadlineExceeded

_STACK_BYTES: Final = 512 * 1024


class Watchdog:
    """The deadline of the one call under way in this process."""

    def __init__(self, terminate: Callable[[int], None]) -> None:
        """Call `terminate` with an isolate's address when its call exceeds its deadline."""
        self._terminate = terminate
        self._on_stuck: Callable[[], NoReturn] | None = None
        self._lock = threading.Lock()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._isolate = 0
        self._deadline: float | None = None
        self._asleep_until: float | None = None
        self._fired = False
        self._abandoned = False

    def start(self, *, on_stuck: Callable[[], NoReturn]) -> None:
        """Start the thread, after a fork.

        `on_stuck` runs on it, and ends the process, if a terminated call does not return.
        """
        self._on_stuck = on_stuck
        before = threading.stack_size(_STACK_BYTES)
        threading.Thread(target=self._watch, daemon=True).start()
        threading.stack_size(before)

    def begin_call(self, isolate: int, deadline: float) -> None:
        """Watch a call until `end_call`. Raises DeadlineExceeded."""
        if deadline <= monotonic():
            raise DeadlineExceeded
        with self._lock:
            self._isolate, self._deadline, self._fired = isolate, deadline, False
            if self._asleep_until is None or deadline < self._asleep_until:
                self._asleep_until = deadline
                if self._wake.locked():
                    self._wake.release()

    def end_call(self) -> None:
        """Stop watching. Raises DeadlineExceeded if the call was terminated.

        Does not return if the call was abandoned: the process is about to end.
        """
        with self._lock:
            fired, self._fired, self._deadline = self._fired, False, None
            abandoned = self._abandoned
        if abandoned:
            threading.Event().wait()
        if fired:
            raise DeadlineExceeded

    def _watch(self) -> None:
        while not self._abandoned:
            with self._lock:
                now = monotonic()
                if self._deadline is not None and self._deadline <= now:
                    if self._fired:
                        self._abandoned = True
                        continue
                    self._fired = True
                    self._deadline = now + CANCEL_GRACE_S
                    self._terminate(self._isolate)
                until = self._asleep_until = self._deadline
            self._wake.acquire(timeout=-1 if until is None else max(0.0, until - now))
        if self._on_stuck is not None:
            self._on_stuck()
