"""Start the whole system on one data folder, supervise it, and stop it."""

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote

from app.embedded.allocator import ALLOCATOR_ENVIRONMENT
from app.embedded.dask_cluster import prepare_dask
from app.embedded.data_folder import find_owner, own_data_folder
from app.embedded.errors import CannotStart
from app.embedded.listen_policy import access_of, check_access, check_api, is_ready
from app.embedded.processes import Service, guarded
from app.embedded.servers import prepare_postgres, prepare_redis
from app.embedded.supervisor import Supervisor
from app.environment import without_files
from app.settings import Settings

_ROOT: Final = Path(__file__).parents[2]
_OTHER_PORTS: Final = (8001, 8002)
# Crivo's own two processes, run with this Python.
_API: Final = ("-m", "app.main")
_WORKER: Final = ("-m", "app.worker")
_RELEASE_SECONDS: Final = 10.0
_DASK_NOTE: Final = """
Parts of runs also run on a Dask cluster of two workers. It is for trials: every user of this
machine can connect to its scheduler, and so run programs as you.
"""


class Stopped(BaseException):
    """A signal requested the end; like KeyboardInterrupt, not an Exception."""


def run(settings: Settings, *, dask: bool = False) -> int:
    """Run the system in the foreground until a signal stops it, and return 0.

    With `dask`, parts of runs run on a Dask cluster, too, which is started for it.
    """
    try:
        with _signals_raise_stopped(), running_system(settings, dask=dask) as supervisor:
            welcome = _welcome(url_of(settings), access=access_of(settings))
            sys.stdout.write(welcome + (_DASK_NOTE if dask else ""))
            sys.stdout.flush()
            return supervisor.watch()
    except Stopped:
        sys.stderr.write("crivo: stopped\n")
        return 0


def demo(settings: Settings) -> int:
    """Run the demo on the running system, or on one that is started for it."""
    try:
        with _signals_raise_stopped():
            owner = find_owner(data_of(settings))
            if owner is not None:
                sys.stdout.write(f"crivo: using the system that runs at {owner.url}\n")
                return _run_demo(owner.url, Supervisor())
            sys.stdout.write("crivo: starting the system for the demo\n")
            with running_system(settings) as supervisor:
                return _run_demo(url_of(settings), supervisor)
    except Stopped:
        return 1


def administer(settings: Settings, arguments: Sequence[str]) -> int:
    """Run the administration command on the database; start the embedded one if necessary.

    Raises CannotStart also if the data folder belongs to a system in containers.
    """
    data = data_of(settings)
    is_composed = (data / "secrets" / "database_url").exists()
    if is_composed and not settings.database_url and not (data / "postgres").exists():
        raise CannotStart(f"{data} belongs to a system in containers; use ./start.sh compose admin")
    try:
        with _signals_raise_stopped(), _database(settings) as database:
            command = guarded([sys.executable, "-m", "app.cli.admin", *arguments], "self")
            environ = {**without_files(), "DATABASE_URL": database}
            return subprocess.run(command, cwd=_ROOT, env=environ, check=False).returncode  # noqa: S603 - our own program
    except Stopped:
        return 1


@contextmanager
def running_system(settings: Settings, *, dask: bool = False) -> Iterator[Supervisor]:
    """Run the system within the block, after checking its preconditions.

    Raises CannotStart, ServiceFailed, and Stopped on a signal.
    """
    data = data_of(settings)
    if dask and settings.engine != "local":
        raise CannotStart("CRIVO_ENGINE is set, and ./start.sh dask starts a cluster of its own")
    check_access(settings, data)
    with own_data_folder(data, url=url_of(settings)):
        _check_port(settings.host, settings.port)
        supervisor = Supervisor()
        try:
            _start(settings, data, supervisor, dask=dask)
            yield supervisor
        finally:
            # The stop is bounded in time; a signal must not interrupt it.
            _ignore_signals()
            supervisor.stop()


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """Yield the database's URL; run the embedded database within the block if necessary."""
    data = data_of(settings)
    if settings.database_url:
        yield settings.database_url
    elif find_owner(data) is not None:
        yield prepare_postgres(data)[1]
    else:
        with own_data_folder(data, url="nowhere: ./start.sh admin is at work"):
            supervisor = Supervisor()
            try:
                service, database = prepare_postgres(data)
                supervisor.start(service)
                from app.embedded.migrations import migrate  # noqa: PLC0415 - as below

                supervisor.await_ready()
                migrate(database, data / "log" / "migrate.log")
                yield database
            finally:
                _ignore_signals()
                supervisor.stop()


def url_of(settings: Settings) -> str:
    """Return the API's URL."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def data_of(settings: Settings) -> Path:
    """Return the data folder; a relative path is relative to the project's folder."""
    return (_ROOT / settings.data).resolve()


def _start(settings: Settings, data: Path, supervisor: Supervisor, *, dask: bool) -> None:
    database, redis = settings.database_url, settings.redis_url
    servers: list[Service] = []
    if not database:
        service, database = prepare_postgres(data)
        servers.append(service)
    if not redis:
        service, redis = prepare_redis(data)
        servers.append(service)
    supervisor.start(*servers)
    # Imported while the servers start, since its driver takes long to load.
    from app.embedded.migrations import migrate  # noqa: PLC0415

    supervisor.await_ready()
    migrate(database, data / "log" / "migrate.log")
    environ = {
        **ALLOCATOR_ENVIRONMENT,
        **without_files(),
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "BLOB_URL": settings.blob_url or f"file://{quote(str(data / 'blobs'))}",
        "CRIVO_DATA": str(data),
        "CRIVO_HOST": settings.host,
        # Without a container, the API listens on its own address.
        "CRIVO_BIND": "",
        "CRIVO_PORT": str(settings.port),
    }
    check_api(settings, [sys.executable, *_API], environ)
    if dask:
        services, engine = prepare_dask(data, environ, folder=_ROOT)
        supervisor.start(*services)
        environ = {**environ, "CRIVO_ENGINE": engine}
    # One group each, so that the API stops accepting work before the worker stops.
    supervisor.start(_own_service("worker", _WORKER, data, environ, settings))
    supervisor.start(_own_service("API", _API, data, environ, settings))
    supervisor.await_ready()


def _own_service(
    name: str, command: Sequence[str], data: Path, environ: dict[str, str], settings: Settings
) -> Service:
    # The API's readiness includes a live worker, so the worker has no check of its own.
    ready = (lambda: is_ready(settings)) if name == "API" else (lambda: True)
    return Service(
        name=name,
        command=[sys.executable, *command],
        log=data / "log" / f"{name.lower()}.log",
        is_ready=ready,
        environ=environ,
        folder=_ROOT,
        # A worker lets executions finish within the grace period, then releases the others.
        stop_seconds=settings.grace_seconds + _RELEASE_SECONDS,
    )


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Like the API's own socket: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
            message = (
                f"port {port} of {host} {reason}; choose another, as in "
                f"CRIVO_PORT={_OTHER_PORTS[port == _OTHER_PORTS[0]]} ./start.sh"
            )
            raise CannotStart(message) from None


@contextmanager
def _signals_raise_stopped() -> Iterator[None]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Under nohup, SIGHUP stays ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, _raise_stopped) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _raise_stopped(_number: int, _frame: object) -> NoReturn:
    _ignore_signals()
    raise Stopped


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _run_demo(url: str, supervisor: Supervisor) -> int:
    sys.stdout.flush()
    command = guarded([sys.executable, "-m", "app.cli.demo", url], "self")
    # The client is imported from its folder: .venv holds only what hashes lock.
    environ = {**os.environ, "PYTHONPATH": str(_ROOT / "client" / "src")}
    # A session of its own, so that Ctrl-C reaches only the launcher.
    with subprocess.Popen(command, cwd=_ROOT, env=environ, start_new_session=True) as process:  # noqa: S603 - fixed argv
        try:
            return supervisor.watch(until=process)
        finally:
            process.kill()


def _welcome(url: str, *, access: str) -> str:
    upload = "-H 'Content-Type: text/javascript' --data-binary @examples/cards/script.js"
    submit = "-H 'Content-Type: application/json' --data-binary @examples/cards/payload.json"
    if access == "open":
        key = ""
        policy = (
            "open: every user of this machine has full access, as the tenant default;\n"
            "        ./start.sh admin key create --all creates a key and ends open access"
        )
    else:
        key = ' -H "Authorization: Bearer $CRIVO_KEY"'
        policy = "keys: every request needs one"
    return f"""\
crivo: ready
  API   {url}
  docs  {url}/docs
  {policy}

To try, in {_ROOT}:
  curl -s{key} '{url}/scripts?name=cards' {upload}
  curl -s{key} {url}/scripts/cards/executions {submit}
  curl -s{key} {url}/executions/ID    # ID: the "id" in the response above

Ctrl-C stops it.
"""
