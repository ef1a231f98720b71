"""Make raw system calls from inside a locked-down cell; only tests start this program.

A stand-in for user code that has taken over V8. It starts the engine as the zygote does and
forks a cell for each order, which goes through the same `cell.enter` as a real one, then
makes one call that no script could ask for. An order and its answer are JSON lines:

    {"number": 257, "arguments": [-100, "/etc/hostname", 0], "thread": false}
    {"fate": "EPERM"}

An argument is a number, a path, or a word: `$pid`, `$tid`, `$parent`, `$memory` (a zeroed
page). With `code`, machine code is run instead, with `abort` the C library's abort().
`thread` makes the call in a thread that was started before the lockdown. The fate is
`works`, an error's name, or the signal that ended the process.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from app.sandbox import cell, lockdown
from app.sandbox.protocol import DEFAULT_ISOLATION
from app.sandbox.v8 import Engine

_libc: Final = ctypes.CDLL(None, use_errno=True)
_PAGE: Final = mmap.PAGESIZE


def main() -> None:
    lockdown.die_with_parent(int(sys.argv[1]))
    os.environ.clear()
    os.environ["TZ"] = "UTC"
    namespaces = lockdown.unshare_networks()
    engine = Engine()
    engine.prepare(DEFAULT_ISOLATION, contexts=2, isolates=2)
    for line in sys.stdin:
        fate = try_in_a_cell(engine, json.loads(line), namespaces)
        sys.stdout.write(json.dumps({"fate": fate}) + "\n")
        sys.stdout.flush()


def try_in_a_cell(engine: Engine, order: dict[str, Any], namespaces: dict[str, str]) -> str:
    """Fork a cell, have it make its call, and say what became of it."""
    zygote_pid = os.getpid()
    words, stderr = os.pipe()
    _, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(stderr, 2)
            call = _prepare(order, zygote_pid)
            turn = _in_thread(call) if order["thread"] else call
            cell.enter(
                engine,
                theirs,
                zygote_pid=zygote_pid,
                namespaces=namespaces,
            )
            os.write(2, turn().encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, this process ends here
            os.write(2, repr(error).encode())
        finally:
            os._exit(0)
    theirs.close()
    os.close(stderr)
    _, status = os.waitpid(pid, 0)
    with open(words, "rb") as reader:  # noqa: PTH123 - a descriptor has no path
        fate = reader.read().decode()
    code = os.waitstatus_to_exitcode(status)
    return fate if code == 0 else f"{signal.Signals(-code).name}{fate}"


def _prepare(order: dict[str, Any], zygote_pid: int) -> Callable[[], str]:
    """Make ready what needs memory or files: nothing of it can be had later."""
    if "code" in order:
        page = mmap.mmap(-1, _PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex(order["code"]))
        run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        # Naming the page keeps it.
        return lambda: "fails" if page.closed or run() < 0 else "works"
    if "abort" in order:
        return lambda: str(_libc.abort())
    memory = mmap.mmap(-1, _PAGE)
    words: dict[str, Callable[[], int]] = {
        "$pid": os.getpid,
        "$tid": threading.get_native_id,
        "$parent": lambda: zygote_pid,
        "$memory": lambda: ctypes.addressof(ctypes.c_char.from_buffer(memory)),
    }

    def call() -> str:
        values: list[object] = []
        for argument in order["arguments"]:
            if isinstance(argument, int):
                values.append(ctypes.c_long(argument))
            elif argument in words:
                values.append(ctypes.c_long(words[argument]()))
            else:
                values.append(argument.encode())
        ctypes.set_errno(0)
        if _libc.syscall(ctypes.c_long(order["number"]), *values) != -1:
            return "works"
        return errno.errorcode[ctypes.get_errno()]

    return call


def _in_thread(call: Callable[[], str]) -> Callable[[], str]:
    """Start a thread now that makes the call when its turn comes."""
    turns: SimpleQueue[None] = SimpleQueue()
    fates: SimpleQueue[str] = SimpleQueue()

    def wait() -> None:
        turns.get()
        fates.put(call())

    threading.Thread(target=wait, daemon=True).start()

    def take_turn() -> str:
        turns.put(None)
        return fates.get()

    return take_turn


if __name__ == "__main__":
    main()
