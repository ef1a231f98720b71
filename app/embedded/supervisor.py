"""Keep services running: start them again with backoff, and give up after repeated fast deaths.

A death for want of disk space counts for nothing: somebody makes room, and no restart of ours
brings it sooner.
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
    log_size,
    log_tail,
    spawn,
    stop,
    sweep,
)

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0
# A service that lives shorter than this has died fast; so many in a row are too many.
FAST_DEATH_SECONDS: Final = 30.0
MAX_FAST_DEATHS: Final = 6
_TICK_SECONDS: Final = 0.1
# Bounded before it is raised.
_MOST_DOUBLINGS: Final = 16


class Supervisor:
    """Services in groups: started group by group, stopped in the reverse order."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._groups: list[list[_SupervisedProcess]] = []

    def start(self, *services: Service) -> None:
        """Start a group at once; `await_ready` waits for it."""
        group: list[_SupervisedProcess] = []
        # Known before it is complete, so that a failure on the way stops what has started.
        self._groups.append(group)
        for service in services:
            group.append(_SupervisedProcess(service))  # noqa: PERF401

    def await_ready(self) -> None:
        """Wait for the group that was started last, which is not tried again.

        Raises ServiceFailed.
        """
        *before, last = ([kept.running for kept in group] for group in self._groups)
        await_ready(last, beside=[running for group in before for running in group])

    def check(self) -> None:
        """Look after everything once. Raises ServiceFailed for a service that does not stay up."""
        for group in self._groups:
            for kept in group:
                kept.check()

    def watch(self, until: subprocess.Popen[bytes] | None = None) -> int:
        """Look after everything until another process ends, whose exit code is returned."""
        while until is None or until.poll() is None:
            self.check()
            time.sleep(_TICK_SECONDS)
        return until.returncode

    def stop(self) -> None:
        """Stop everything, the last group first, each in bounded time."""
        for group in reversed(self._groups):
            stop([kept.running for kept in group])
        self._groups.clear()


class _SupervisedProcess:
    """One service with its process and the history of its deaths."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._log_began = log_size(service.log)
        self.process = spawn(service)
        self._started = time.monotonic()
        self._restart_at: float | None = None
        self._fast_deaths = 0
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
        sweep(self.process)
        if disk_is_full(self.service.log, since=self._log_began):
            self._wait_for_disk(now)
            return
        fast = now - self._started < FAST_DEATH_SECONDS
        self._fast_deaths = self._fast_deaths + 1 if fast else 1
        ending = f"{self.service.name} ended with {ending_of(self.process)}"
        if self._fast_deaths >= MAX_FAST_DEATHS:
            message = f"{ending}, {MAX_FAST_DEATHS} times in a row{log_tail(self.service.log)}"
            raise ServiceFailed(message)
        pause_seconds = min(
            FIRST_PAUSE_SECONDS * 2 ** (self._fast_deaths - 1), LONGEST_PAUSE_SECONDS
        )
        sys.stderr.write(f"crivo: {ending}; starting it again in {pause_seconds:.1f} s\n")
        self._restart_at = now + pause_seconds

    def _wait_for_disk(self, now: float) -> None:
        if not self._full_disks:
            sys.stderr.write(
                f"crivo: {self.service.name} has no disk space left below "
                f"{self.service.log.parent.parent}; it is started again until there is some\n"
            )
        pause_seconds = min(FIRST_PAUSE_SECONDS * 2**self._full_disks, LONGEST_PAUSE_SECONDS)
        self._full_disks = min(self._full_disks + 1, _MOST_DOUBLINGS)
        self._restart_at = now + pause_seconds
