"""Let executions in as the host's memory allows, first come, first served."""

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

# What is left to the system, the databases beside us, and V8's overshoot above a limit.
_SHARE: Final = 0.75
_CGROUPS: Final = Path("/sys/fs/cgroup")
# The older kernels' own file, and the same in a hierarchy of its own.
_LIMITS: Final = ("memory.max", "memory.limit_in_bytes", "memory/memory.limit_in_bytes")


class Admission:
    """A budget of bytes that runs hold while they run.

    What is asked for is what a run may take before it is killed, not what it takes: then runs
    cannot push the host out of memory together. Payloads come on top, from the other quarter.
    """

    def __init__(self, budget_bytes: int | None) -> None:
        """Admit up to `budget_bytes` at a time; None: any number."""
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, size_bytes: int) -> None:
        """Wait for room. What is larger than the whole budget is let in when it is alone."""
        if not self._waiting and self._fits(size_bytes):
            self._held_bytes += size_bytes
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(size_bytes)
            else:
                with suppress(ValueError):  # who was cancelled is passed over when its turn comes
                    self._waiting.remove((size_bytes, turn))
                self._admit()
            raise

    def release(self, size_bytes: int) -> None:
        """Give back what `acquire` gave."""
        self._held_bytes -= size_bytes
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size_bytes, turn = self._waiting.popleft()
            if not turn.done():
                self._held_bytes += size_bytes
                turn.set_result(None)

    def _fits(self, size_bytes: int) -> bool:
        return (
            self._budget_bytes is None
            or self._held_bytes == 0
            or self._held_bytes + size_bytes <= self._budget_bytes
        )


def budget_of_host() -> int | None:
    """Give the share of this host's or container's memory that runs may hold, in bytes.

    None where the system does not say.
    """
    limits = [*_cgroup_limits(), *_total()]
    return int(min(limits) * _SHARE) if limits else None


def _total() -> list[int]:
    with suppress(OSError, ValueError, IndexError):
        first = Path("/proc/meminfo").read_text(encoding="ascii").partition("\n")[0]
        return [int(first.split()[1]) * 1_024]
    return []


def _cgroup_limits() -> list[int]:
    """Read the limits of our control group and of those above it, both versions."""
    found = []
    for folder in _cgroup_folders():
        for name in _LIMITS:
            with suppress(OSError, ValueError):  # not there, or "max"
                found.append(int((folder / name).read_text(encoding="ascii")))
    return found


def _cgroup_folders() -> list[Path]:
    folders = {_CGROUPS}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in {"", "memory"}:
                own = _CGROUPS / controllers / path.lstrip("/")
                folders |= {own, *own.parents}
    return [folder for folder in folders if folder.is_relative_to(_CGROUPS)]
