"""Start a child that dies with this process, watch its log, and stop it in bounded time."""

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

# Of the API and the worker: a refusal, with its reason in the last line of the log.
EXIT_CANNOT_START: Final = 2
# PostgreSQL's words in the C locale; it takes a segment of its log at once, 16 MiB.
_NO_SPACE: Final = (b"No space left on device", b"Disk quota exceeded")
_LEAST_FREE_BYTES: Final = 16 * 1024 * 1024
MAX_LOG_BYTES: Final = 10 * 1024 * 1024
_LAST_WORDS: Final = 15
_WRAPPER: Final = Path(__file__).with_name("exec_wrapper.py")
_TICK_SECONDS: Final = 0.01


class Service(Struct, frozen=True, kw_only=True):
    """A program to keep running, as data.

    `identity` is what `exec_wrapper` takes. `is_ready` is asked again and again, so it is quick.
    `death_signal` is sent by the kernel when this process dies; `stop_signal` asks for a
    graceful stop, which gets `stop_seconds`. `before_start` clears the way and returns
    file descriptors for the program to keep; `after_stop` removes what it leaves behind.
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
    """Start it in a session of its own, so that a Ctrl-C reaches it only through us.

    To be called in a thread that outlives the child: the kernel sends the death signal
    when the thread that forked ends (prctl(2)).
    """
    service.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    bound_log(service.log)
    kept = service.before_start()
    try:
        with service.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the command is ours
                guarded(service.command, service.identity, service.death_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=service.environ,
                cwd=service.folder,
                start_new_session=True,
                pass_fds=kept,
            )
    finally:
        for descriptor in kept:
            os.close(descriptor)


def guarded(
    command: Sequence[str], identity: str, death_signal: signal.Signals = signal.SIGKILL
) -> list[str]:
    """Put `exec_wrapper` before a command."""
    python = [sys.executable, "-I", "-S", str(_WRAPPER)]
    return [*python, str(os.getpid()), str(int(death_signal)), identity, *command]


def await_ready(services: Sequence[Running], *, beside: Sequence[Running] = ()) -> None:
    """Wait until all are ready.

    Raises ServiceFailed when one of them, or of those beside them, dies, or one takes too long;
    CannotStart when one has said in a line of its own why it cannot start.
    """
    started = time.monotonic()
    waiting = list(services)
    while waiting := [running for running in waiting if not running[0].is_ready()]:
        for service, process in (*beside, *services):
            if process.poll() is not None:
                _refuse_if_it_said_why(service, process)
                message = f"{service.name} ended with {ending_of(process)}"
                raise ServiceFailed(message + log_tail(service.log))
        for service, _ in waiting:
            if time.monotonic() > started + service.start_seconds:
                message = f"{service.name} is not ready after {service.start_seconds:.0f} s"
                raise ServiceFailed(message + log_tail(service.log))
        time.sleep(_TICK_SECONDS)


def _refuse_if_it_said_why(service: Service, process: subprocess.Popen[bytes]) -> None:
    """Take over the last line of a process of ours that has ended with 2."""
    prefix = f"{service.name.lower()}: "
    last = log_tail(service.log).rpartition("\n")[2].strip()
    if process.returncode == EXIT_CANNOT_START and last.startswith(prefix):
        raise CannotStart(f"the {service.name} cannot start: {last.removeprefix(prefix)}")


def stop(services: Sequence[Running]) -> None:
    """Ask all of them to stop, and kill what has not in its time."""
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
        sweep(process)
        service.after_stop()


def sweep(process: subprocess.Popen[bytes]) -> None:
    """Kill what a dead child has left of its process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def ending_of(process: subprocess.Popen[bytes]) -> str:
    """Say how a process ended: its exit code or its signal."""
    code = process.returncode
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def log_tail(log: Path) -> str:
    """Give the end of a log, indented, below the name of the file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8_192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [f"    {line}" for line in text.splitlines()[-_LAST_WORDS:]]
    return "\n".join([f"; the end of {log}:", *lines]) if lines else ""


def log_size(log: Path) -> int:
    """Give the size of a log, 0 where there is none."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def disk_is_full(log: Path, *, since: int) -> bool:
    """Say whether a service died for want of disk space, by its log from `since` on.

    A full disk may have kept it from writing so: then what is free tells.
    """
    try:
        room = os.statvfs(log.parent)
        if room.f_bavail * room.f_frsize < _LEAST_FREE_BYTES:
            return True
        with log.open("rb") as file:
            # Moved away meanwhile: all of it is new.
            file.seek(since if since <= log_size(log) else 0)
            words = file.read()
    except OSError as error:
        return error.errno == errno.ENOSPC
    return any(each in words for each in _NO_SPACE)


def bound_log(log: Path) -> None:
    """Move a log that has grown too long to `.1`, in place: its writer keeps it open."""
    try:
        if log.stat().st_size <= MAX_LOG_BYTES:
            return
    except FileNotFoundError:
        return
    before = log.with_name(f"{log.name}.1")
    try:
        before.write_bytes(log.read_bytes())
    except OSError:
        # No room for both: what is said next matters more.
        before.unlink(missing_ok=True)
    os.truncate(log, 0)
