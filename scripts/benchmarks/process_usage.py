"""Read the CPU time and the peak memory of a system's processes from /proc."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil
from msgspec import Struct

from scripts.benchmarks.processes import cpu_of

_NS: Final = 1_000_000_000
_MIB: Final = 1024 * 1024
# Resets VmHWM to the current resident set (proc_pid_clear_refs(5)).
_RESET_PEAK: Final = "5"


class CpuUsage(Struct, frozen=True, kw_only=True):
    """CPU time in ms by part; `load_ms` is that of this process, which generates the load."""

    parts: Mapping[str, float]
    load_ms: float

    def since(self, before: "CpuUsage") -> "CpuUsage":
        """Return the CPU time between two readings."""
        parts = {name: self.parts[name] - before.parts.get(name, 0.0) for name in self.parts}
        return CpuUsage(parts=parts, load_ms=self.load_ms - before.load_ms)

    @property
    def total_ms(self) -> float:
        """Return the sum of the parts, without the load."""
        return sum(self.parts.values())


def read_usage(roots: Mapping[str, int]) -> CpuUsage:
    """Read the CPU time of processes by name, including their descendants.

    Exited descendants count as reaped children, in ticks of 10 ms. The zygotes and cells of API
    and worker are a part of their own, `sandbox`.
    """
    parts: dict[str, float] = {}
    for name, pid in roots.items():
        own_ns, descendants_ns = _tree_ns(pid)
        if name in {"api", "worker"}:
            parts[name] = own_ns / 1e6
            parts["sandbox"] = parts.get("sandbox", 0.0) + descendants_ns / 1e6
        else:
            parts[name] = (own_ns + descendants_ns) / 1e6
    return CpuUsage(parts=parts, load_ms=time.process_time_ns() / 1e6)


def reset_peaks(pids: list[int]) -> None:
    """Reset the peaks of the resident sets of processes."""
    for pid in pids:
        Path("/proc", str(pid), "clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def peak_mib(pids: list[int]) -> float:
    """Return the sum of the peaks of the resident sets of processes."""
    total_kib = 0
    for pid in pids:
        status = Path("/proc", str(pid), "status").read_text(encoding="ascii", errors="replace")
        [line] = [each for each in status.splitlines() if each.startswith("VmHWM:")]
        total_kib += int(line.split()[1])
    return total_kib * 1024 / _MIB


def _tree_ns(pid: int) -> tuple[int, int]:
    """Return the CPU time of a process, and that of its live and reaped descendants."""
    try:
        root = psutil.Process(pid)
        descendants = root.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0, 0
    living = sum(cpu_of(each.pid) for each in descendants)
    reaped = sum(_reaped_ns(each) for each in (root, *descendants))
    return cpu_of(pid), living + reaped


def _reaped_ns(process: psutil.Process) -> int:
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0
    return int((times.children_user + times.children_system) * _NS)
