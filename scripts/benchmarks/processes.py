"""Read the resource usage of this process's sandboxes from the kernel."""

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
# Fields of /proc/pid/stat after the name: cutime and cstime, of reaped children.
_REAPED: Final = slice(13, 15)
_POLL_S: Final = 0.03
_IDLE_POLLS: Final = 4
# CPU time of a process that only waits.
_IDLE_NS: Final = 100_000
_SETTLE_TIMEOUT_S: Final = 30


class Cpu(Struct, frozen=True, kw_only=True):
    """CPU time in ns of the zygote itself, of all its cells, and of the pool's process.

    Exited cells count completely, including the freeing of their memory; their sum is counted
    in ticks of 10 ms.
    """

    zygote_ns: int
    cells_ns: int
    pool_ns: int


def zygotes() -> list[psutil.Process]:
    """List this process's zygotes: the current one, and retired ones that still have cells."""
    processes = []
    for child in psutil.Process().children():
        try:
            if any("app.sandbox" in argument for argument in child.cmdline()):
                processes.append(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return processes


def cells() -> list[psutil.Process]:
    """List the cells of all zygotes."""
    processes = []
    for zygote in zygotes():
        try:
            processes += zygote.children()
        except psutil.NoSuchProcess:
            continue
    return processes


def cpu_of(pid: int) -> int:
    """Return the CPU time of a process and all its threads in ns; 0 if it has exited."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK)
    except OSError:
        return 0


def count_fds(pid: int) -> int:
    """Count the open descriptors of a process."""
    return len(list(Path("/proc", str(pid), "fd").iterdir()))


async def idle_cpu(*, cell_count: int) -> Cpu:
    """Wait until `cell_count` cells are idle and no other exists, then read the clocks."""
    idle_polls = 0
    before = _read_cpu()
    async with asyncio.timeout(_SETTLE_TIMEOUT_S):
        while idle_polls < _IDLE_POLLS:
            await asyncio.sleep(_POLL_S)
            now = _read_cpu()
            is_idle = now.zygote_ns + now.cells_ns <= before.zygote_ns + before.cells_ns + _IDLE_NS
            idle_polls = idle_polls + 1 if is_idle and len(cells()) == cell_count else 0
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
