"""Keep services running: restart them with backoff, and give up after repeated fast exits.

Exits because of a full disk do not count: the service is retried until there is space.
"""

import subprocess
import sys
import time
from typing import Final

from app.embedded.errors import ServiceFailed
from app.embedded.processes import (
    Running,
    Service,
    await_ready,
    bound_log,
    disk_is_full,
    ending_of,
    kill_group,
    log_size,
    log_tail,
    spawn,
    stop,
)

MIN_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 5.0
# An exit within this time is a fast one; MAX_FAST_EXITS in a row end the supervisor.
FAST_EXIT_SECONDS: Final = 30.0
MAX_FAST_EXITS: Final = 6
_TICK_SECONDS: Final = 0.1
# Bounds the exponent, which a full disk could raise without end.
_MAX_DOUBLINGS: Final = 16


class Supervisor:
    """Supervises groups of services, which stop in the reverse order of their starts."""

    def __init__(self) -> None:
        """Start without services."""
        self._groups: list[list[_SupervisedProcess]] = []

    def start(self, *services: Service) -> None:
        """Start a group of services; `await_ready` waits for it."""
        group: list[_SupervisedProcess] = []
        # Registered before it is complete, so that a failure stops the services already started.
        self._groups.append(group)
        for service in services:
            group.append(_SupervisedProcess(service))  # noqa: PERF401

    def await_ready(self) -> None:
        """Wait for the group that was started last; its services are not restarted meanwhile.

        Raises ServiceFailed.
        """
        *before, last = ([process.running for process in group] for group in self._groups)
        await_ready(last, beside=[running for group in before for running in group])

    def check(self) -> None:
        """Check every service once. Raises ServiceFailed for one that keeps exiting."""
        for group in self._groups:
            for process in group:
                process.check()

    def watch(self, until: subprocess.Popen[bytes] | None = None) -> int:
        """Check every service until another process ends, and return its exit code."""
        while until is None or until.poll() is None:
            self.check()
            time.sleep(_TICK_SECONDS)
        return until.returncode

    def stop(self) -> None:
        """Stop every service, the last group first, each in bounded time."""
        for group in reversed(self._groups):
            stop([process.running for process in group])
        self._groups.clear()


class _SupervisedProcess:
    """One service with its current process and the history of its exits."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._log_began = log_size(service.log)
        self.process = spawn(service)
        self._started = time.monotonic()
        self._restart_at: float | None = None
        self._fast_exits = 0
        self._full_disks = 0

    @property
    def running(self) -> Running:
        return self.service, self.process

    def check(self) -> None:
        now = time.monotonic()
        if self._restart_at is None:
            if self.process.poll() is None:
                bound_log(self.service.log)
                if self._full_disks and self.service.is_ready():
                    self._full_disks = 0
                    sys.stderr.write(f"crivo: {self.service.name} works again\n")
                return
            self._plan_restart(now)
        elif now >= self._restart_at:
            self._log_began = log_size(self.service.log)
            self.process = spawn(self.service)
            self._started = time.monotonic()
            self._restart_at = None

    def _plan_restart(self, now: float) -> None:
        kill_group(self.process)
        if disk_is_full(self.service.log, since=self._log_began):
            self._wait_for_disk(now)
            return
        is_fast = now - self._started < FAST_EXIT_SECONDS
        self._fast_exits = self._fast_exits + 1 if is_fast else 1
        ending = f"{self.service.name} ended with {ending_of(self.process)}"
        if self._fast_exits >= MAX_FAST_EXITS:
            message = f"{ending}, {MAX_FAST_EXITS} times in a row{log_tail(self.service.log)}"
            raise ServiceFailed(message)
        backoff_seconds = min(
            MIN_BACKOFF_SECONDS * 2 ** (self._fast_exits - 1), MAX_BACKOFF_SECONDS
        )
        sys.stderr.write(f"crivo: {ending}; restarting it in {backoff_seconds:.1f} s\n")
        self._restart_at = now + backoff_seconds

    def _wait_for_disk(self, now: float) -> None:
        if not self._full_disks:
            sys.stderr.write(
                f"crivo: {self.service.name} has no disk space left below "
                f"{self.service.log.parent.parent}; retrying until there is\n"
            )
        backoff_seconds = min(MIN_BACKOFF_SECONDS * 2**self._full_disks, MAX_BACKOFF_SECONDS)
        self._full_disks = min(self._full_disks + 1, _MAX_DOUBLINGS)
        self._restart_at = now + backoff_seconds
