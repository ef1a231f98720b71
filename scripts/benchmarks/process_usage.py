"""What the processes of a system use: CPU by part, and peaks of memory, from /proc."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil
from msgspec import Struct

from scripts.benchmarks.processes import cpu_of

_NS: Final = 1_000_000_000
_MIB: Final = 1024 * 1024
# Sets VmHWM to what is resident now (proc_pid_clear_refs(5)).
_RESET_PEAK: Final = "5"


class Account(Struct, frozen=True, kw_only=True):
    """CPU so far in ms by part, and that of this process, which makes the load."""

    parts: Mapping[str, float]
    load_ms: float

    def since(self, before: "Account") -> "Account":
        """Give what was used between two looks."""
        parts = {name: self.parts[name] - before.parts.get(name, 0.0) for name in self.parts}
        return Account(parts=parts, load_ms=self.load_ms - before.load_ms)

    @property
    def total_ms(self) -> float:
        """Add the parts up; without the load."""
        return sum(self.parts.values())


def look(roots: Mapping[str, int]) -> Account:
    """Read the clocks of processes, by name, and of all below them.

    What has ended below a process is in its account of reaped children, in ticks of 10 ms. The
    zygotes and cells of Python's processes are a part of their own, `sandbox`.
    """
    parts: dict[str, float] = {}
    for name, pid in roots.items():
        own_ns, below_ns = _tree_ns(pid)
        if name in {"api", "worker"}:
            parts[name] = own_ns / 1e6
            parts["sandbox"] = parts.get("sandbox", 0.0) + below_ns / 1e6
        else:
            parts[name] = (own_ns + below_ns) / 1e6
    return Account(parts=parts, load_ms=time.process_time_ns() / 1e6)


def reset_peaks(pids: list[int]) -> None:
    """Have peaks of memory begin anew."""
    for pid in pids:
        Path("/proc", str(pid), "clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def peak_mib(pids: list[int]) -> float:
    """Add up the peaks of the resident sets of processes."""
    total_kib = 0
    for pid in pids:
        status = Path("/proc", str(pid), "status").read_text(encoding="ascii", errors="replace")
        [line] = [each for each in status.splitlines() if each.startswith("VmHWM:")]
        total_kib += int(line.split()[1])
    return total_kib * 1024 / _MIB


def _tree_ns(pid: int) -> tuple[int, int]:
    """Give a process's own CPU time, and that of all below it, living and reaped."""
    try:
        root = psutil.Process(pid)
        below = root.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0, 0
    living = sum(cpu_of(each.pid) for each in below)
    reaped = sum(_reaped_ns(each) for each in (root, *below))
    return cpu_of(pid), living + reaped


def _reaped_ns(process: psutil.Process) -> int:
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0
    return int((times.children_user + times.children_system) * _NS)
