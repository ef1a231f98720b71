"""Serve as the zygote: start V8 once, fork cells on request, report how they end.

Zygote and pool share a SOCK_SEQPACKET socket pair, one message per packet:

- the pool sends `fork` with two file descriptors, the cell's channel and its stderr;
- the zygote answers `{"forked": pid}` with a pidfd, or `{"refused": reason}` without,
  in the order of the requests;
- it sends `{"exited": pid, ...}` with the kernel's record of a cell that has ended;
- first of all it sends `{"up": {...}}`, with the state of each part of `app.sandbox.native`.

No threads, no secrets, an empty environment: every cell inherits what the zygote holds.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import ExitStack
from typing import Final

from app.sandbox import cell, lockdown
from app.sandbox.protocol import Isolation
from app.sandbox.v8 import Engine

FORK: Final = b"fork"
MESSAGE_BYTES: Final = 4_096
NATIVE, PLAIN = "native", "plain"


def main() -> None:
    """Serve the pool until it closes the socket.

    Arguments: the socket's number, the pool's pid, `native` or `plain`, the isolation, and the
    numbers of contexts or else isolates of a cell.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    lockdown.die_with_parent(int(sys.argv[2]))
    os.environ.clear()
    os.environ["TZ"] = "UTC"
    namespaces = lockdown.unshare_networks()
    engine = Engine(native=sys.argv[3] == NATIVE)
    engine.prepare(Isolation(sys.argv[4]), contexts=int(sys.argv[5]), isolates=int(sys.argv[6]))
    zygote = _Zygote(control, engine, namespaces=namespaces)
    # Objects that exist now are never collected, so that cells share their pages.
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"up": engine.native}).encode())
    zygote.serve()


class _Zygote:
    def __init__(
        self,
        control: socket.socket,
        engine: Engine,
        *,
        namespaces: dict[str, str],
    ) -> None:
        self._control = control
        self._engine = engine
        self._namespaces = namespaces
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Answer requests and reap cells, one at a time."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._control:
                    self._reap(pidfd=key.fd, pid=key.data)
                elif not self._answer():
                    return

    def _answer(self) -> bool:
        """Fork a cell, or report why not: a failed fork must not end the other cells."""
        message, fds, _, _ = socket.recv_fds(
            self._control, MESSAGE_BYTES, 2, socket.MSG_CMSG_CLOEXEC
        )
        if message != FORK:
            return False
        try:
            # ValueError: the kernel drops descriptors if this process has no free ones.
            channel_fd, stderr_fd = fds
            self._fork(channel_fd, stderr_fd)
        except (OSError, ValueError) as error:
            self._control.send(json.dumps({"refused": str(error)}).encode())
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _fork(self, channel_fd: int, stderr_fd: int) -> None:
        zygote_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_cell(channel_fd, stderr_fd, zygote_pid)
        with ExitStack() as undo:
            undo.callback(_end, pid)
            pidfd = os.pidfd_open(pid)
            undo.callback(os.close, pidfd)
            self._selector.register(pidfd, selectors.EVENT_READ, pid)
            undo.callback(self._selector.unregister, pidfd)
            socket.send_fds(self._control, [json.dumps({"forked": pid}).encode()], [pidfd])
            undo.pop_all()

    def _become_cell(self, channel_fd: int, stderr_fd: int, zygote_pid: int) -> None:
        """Run as a cell and never return: it must not continue as a second zygote."""
        status = 1
        try:
            os.dup2(stderr_fd, 2)
            cell.serve(
                self._engine,
                socket.socket(fileno=channel_fd),
                zygote_pid=zygote_pid,
                namespaces=self._namespaces,
            )
            status = 0
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # the pool hung up
        except BaseException as error:  # noqa: BLE001 - any error ends this process
            os.write(2, f"{type(error).__name__}: {error}".encode(errors="replace"))
        finally:
            os._exit(status)

    def _reap(self, *, pidfd: int, pid: int) -> None:
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        account = {
            "exited": pid,
            "status": os.waitstatus_to_exitcode(status),
            "cpu_ns": int((usage.ru_utime + usage.ru_stime) * 1_000_000_000),
            "peak_bytes": usage.ru_maxrss * 1_024,
        }
        try:
            self._control.send(json.dumps(account).encode())
        except BrokenPipeError:
            # The pool has ended, so the kernel is about to kill this process.
            signal.pause()


def _end(pid: int) -> None:
    """Kill a child and reap it; until then its pid is not reused."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
