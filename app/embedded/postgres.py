"""Create, recover and run a PostgreSQL cluster on a private socket."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from app.embedded.binaries import Postgres
from app.embedded.errors import ServiceFailed
from app.embedded.identity import Identity
from app.embedded.processes import Service, guarded
from app.embedded.sockets import remove_socket_folder

USER: Final = "crivo"
DATABASE: Final = "crivo"
_BUILTIN_LOCALES_SINCE: Final = 17
_LAST_SERVER_GONE_SECONDS: Final = 15.0
_TICK_SECONDS: Final = 0.02
# LOCK_FILE_LINE_PM_STATUS of miscadmin.h, which pg_ctl reads too.
_STATUS_LINE: Final = 8

_OPTIONS: Final = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    # Errors without details and statements, which may contain users' data.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "cluster_name": "crivo",
}


def database_url(sockets: Path) -> str:
    """Return the database's URL; the socket's folder is private, so there is no password."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(sockets), safe='')}"


def data_version(data: Path) -> int | None:
    """Return the major version of a cluster, None if there is no cluster."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def create_cluster(
    programs: Postgres, data: Path, identity: Identity, *, durable: bool = True
) -> None:
    """Create the cluster and its database atomically; remove an interrupted attempt.

    Raises ServiceFailed with initdb's message.
    """
    if data_version(data) is not None:
        identity.own(data)
        return
    scratch = data.with_name(f"{data.name}.new")
    # Some systems have no C.UTF-8; all have C, which sorts the same.
    failure = ""
    for locale in ("C.UTF-8", "C"):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        identity.own(scratch)
        sync = [] if durable else ["--no-sync"]
        initialized = _run([*_initdb(programs, scratch, locale), *sync], identity)
        if initialized.returncode == 0:
            break
        failure = failure or initialized.stderr.strip() or initialized.stdout.strip()
    else:
        message = f"initdb failed: {failure}"
        raise ServiceFailed(message)
    single = [str(programs.folder / "postgres"), "--single", "-D", str(scratch), "postgres"]
    created = _run(single, identity, text=f"CREATE DATABASE {DATABASE};\n")
    if created.returncode != 0 or "ERROR" in created.stderr:
        message = f"PostgreSQL could not create its database: {created.stderr.strip()}"
        raise ServiceFailed(message)
    scratch.rename(data)
    folder = os.open(data.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def postgres_service(
    programs: Postgres,
    *,
    data: Path,
    sockets: Path,
    log: Path,
    identity: Identity,
    durable: bool = True,
) -> Service:
    """Describe the server of an existing cluster for a supervisor.

    Without `durable`, for tests, a crash of the machine can corrupt the cluster.
    """
    quoted = '"' + str(sockets).replace('"', '""') + '"'
    command = [str(programs.folder / "postgres"), "-D", str(data)]
    fsync = "on" if durable else "off"
    options = {**_OPTIONS, "unix_socket_directories": quoted, "fsync": fsync}
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    return Service(
        name="PostgreSQL",
        command=command,
        log=log,
        is_ready=lambda: _status_of(data) == "ready",
        before_start=lambda: (_take_over(data),),
        environ=_environ(),
        identity=identity.name,
        after_stop=lambda: remove_socket_folder(sockets),
        # SIGINT ends sessions and writes a checkpoint. SIGQUIT ends the server within 5 s
        # whatever the sessions do, and leaves recovery to the next start.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
        stop_seconds=30.0,
    )


def _initdb(programs: Postgres, folder: Path, locale: str) -> list[str]:
    command = [str(programs.folder / "initdb"), "--pgdata", str(folder), "--encoding=UTF8"]
    command += ["--username", USER, "--auth=trust", "--no-instructions", f"--locale={locale}"]
    if programs.version >= _BUILTIN_LOCALES_SINCE:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return command


def _take_over(data: Path) -> int:
    """Wait until no process of an earlier server is left; return the lock that proves it."""
    # Every process of a server inherits this lock, so it is free only when none is left, not
    # even a late one of a server that was killed.
    lock = os.open(data.with_name(f"{data.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LAST_SERVER_GONE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                message = f"a PostgreSQL server still runs on {data}"
                raise ServiceFailed(message) from None
            time.sleep(_TICK_SECONDS)
        else:
            break
    _forget_dead_server(data / "postmaster.pid")
    return lock


def _forget_dead_server(pid_file: Path) -> None:
    # A pid file left by a crash may name a pid that another program has now, and PostgreSQL
    # would refuse to start. Without /proc, PostgreSQL decides itself.
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
    except FileNotFoundError:
        return
    except ValueError:
        pid_file.unlink()
        return
    try:
        is_dead = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() != "postgres"
    except OSError:
        is_dead = Path("/proc/self").exists()
    if is_dead:
        pid_file.unlink()


def _status_of(data: Path) -> str:
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").split("\n")
    except OSError:
        return ""
    return lines[_STATUS_LINE - 1].strip() if len(lines) >= _STATUS_LINE else ""


def _run(
    command: list[str], identity: Identity, *, text: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - fixed argv
        guarded(command, identity.name),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=_environ(),
        start_new_session=True,
    )


def _environ() -> dict[str, str]:
    # PGDATA, PGPORT and the like refer to another server.
    environ = {name: value for name, value in os.environ.items() if not re.match("PG[A-Z]", name)}
    return {**environ, "LC_ALL": "C"}
