"""What the processes of this process's sandboxes use, as the kernel counts it."""

import asyncio
import os
import time
from pathlib import Path
from typing import Final

import psutil
from msgspec import Struct

# The low bits of another process's own clock id (CPUCLOCK_SCHED, clock_getcpuclockid(3)).
_CPU_CLOCK: Final = 2
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
# In /proc/pid/stat behind the name: cutime and cstime, of the children that were reaped.
_REAPED: Final = slice(13, 15)
_STILL_S: Final = 0.03
_STILL_LOOKS: Final = 4
# What a process may use while it only waits.
_STILL_NS: Final = 100_000
_SETTLE_TIMEOUT_S: Final = 30


class Cpu(Struct, frozen=True, kw_only=True):
    """CPU time so far, in ns: the zygote's own, that of all its cells, and of the pool's process.

    Cells that have ended are in it to their last instruction, freeing their memory included;
    their sum is counted in ticks of 10 ms.
    """

    zygote_ns: int
    cells_ns: int
    pool_ns: int


def zygotes() -> list[psutil.Process]:
    """Find this process's zygotes: one, and those that are retired but still have cells."""
    found = []
    for child in psutil.Process().children():
        try:
            if any("app.sandbox" in argument for argument in child.cmdline()):
                found.append(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def cells() -> list[psutil.Process]:
    """Find the cells of all zygotes."""
    found = []
    for zygote in zygotes():
        try:
            found += zygote.children()
        except psutil.NoSuchProcess:
            continue
    return found


def cpu_of(pid: int) -> int:
    """Give the CPU time of a process and all its threads, in ns; 0 when it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK)
    except OSError:
        return 0


def count_fds(pid: int) -> int:
    """Count the open descriptors of a process."""
    return len(list(Path("/proc", str(pid), "fd").iterdir()))


async def settled_cpu(*, living: int) -> Cpu:
    """Wait until so many cells live and none does anything, then read the clocks."""
    still = 0
    before = _read_cpu()
    async with asyncio.timeout(_SETTLE_TIMEOUT_S):
        while still < _STILL_LOOKS:
            await asyncio.sleep(_STILL_S)
            now = _read_cpu()
            calm = now.zygote_ns + now.cells_ns <= before.zygote_ns + before.cells_ns + _STILL_NS
            still = still + 1 if calm and len(cells()) == living else 0
            before = now
    return before


def _read_cpu() -> Cpu:
    (zygote,) = zygotes()
    stat = Path("/proc", str(zygote.pid), "stat").read_text(encoding="ascii", errors="replace")
    reaped_ticks = sum(int(ticks) for ticks in stat.rpartition(")")[2].split()[_REAPED])
    living_ns = sum(cpu_of(cell.pid) for cell in zygote.children())
    return Cpu(
        zygote_ns=cpu_of(zygote.pid),
        cells_ns=reaped_ticks * _TICK_NS + living_ns,
        pool_ns=time.process_time_ns(),
    )
