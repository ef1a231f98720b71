"""Confine the process of a task to its files before it opens one, and measure what is in force."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.exports.plan.task_filter import task_filter
from app.sandbox import landlock, lockdown, seccomp
from app.sandbox.landlock import CHANGE, READ, READ_FILES, Rule

_APP: Final = Path(__file__).resolve().parents[2]
# DuckDB asks for the limits of its control group when it opens a database, and fails if it may
# not read what is there.
_GROUP: Final = "/proc/self/cgroup"
_GROUPS: Final = "/sys/fs/cgroup"
# For moments that DuckDB gives to Python.
_TIME_ZONES: Final = "/usr/share/zoneinfo"


def confine(
    files: Sequence[str], folders: Sequence[str], *, parent_pid: int, status_fd: int
) -> dict[str, str]:
    """Let this process read files and change folders, nothing else; return what is in force.

    No library can be loaded afterwards. `status_fd` is `/proc/self/status`, opened before. What
    the kernel lacks is `off` with the reason, and the rest is in force.
    """
    with suppress(FileNotFoundError):
        # Open until the end: the kernel may make another file of this name, without the rule,
        # once nobody uses this one.
        os.open(_GROUP, os.O_RDONLY | os.O_CLOEXEC)
    lockdown.empty_environment()
    lockdown.close_to_others()
    states = lockdown.measure(parent_pid=parent_pid)
    states |= landlock.enter(parent_pid=parent_pid, rules=_rules(files, folders))
    return states | seccomp.install(task_filter(own_pid=os.getpid()), status_fd=status_fd)


def _rules(files: Sequence[str], folders: Sequence[str]) -> Iterator[Rule]:
    for path in (*files, _GROUP, _GROUPS):
        yield Rule(path, READ_FILES)
    for path in _program():
        yield Rule(path, READ)
    for path in folders:
        yield Rule(path, CHANGE)


def _program() -> Iterator[str]:
    """Yield where Python and its libraries are, for a traceback and what is imported late."""
    yield str(_APP)
    yield _TIME_ZONES
    # Not the folder that has `app`: it may have other things, too.
    yield from (path for path in sys.path if path and Path(path) != _APP.parent)
