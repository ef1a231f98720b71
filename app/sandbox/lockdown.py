"""Drop a cell's privileges before it sees user code, and measure what is in force.

Two steps: `drop_privileges` before the isolates exist (privileges and Landlock are per thread,
and an isolate's thread inherits them), `seal` after it (no further thread can start then, and
the filter of system calls is put on all threads at once).
"""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.sandbox import landlock, seccomp
from app.sandbox.cell_filter import cell_filter

_PR_SET_PDEATHSIG: Final = 1
_PR_GET_PDEATHSIG: Final = 2
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_GET_NO_NEW_PRIVS: Final = 39
_CAP_KILL: Final = 5
_CLONE_NEWIPC: Final = 0x08000000
_CLONE_NEWNET: Final = 0x40000000

_OOM_SCORE: Final = Path("/proc/self/oom_score_adj")
_FIRST_TO_GO: Final = "1000"

# Above the user ids that systems assign; each cell has one of its own.
_FIRST_UID: Final = 1_000_000_000
_MAX_FD: Final = 1 << 20
_OPEN_FILES: Final = 16
_CPU_CEILING_S: Final = 3_600
# Above the highest limit of an execution (4 GiB heap), with its copies of input and output.
_DATA_CEILING_BYTES: Final = 10 * 1024**3

_libc: Final = ctypes.CDLL(None, use_errno=True)
# The soft limits that this process has set for its jobs.
_soft_limits: Final[dict[int, int]] = {}
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGKILL when the parent dies; exit if it has died already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def empty_environment() -> None:
    """Leave nothing to read but the time zone."""
    os.environ.clear()
    # Not the host's time zone: the same input gives the same output on any host.
    os.environ["TZ"] = "UTC"


def close_to_others() -> None:
    """Let no peer read this process's memory, and no program that it starts have more rights."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def unshare_networks() -> dict[str, str]:
    """Leave the host's network and IPC namespaces, in the zygote, for all of its cells."""
    states = {}
    for name, flag in (("network", _CLONE_NEWNET), ("ipc", _CLONE_NEWIPC)):
        states[name] = "on" if _libc.unshare(flag) == 0 else _reason(ctypes.get_errno())
    return states


def drop_privileges(*, parent_pid: int, keep_fds: frozenset[int]) -> dict[str, str]:
    """Drop everything that a cell does not need, the file system last.

    Returns the measured state of each measure: `on`, or `off` and why.
    """
    die_with_parent(parent_pid)
    with suppress(OSError):  # /proc may be read-only in a container; the value is read back
        _OOM_SCORE.write_text(_FIRST_TO_GO, encoding="ascii")
    first = _oom_score() == _FIRST_TO_GO
    empty_environment()
    os.chdir("/")
    user = _change_user()
    die_with_parent(parent_pid)  # a change of user clears it
    close_to_others()
    low = 0
    for fd in sorted(keep_fds):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, _MAX_FD)
    return {
        "first_out_of_memory": "on" if first else "off",
        "own_user": user,
        **landlock.enter(parent_pid=parent_pid),
    }


def seal(*, parent_pid: int, status_fd: int, measured: dict[str, str]) -> dict[str, str]:
    """Set the hard limits, filter system calls, and measure what is in force.

    No thread can start and no file can be opened afterwards. `status_fd` is
    `/proc/self/status`, opened before; `measured` are the states that `unshare_networks` and
    `drop_privileges` returned, which are returned with the rest.
    """
    _set_ceilings()
    # Before the filter, which denies the calls that measure.
    states = {**measure(parent_pid=parent_pid), "resource_limits": _measure_ceilings()}
    calls = cell_filter(own_pid=os.getpid())
    return {**states, **measured, **seccomp.install(calls, status_fd=status_fd)}


def measure(*, parent_pid: int) -> dict[str, str]:
    """Return the state of each measure that has no module of its own, in this process."""
    death = ctypes.c_int(0)
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(death), 0, 0, 0)
    states = {
        "parent_death_signal": death.value == signal.SIGKILL and os.getppid() == parent_pid,
        "not_dumpable": _libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
        "empty_environment": set(os.environ) == {"TZ"},
        "no_new_privileges": _libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
    }
    return {name: "on" if state else "off" for name, state in states.items()}


def _set_ceilings() -> None:
    """Set hard limits, which this process cannot raise again."""
    for which, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_CPU, _CPU_CEILING_S, _CPU_CEILING_S),
        (resource.RLIMIT_DATA, _DATA_CEILING_BYTES, _DATA_CEILING_BYTES),
    ):
        highest = resource.getrlimit(which)[1]
        if highest != resource.RLIM_INFINITY and highest < hard:
            soft = hard = highest  # noqa: PLW2901 - the host's limit is lower
        resource.setrlimit(which, (soft, hard))


def set_soft_limits(*, data_bytes: int, cpu_s: int) -> None:
    """Set the limits of one job, if they change: private memory and CPU time of this process."""
    _set_soft(resource.RLIMIT_DATA, data_bytes)
    _set_soft(resource.RLIMIT_CPU, cpu_s)


def lift_data_limit() -> None:
    """Let private memory grow as before the first job, for a payload of the next one."""
    _set_soft(resource.RLIMIT_DATA, _DATA_CEILING_BYTES)


def private_bytes(statm_fd: int) -> int:
    """Read the private memory, which RLIMIT_DATA limits, and the stack."""
    return int(os.pread(statm_fd, 256, 0).split()[5]) * _PAGE_BYTES


def _set_soft(which: int, limit: int) -> None:
    if _soft_limits.get(which) == limit:
        return
    _soft_limits[which] = limit
    hard = resource.getrlimit(which)[1]
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(which, (soft, hard))


def _measure_ceilings() -> str:
    core, files = (
        resource.getrlimit(which) for which in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)
    )
    return "on" if core == (0, 0) and files == (_OPEN_FILES, _OPEN_FILES) else "off"


def _oom_score() -> str:
    try:
        return _OOM_SCORE.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _change_user() -> str:
    if os.geteuid() != 0:
        return "off: not started as root"
    if not _has_capability(_CAP_KILL):
        # Another user's cell could not be killed by the pool.
        return "off: no capability to end another user's process"
    own = _FIRST_UID + os.getpid()
    try:
        os.setgroups([])
        os.setresgid(own, own, own)
        os.setresuid(own, own, own)
    except OSError as error:
        return _reason(error.errno or 0)
    return "on" if os.getresuid() == (own, own, own) else "off"


def _has_capability(number: int) -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(held.split()[1], 16) >> number & 1)


def _reason(number: int) -> str:
    return f"off: {os.strerror(number)}"
