"""Start child processes that die with this one, bound their logs, and stop them."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.embedded.errors import CannotStart, ServiceFailed

# The API and the worker exit with it if they cannot start; the last line of the log says why.
EXIT_CANNOT_START: Final = 2
# PostgreSQL's messages in the C locale; it allocates a WAL segment of 16 MiB at once.
_NO_SPACE: Final = (b"No space left on device", b"Disk quota exceeded")
_MIN_FREE_BYTES: Final = 16 * 1024 * 1024
MAX_LOG_BYTES: Final = 10 * 1024 * 1024
_TAIL_LINES: Final = 15
_WRAPPER: Final = Path(__file__).with_name("exec_wrapper.py")
_TICK_SECONDS: Final = 0.01


class Service(Struct, frozen=True, kw_only=True):
    """A program to keep running.

    `identity` is an IDENTITY of `exec_wrapper`. `is_ready` is polled, so it must be quick. The
    kernel sends `death_signal` when this process dies; `stop_signal` requests a graceful stop
    within `stop_seconds`. `before_start` prepares a start and returns file descriptors for the
    program to inherit; `after_stop` cleans up.
    """

    name: str
    command: Sequence[str]
    log: Path
    is_ready: Callable[[], bool]
    before_start: Callable[[], tuple[int, ...]] = lambda: ()
    after_stop: Callable[[], None] = lambda: None
    environ: Mapping[str, str] | None = None
    folder: Path | None = None
    identity: str = "self"
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    start_seconds: float = 60.0
    stop_seconds: float = 10.0


Running = tuple[Service, subprocess.Popen[bytes]]


def spawn(service: Service) -> subprocess.Popen[bytes]:
    """Start a service in a session of its own, so that Ctrl-C reaches only the launcher.

    Call it in a thread that outlives the child: the kernel sends the death signal when the
    thread that forked ends (prctl(2)).
    """
    service.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    bound_log(service.log)
    inherited = service.before_start()
    try:
        with service.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command
                guarded(service.command, service.identity, service.death_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=service.environ,
                cwd=service.folder,
                start_new_session=True,
                pass_fds=inherited,
            )
    finally:
        for descriptor in inherited:
            os.close(descriptor)


def guarded(
    command: Sequence[str], identity: str, death_signal: signal.Signals = signal.SIGKILL
) -> list[str]:
    """Prefix a command with `exec_wrapper`."""
    python = [sys.executable, "-I", "-S", str(_WRAPPER)]
    return [*python, str(os.getpid()), str(int(death_signal)), identity, *command]


def await_ready(services: Sequence[Running], *, beside: Sequence[Running] = ()) -> None:
    """Wait until all services are ready.

    Raises ServiceFailed if one of them or of `beside` exits, or one takes too long; CannotStart
    if one has reported why it cannot start.
    """
    started = time.monotonic()
    waiting = list(services)
    while waiting := [running for running in waiting if not running[0].is_ready()]:
        for service, process in (*beside, *services):
            if process.poll() is not None:
                _raise_reported_reason(service, process)
                message = f"{service.name} ended with {ending_of(process)}"
                raise ServiceFailed(message + log_tail(service.log))
        for service, _ in waiting:
            if time.monotonic() > started + service.start_seconds:
                message = f"{service.name} is not ready after {service.start_seconds:.0f} s"
                raise ServiceFailed(message + log_tail(service.log))
        time.sleep(_TICK_SECONDS)


def _raise_reported_reason(service: Service, process: subprocess.Popen[bytes]) -> None:
    """Raise CannotStart with the last log line of an own process that exited with 2."""
    prefix = f"{service.name.lower()}: "
    last = log_tail(service.log).rpartition("\n")[2].strip()
    if process.returncode == EXIT_CANNOT_START and last.startswith(prefix):
        raise CannotStart(f"the {service.name} cannot start: {last.removeprefix(prefix)}")


def stop(services: Sequence[Running]) -> None:
    """Request all services to stop, and kill those that exceed their time."""
    started = time.monotonic()
    for service, process in services:
        with suppress(ProcessLookupError):
            process.send_signal(service.stop_signal)
    for service, process in services:
        left_seconds = max(0.0, started + service.stop_seconds - time.monotonic())
        try:
            process.wait(timeout=left_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kill_group(process)
        service.after_stop()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the remaining processes of a dead child's process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def ending_of(process: subprocess.Popen[bytes]) -> str:
    """Describe how a process ended: its exit code or its signal."""
    code = process.returncode
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def log_tail(log: Path) -> str:
    """Return the tail of a log, indented, below the name of the file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8_192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [f"    {line}" for line in text.splitlines()[-_TAIL_LINES:]]
    return "\n".join([f"; the end of {log}:", *lines]) if lines else ""


def log_size(log: Path) -> int:
    """Return the size of a log, 0 if there is none."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def disk_is_full(log: Path, *, since: int) -> bool:
    """Return whether a service died because the disk is full, by its log from `since` on.

    The log may lack the message because the disk is full, so free space counts too.
    """
    try:
        disk = os.statvfs(log.parent)
        if disk.f_bavail * disk.f_frsize < _MIN_FREE_BYTES:
            return True
        with log.open("rb") as file:
            # A shorter log has been rotated meanwhile, so all of it is new.
            file.seek(since if since <= log_size(log) else 0)
            text = file.read()
    except OSError as error:
        return error.errno == errno.ENOSPC
    return any(message in text for message in _NO_SPACE)


def bound_log(log: Path) -> None:
    """Copy a log above MAX_LOG_BYTES to `.1` and truncate it, as its writer keeps it open."""
    try:
        if log.stat().st_size <= MAX_LOG_BYTES:
            return
    except FileNotFoundError:
        return
    rotated = log.with_name(f"{log.name}.1")
    try:
        rotated.write_bytes(log.read_bytes())
    except OSError:
        # No space for both: new messages matter more.
        rotated.unlink(missing_ok=True)
    os.truncate(log, 0)
