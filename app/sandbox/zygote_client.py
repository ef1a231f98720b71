"""Start a zygote, let it fork cells, and receive how they ended."""

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

from app.sandbox.cell_process import Cell, new_channel
from app.sandbox.meter import Exit
from app.sandbox.protocol import Isolation
from app.sandbox.zygote import FORK, MESSAGE_BYTES, NATIVE, PLAIN

_ROOT: Final = Path(__file__).resolve().parents[2]
# -I ignores the environment and the current folder, so the root is an argument.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from app.sandbox.zygote import main; main()"
)
START_TIMEOUT_S: Final = 30.0
FORK_TIMEOUT_S: Final = 10.0


class SandboxUnavailable(Exception):
    """A zygote or its cells cannot be started; the message says why."""


class ZygoteClient:
    """One zygote and the cells that it forked."""

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
        # A cell may end before `spawn` has returned it.
        self._early_exits: dict[int, Exit] = {}
        self._abandoned: set[int] = set()
        self._stderr_tail = ""
        self._retired = False
        self._closed = False
        self._loop.add_reader(control.fileno(), self._receive)

    @classmethod
    async def start(
        cls, *, isolation: Isolation, contexts: int, isolates: int, native: bool = True
    ) -> Self:
        """Start a zygote and wait until V8 is up; each of its cells has what PoolConfig says.

        Raises SandboxUnavailable.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
            command = [sys.executable, "-I", "-c", _BOOT, str(_ROOT)]
            arguments = [
                *(theirs.fileno(), os.getpid(), NATIVE if native else PLAIN),
                *(isolation.value, contexts, isolates),
            ]
            try:
                # S603: fixed argv. ASYNC220: a vfork takes a few ms, and the zygote ends
                # with the thread that forks it.
                process = subprocess.Popen(  # noqa: S603, ASYNC220
                    [*command, *map(str, arguments)],
                    env={},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # the pool handles Ctrl-C
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
            message = f"the zygote does not start: {_reason_of(zygote.stderr_tail()) or error}"
            raise SandboxUnavailable(message) from error
        except BaseException:
            zygote.close()
            raise
        return zygote

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    @property
    def alive(self) -> bool:
        """Whether the kernel says that the zygote runs."""
        return not self._closed and is_running(self._pidfd)

    async def spawn(self) -> Cell:
        """Fork a cell.

        Raises ConnectionError if the zygote has ended, TimeoutError if it does not answer, and
        another OSError if this fork failed.
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
            cell.set_exited(self._early_exits.pop(pid))
        elif self._closed:
            cell.set_exited(Exit(status=None, cpu_ns=0, peak_bytes=0))
        else:
            self._cells[pid] = cell
        return cell

    def retire(self) -> None:
        """Fork no more cells, and end the zygote after its last cell."""
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
        self._process.wait()  # short: SIGKILL has been sent
        os.close(self._pidfd)
        self._stderr_tail = self._read_stderr()
        gone = ConnectionResetError("the zygote is gone")
        if not self._up.done():
            self._up.set_exception(gone)
        for request in self._requests:
            if not request.done():
                request.set_exception(gone)
        self._requests.clear()
        for cell in self._cells.values():
            cell.kill("the zygote died")
            cell.set_exited(Exit(status=None, cpu_ns=0, peak_bytes=0))
        self._cells.clear()

    def stderr_tail(self) -> str:
        """Return the end of a closed zygote's stderr."""
        return self._stderr_tail

    def _read_stderr(self) -> str:
        stderr = self._process.stderr
        if stderr is None:
            return ""
        # Non-blocking: a cell that has not ended yet may still hold the other end.
        os.set_blocking(stderr.fileno(), False)
        with stderr:
            text = stderr.read() or b""
        return text[-2_000:].decode(errors="replace").strip()

    async def _fork(self, channel_fd: int, stderr_fd: int) -> tuple[int, int]:
        """Request a fork; the answers come in the order of the requests."""
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
        """Drop the fork of a cancelled `spawn`; the cell ends because its channel is closed."""
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
        answer = json.loads(message)
        if "exited" in answer:
            self._record_exit(answer)
        elif "forked" in answer and fds:
            self._requests.popleft().set_result((answer["forked"], fds[0]))
        elif "forked" in answer:
            # The cell was forked, but this process has no free descriptor for it.
            self._abandoned.add(answer["forked"])
            self._requests.popleft().set_exception(OSError(errno.EMFILE, "no descriptor left"))
        elif "refused" in answer:
            self._requests.popleft().set_exception(OSError(answer["refused"]))
        elif not self._up.done():
            self.native = answer["up"]
            self._up.set_result(None)

    def _record_exit(self, answer: dict[str, int]) -> None:
        ended = Exit(
            status=answer["status"], cpu_ns=answer["cpu_ns"], peak_bytes=answer["peak_bytes"]
        )
        pid = answer["exited"]
        cell = self._cells.pop(pid, None)
        if cell is not None:
            cell.set_exited(ended)
        elif pid in self._abandoned:
            self._abandoned.remove(pid)
        else:
            self._early_exits[pid] = ended
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._retired and not (self._cells or self._requests or self._abandoned):
            self.close()


def _reason_of(stderr_tail: str) -> str:
    """Say in one line why a zygote died: native frames follow V8's message."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        return (
            f"V8 reserves more address space than the limit of {limit // 1024} KiB allows; "
            "lift it (ulimit -v unlimited)"
        )
    first, _, _ = stderr_tail.strip().partition("\n")
    return first.strip()


def is_running(pidfd: int) -> bool:
    """Return whether a process runs: its pidfd becomes readable when it ends."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)
