"""The pool's side of a zygote: start it, have it fork cells, hear how they ended."""

import asyncio
import errno
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from app.sandbox.cell_process import Cell, Exit, new_channel
from app.sandbox.zygote import FORK, MESSAGE_BYTES, NATIVE, PLAIN

_ROOT: Final = Path(__file__).resolve().parents[2]
# -I: nothing of the environment and the current folder; so the root is given.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from app.sandbox.zygote import main; main()"
)
START_TIMEOUT_S: Final = 30.0
FORK_TIMEOUT_S: Final = 10.0


class SandboxUnavailable(Exception):
    """The zygote cannot be started, or its cells cannot; the message says why."""


class ZygoteClient:
    """One zygote and the cells that came of it."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        """Own a started zygote; use `start`."""
        self.pid = process.pid
        self.forks = 0
        self._process = process
        self._control = control
        self._pidfd = os.pidfd_open(process.pid)
        self._loop = asyncio.get_running_loop()
        # The state of each part of app.sandbox.native, once V8 is up.
        self.native: dict[str, str] = {}
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._requests: deque[asyncio.Future[tuple[int, int]]] = deque()
        self._cells: dict[int, Cell] = {}
        # A cell may end before the one who asked for it has heard of it.
        self._early_exits: dict[int, Exit] = {}
        self._abandoned: set[int] = set()
        self._words = ""
        self._retired = False
        self._closed = False
        self._loop.add_reader(control.fileno(), self._receive)

    @classmethod
    async def start(cls, *, isolates: int, native: bool = True) -> Self:
        """Start a zygote and wait until V8 is up; each of its cells has `isolates` isolates.

        `native` false: nothing of app.sandbox.native is used. Raises SandboxUnavailable.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
            command = [sys.executable, "-I", "-c", _BOOT, str(_ROOT)]
            numbers = [str(theirs.fileno()), str(os.getpid()), str(isolates)]
            try:
                # S603: fixed argv. ASYNC220: a vfork of some ms, and the thread that
                # forks must be the one whose death the zygote follows.
                process = subprocess.Popen(  # noqa: S603, ASYNC220
                    [*command, *numbers, NATIVE if native else PLAIN],
                    env={},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C is for the pool to handle
                )
            except OSError as error:
                ours.close()
                message = f"the zygote does not start: {error}"
                raise SandboxUnavailable(message) from error
        zygote = cls(process, ours)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await zygote._up
        except (TimeoutError, ConnectionError) as error:
            zygote.close()
            message = f"the zygote does not start: {_why(zygote.stderr_tail()) or error}"
            raise SandboxUnavailable(message) from error
        except BaseException:
            zygote.close()
            raise
        return zygote

    @property
    def closed(self) -> bool:
        """Whether nothing is left of it here."""
        return self._closed

    @property
    def alive(self) -> bool:
        """Whether the zygote runs, as the kernel says now."""
        return not self._closed and is_running(self._pidfd)

    async def spawn(self) -> Cell:
        """Fork a cell.

        Raises ConnectionError when the zygote is gone, TimeoutError when it is silent, and
        another OSError when this fork failed.
        """
        ours, theirs = new_channel()
        try:
            stderr_read, stderr_write = os.pipe()
        except OSError:
            ours.close()
            theirs.close()
            raise
        try:
            pid, pidfd = await self._fork(theirs.fileno(), stderr_write)
        except BaseException:
            ours.close()
            os.close(stderr_read)
            raise
        finally:
            theirs.close()
            os.close(stderr_write)
        cell = Cell(pid=pid, pidfd=pidfd, channel=ours, stderr_fd=stderr_read)
        if pid in self._early_exits:
            cell.ended(self._early_exits.pop(pid))
        elif self._closed:
            cell.ended(Exit(status=None, cpu_ns=0, peak_bytes=0))
        else:
            self._cells[pid] = cell
        return cell

    def retire(self) -> None:
        """Fork no more; end the zygote when the last of its cells has ended."""
        self._retired = True
        self._close_if_done()

    def close(self) -> None:
        """Kill the zygote; its cells die with it."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._process.wait()  # it has SIGKILL; this is the kernel's time, not a program's
        os.close(self._pidfd)
        self._words = self._read_stderr()
        gone = ConnectionResetError("the zygote is gone")
        if not self._up.done():
            self._up.set_exception(gone)
        for request in self._requests:
            if not request.done():
                request.set_exception(gone)
        self._requests.clear()
        for cell in self._cells.values():
            cell.kill("the zygote died")
            cell.ended(Exit(status=None, cpu_ns=0, peak_bytes=0))
        self._cells.clear()

    def stderr_tail(self) -> str:
        """Return the end of what a closed zygote wrote to stderr."""
        return self._words

    def _read_stderr(self) -> str:
        stderr = self._process.stderr
        if stderr is None:
            return ""
        # Non-blocking: a cell that is not dead yet may still hold the other end.
        os.set_blocking(stderr.fileno(), False)
        with stderr:
            words = stderr.read() or b""
        return words[-2_000:].decode(errors="replace").strip()

    async def _fork(self, channel_fd: int, stderr_fd: int) -> tuple[int, int]:
        """Ask for a fork; the answers come in the order of the requests."""
        if self._closed:
            raise ConnectionError("the zygote is gone")
        socket.send_fds(self._control, [FORK], [channel_fd, stderr_fd])
        self.forks += 1
        request: asyncio.Future[tuple[int, int]] = self._loop.create_future()
        self._requests.append(request)
        try:
            async with asyncio.timeout(FORK_TIMEOUT_S):
                return await asyncio.shield(request)
        except BaseException:
            request.add_done_callback(self._discard)
            raise

    def _discard(self, request: "asyncio.Future[tuple[int, int]]") -> None:
        """Drop what came for a caller who gave up; the cell ends, its channel being closed."""
        if request.cancelled() or request.exception() is not None:
            return
        pid, pidfd = request.result()
        os.close(pidfd)
        if self._early_exits.pop(pid, None) is None:
            self._abandoned.add(pid)

    def _receive(self) -> None:
        try:
            message, fds, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        if not message:
            self.close()
            return
        for fd in fds:
            os.set_inheritable(fd, False)  # noqa: FBT003 - `recv_fds` drops the flag for it
        found = json.loads(message)
        if "exited" in found:
            self._account(found)
        elif "forked" in found and fds:
            self._requests.popleft().set_result((found["forked"], fds[0]))
        elif "forked" in found:
            # It came, but there was no room here for its descriptor.
            self._abandoned.add(found["forked"])
            self._requests.popleft().set_exception(OSError(errno.EMFILE, "no descriptor left"))
        elif "refused" in found:
            self._requests.popleft().set_exception(OSError(found["refused"]))
        elif not self._up.done():
            self.native = found["up"]
            self._up.set_result(None)

    def _account(self, found: dict[str, int]) -> None:
        ended = Exit(status=found["status"], cpu_ns=found["cpu_ns"], peak_bytes=found["peak_bytes"])
        pid = found["exited"]
        cell = self._cells.pop(pid, None)
        if cell is not None:
            cell.ended(ended)
        elif pid in self._abandoned:
            self._abandoned.remove(pid)
        else:
            self._early_exits[pid] = ended
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._retired and not (self._cells or self._requests or self._abandoned):
            self.close()


def _why(stderr_tail: str) -> str:
    """Say in one line why a zygote died: V8's own words are followed by native frames."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        return (
            f"V8 reserves more address space than the limit of {limit // 1024} KiB allows; "
            "lift it (ulimit -v unlimited)"
        )
    first, _, _ = stderr_tail.strip().partition("\n")
    return first.strip()


def is_running(pidfd: int) -> bool:
    """Tell whether a process still runs: its pidfd is readable once it does not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)
