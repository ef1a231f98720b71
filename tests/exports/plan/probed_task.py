"""Try what a task may not do, from inside its process; only a test starts this program.

A stand-in for a fault of DuckDB that somebody has taken over. The process starts, confines itself
and answers as any; in the place of the task it makes its attempts, in the first thread and in one
that was started then. The answer fails with the fate of each: `works`, or the name of an error.
"""

import ctypes
import errno
import mmap
import os
import platform
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, Final, TypeAlias

import duckdb

from app.exports.plan import child, protocol
from app.exports.plan.model import Report, TaskFailed, Whole

_Attempt: TypeAlias = Callable[[], object]
_libc: Final = ctypes.CDLL(None, use_errno=True)
# Numbers of x86-64. No argument is valid, so that a call that is not refused changes nothing.
_CALLS: Final = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "process_madvise": 440,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "memfd_create": 319,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_setup": 206, "modify_ldt": 154,
    "add_key": 248, "request_key": 249, "keyctl": 250, "open_by_handle_at": 304, "mount": 165,
    "umount2": 166, "fsopen": 430, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "capset": 126, "setuid": 105, "personality": 135, "init_module": 175, "finit_module": 313,
    "kexec_load": 246, "reboot": 169, "execve": 59, "execveat": 322, "vfork": 58, "seccomp": 317,
    "prctl": 157, "sendmsg": 46, "recvmsg": 47, "sendto": 44, "connect": 42, "bind": 49,
    "accept4": 288, "landlock_create_ruleset": 444, "setrlimit": 160, "tkill": 200,
    "rt_sigqueueinfo": 129,
}  # fmt: skip
_PRLIMIT: Final = 302


def main(parent_pid: int) -> None:
    child._run = _probe
    child.main(parent_pid)


def _probe(request: protocol.Request, replies: BinaryIO) -> Report:  # noqa: ARG001 - as `_run`
    assert isinstance(request.task, Whole)
    attempts = _attempts(
        Path(request.task.sources[0].local), Path(request.resources.spill), Path(request.output)
    )
    here = {name: _fate(attempt) for name, attempt in attempts.items()}
    fates: SimpleQueue[dict[str, str]] = SimpleQueue()
    thread = threading.Thread(
        target=lambda: fates.put({name: _fate(attempt) for name, attempt in attempts.items()})
    )
    thread.start()
    thread.join()
    raise TaskFailed("probed", "", {"here": here, "in a thread": fates.get()})


def _attempts(source: Path, spill: Path, output: Path) -> dict[str, _Attempt]:
    parent, pid = os.getppid(), os.getpid()
    own: dict[str, _Attempt] = {
        "work: read a source": source.read_bytes,
        "work: write the output": (output / "file").touch,
        "work: rename in the output": lambda: (output / "file").replace(output / "other"),
        "work: remove from the output": (output / "other").unlink,
        "work: make a folder": (spill / "folder").mkdir,
        "work: remove a folder": (spill / "folder").rmdir,
        "work: list the spill": lambda: list(spill.iterdir()),
        "work: memory": lambda: mmap.mmap(-1, 4_096).close(),
        "work: signal itself": lambda: os.kill(pid, 0),
    }
    files: dict[str, _Attempt] = {
        "read another file": (source.parent / "other").read_bytes,
        "read the system's": Path("/etc/hostname").read_bytes,
        "read the worker's environment": Path(f"/proc/{parent}/environ").read_bytes,
        "write its own memory": Path("/proc/self/mem").open,
        "list the folder of a source": lambda: list(source.parent.iterdir()),
        "list the root": lambda: list(Path("/").iterdir()),
        "write a source": lambda: source.open("ab").close(),
        "write beside a source": (source.parent / "new").touch,
        "write the program": lambda: Path(child.__file__).open("ab").close(),
        "write a temporary file": Path(f"/tmp/{pid}").touch,  # noqa: S108 - it is refused
        "make a folder elsewhere": (source.parent / "folder").mkdir,
        "remove a source": source.unlink,
        "move a source": lambda: source.rename(spill / "source"),
        "move the output": lambda: output.rename(spill / "out"),
        "link a source": lambda: os.link(source, spill / "source"),
        "symlink a source": lambda: (spill / "source").symlink_to(source),
        "make a FIFO": lambda: os.mkfifo(spill / "fifo"),
        "change a mode": lambda: output.chmod(0o777),
        "change a time": lambda: os.utime(output),
    }
    processes: dict[str, _Attempt] = {
        "execute": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it is refused
        "start a program": lambda: subprocess.run(["/bin/true"], check=False),
        "fork": lambda: os.fork() or os._exit(0),
        "signal the worker": lambda: os.kill(parent, 0),
        "signal all": lambda: os.kill(-1, 0),
        "code in memory": lambda: mmap.mmap(-1, 4_096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    }
    sockets: dict[str, _Attempt] = {
        f"socket: {family.name}": partial(socket.socket, family)
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK)
    }
    calls: dict[str, _Attempt] = {
        **{f"call: {name}": partial(_call, number) for name, number in _CALLS.items()},
        "limit the worker": partial(_call, _PRLIMIT, parent, resource.RLIMIT_NOFILE, 0, 0),
        "limit itself": partial(_call, _PRLIMIT, 0, resource.RLIMIT_NOFILE, mmap.PAGESIZE, 0),
    }
    return {
        **own,
        **files,
        **processes,
        **sockets,
        "socket: pair": socket.socketpair,
        **(calls if platform.machine() == "x86_64" else {}),
        "DuckDB: read": lambda: _query(spill, "FROM read_text('/etc/hostname')"),
        "DuckDB: write": lambda: _query(spill, f"COPY (SELECT 1) TO '{source.parent}/new.csv'"),
        "DuckDB: attach": lambda: _query(spill, f"ATTACH '{source.parent}/new.duckdb'"),
    }


def _query(spill: Path, statement: str) -> None:
    """Use DuckDB as a fault would, without any setting that confines it."""
    with duckdb.connect(str(spill / "probe.duckdb")) as connection:
        connection.execute(statement)


def _call(number: int, *arguments: int) -> None:
    values = [ctypes.c_long(each) for each in (*arguments, *(-1,) * 6)[:6]]
    if _libc.syscall(ctypes.c_long(number), *values) == -1:
        raise OSError(ctypes.get_errno(), "")


def _fate(attempt: _Attempt) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except duckdb.Error as error:
        return str(error).rpartition(": ")[2]
    return "works"


if __name__ == "__main__":
    main(int(sys.argv[1]))
