"""Read this process's control groups: its memory limits, and the kernel's OOM kills."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
# Version 2; version 1; version 1 mounted as a hierarchy of its own.
_LIMITS: Final = ("memory.max", "memory.limit_in_bytes", "memory/memory.limit_in_bytes")
_EVENTS: Final = ("memory.events", "memory.oom_control", "memory/memory.oom_control")
_OOM_KILL: Final = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


class OomKills:
    """The processes of this control group that the kernel killed for lack of memory."""

    def __init__(self) -> None:
        """Open the counter of the nearest group that has one; without one the count is 0."""
        self._fd = -1
        # The longest path first: this process's group, then its ancestors.
        for folder in sorted(folders(), key=lambda each: len(each.parts), reverse=True):
            for name in _EVENTS:
                with suppress(OSError):
                    self._fd = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
                    return

    def count(self) -> int:
        """Return the count; only its growth is meaningful."""
        with suppress(OSError):
            match = _OOM_KILL.search(os.pread(self._fd, 4_096, 0))
            return int(match[1]) if match else 0
        return 0

    def close(self) -> None:
        """Close the kernel's file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def memory_limits() -> list[int]:
    """Read the limits of this process's control group and its ancestors, of both versions."""
    limits = []
    for folder in folders():
        for name in _LIMITS:
            with suppress(OSError, ValueError):  # not there, or "max"
                limits.append(int((folder / name).read_text(encoding="ascii")))
    return limits


def folders() -> list[Path]:
    """Return the folders of this process's control group and its ancestors, if mounted."""
    paths = {_CGROUPS}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in {"", "memory"}:
                own = _CGROUPS / controllers / path.lstrip("/")
                paths |= {own, *own.parents}
    return [folder for folder in paths if folder.is_relative_to(_CGROUPS)]
