"""What the kernel's control groups say of this process: its memory limit, and who was killed."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
# The older kernels' own file, and the same in a hierarchy of its own.
_LIMITS: Final = ("memory.max", "memory.limit_in_bytes", "memory/memory.limit_in_bytes")
_EVENTS: Final = ("memory.events", "memory.oom_control", "memory/memory.oom_control")
_OOM_KILL: Final = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


class OomKills:
    """Counts the processes of this control group that the kernel killed for want of memory."""

    def __init__(self) -> None:
        """Open the counter of the nearest group that has one; without one the count stays 0."""
        self._fd = -1
        # The longest path first: our own group, then those above it.
        for folder in sorted(folders(), key=lambda each: len(each.parts), reverse=True):
            for name in _EVENTS:
                with suppress(OSError):
                    self._fd = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
                    return

    def count(self) -> int:
        """Give the count now; only its growth means something."""
        with suppress(OSError):
            found = _OOM_KILL.search(os.pread(self._fd, 4_096, 0))
            return int(found[1]) if found else 0
        return 0

    def close(self) -> None:
        """Let go of the kernel's file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def memory_limits() -> list[int]:
    """Read the limits of our control group and of those above it, both versions."""
    found = []
    for folder in folders():
        for name in _LIMITS:
            with suppress(OSError, ValueError):  # not there, or "max"
                found.append(int((folder / name).read_text(encoding="ascii")))
    return found


def folders() -> list[Path]:
    """Name the folders of our control group and of those above it, where they are mounted."""
    found = {_CGROUPS}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in {"", "memory"}:
                own = _CGROUPS / controllers / path.lstrip("/")
                found |= {own, *own.parents}
    return [folder for folder in found if folder.is_relative_to(_CGROUPS)]
