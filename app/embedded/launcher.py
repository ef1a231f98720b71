"""Bring the whole system up below one data folder, keep it up, and take it down."""

import errno
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
# The commands of the two processes that are ours; each is run with this Python.
_API: Final = ("-m", "app.main")
_WORKER: Final = ("-m", "app.worker")
_FAREWELL_SECONDS: Final = 10.0


class Stopped(BaseException):
    """A signal asked for the end; like KeyboardInterrupt, not an error to be caught."""


def run(settings: Settings) -> int:
    """Run the system in the foreground until a signal ends it; 0 then."""
    try:
        with _signals_raise_stopped(), running_system(settings) as supervisor:
            sys.stdout.write(_welcome(url_of(settings), access=access_of(settings)))
            sys.stdout.flush()
            return supervisor.watch()
    except Stopped:
        sys.stderr.write("crivo: stopped\n")
        return 0


def demo(settings: Settings) -> int:
    """Run the demonstration on the system that runs, else on one for the length of it."""
    try:
        with _signals_raise_stopped():
            owner = find_owner(data_of(settings))
            if owner is not None:
                sys.stdout.write(f"crivo: using the system that runs at {owner.url}\n")
                return _demonstrate(owner.url, Supervisor())
            sys.stdout.write("crivo: starting the system for the length of the demo\n")
            with running_system(settings) as supervisor:
                return _demonstrate(url_of(settings), supervisor)
    except Stopped:
        return 1


def administer(settings: Settings, arguments: Sequence[str]) -> int:
    """Run the operations command on the database; the embedded one is started where it is not.

    Raises CannotStart also where only the containers' database can be meant.
    """
    data = data_of(settings)
    composed = (data / "secrets" / "database_url").exists()
    if composed and not settings.database_url and not (data / "postgres").exists():
        raise CannotStart(
            f"{data} is that of a system in containers; ./start.sh compose admin has its database"
        )
    try:
        with _signals_raise_stopped(), _database(settings) as database:
            command = guarded([sys.executable, "-m", "app.cli.admin", *arguments], "self")
            environ = {**without_files(), "DATABASE_URL": database}
            return subprocess.run(command, cwd=_ROOT, env=environ, check=False).returncode  # noqa: S603 - our own program
    except Stopped:
        return 1


@contextmanager
def running_system(settings: Settings) -> Iterator[Supervisor]:
    """Bring the system up for the length of the block; what it needs is checked first.

    Raises CannotStart, ServiceFailed, and Stopped when a signal comes.
    """
    data = data_of(settings)
    check_access(settings, data)
    with own_data_folder(data, url=url_of(settings)):
        _check_port(settings.host, settings.port)
        supervisor = Supervisor()
        try:
            _bring_up(settings, data, supervisor)
            yield supervisor
        finally:
            # The stop is bounded in time, and a signal must not cut it short.
            _ignore_signals()
            supervisor.stop()


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """Give the database's URL; where nobody runs the embedded one, it runs for the block."""
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
    """Name the API."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def data_of(settings: Settings) -> Path:
    """Name the data folder; a relative one is below the project's folder."""
    return (_ROOT / settings.data).resolve()


def _bring_up(settings: Settings, data: Path, supervisor: Supervisor) -> None:
    database, redis = settings.database_url, settings.redis_url
    servers: list[Service] = []
    if not database:
        service, database = prepare_postgres(data)
        servers.append(service)
    if not redis:
        service, redis = prepare_redis(data)
        servers.append(service)
    supervisor.start(*servers)
    # Imported while the servers start: its driver takes longer to load than all of the above.
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
        # No container's port stands between the API and its address here.
        "CRIVO_BIND": "",
        "CRIVO_PORT": str(settings.port),
    }
    check_api(settings, [sys.executable, *_API], environ)
    # One group each: the API stops taking work before the workers stop doing it.
    supervisor.start(_ours("worker", _WORKER, data, environ, settings))
    supervisor.start(_ours("API", _API, data, environ, settings))
    supervisor.await_ready()


def _ours(
    name: str, command: Sequence[str], data: Path, environ: dict[str, str], settings: Settings
) -> Service:
    # The API's readiness says whether a worker is alive, so a worker has none of its own.
    ready = (lambda: is_ready(settings)) if name == "API" else (lambda: True)
    return Service(
        name=name,
        command=[sys.executable, *command],
        log=data / "log" / f"{name.lower()}.log",
        is_ready=ready,
        environ=environ,
        folder=_ROOT,
        # A worker's executions have their grace; then it hands back what still runs.
        stop_seconds=settings.grace_seconds + _FAREWELL_SECONDS,
    )


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the API's own socket: a port in TIME_WAIT is free.
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
    # Below nohup, the end of the terminal is not to be the end of us.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, _raise_stopped) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_stopped(_number: int, _frame: object) -> NoReturn:
    _ignore_signals()
    raise Stopped


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _demonstrate(url: str, supervisor: Supervisor) -> int:
    sys.stdout.flush()
    command = guarded([sys.executable, "-m", "app.cli.demo", url], "self")
    # Its own session, as all children: Ctrl-C comes to us.
    with subprocess.Popen(command, cwd=_ROOT, start_new_session=True) as process:  # noqa: S603 - fixed argv
        try:
            return supervisor.watch(until=process)
        finally:
            process.kill()


def _welcome(url: str, *, access: str) -> str:
    upload = "-H 'Content-Type: text/javascript' --data-binary @examples/cards/script.js"
    submit = "-H 'Content-Type: application/json' --data-binary @examples/cards/payload.json"
    key, who = (
        "",
        (
            "open: whoever is on this machine may do everything, as the tenant default;\n"
            "        ./start.sh admin key create --all makes a key, and from then on all need one"
        ),
    )
    if access != "open":
        key, who = ' -H "Authorization: Bearer $CRIVO_KEY"', "keys: every request needs one"
    return f"""\
crivo: ready
  API   {url}
  docs  {url}/docs
  {who}

To try, in {_ROOT}:
  curl -s{key} '{url}/scripts?name=cards' {upload}
  curl -s{key} {url}/scripts/cards/executions {submit}
  curl -s{key} {url}/executions/ID    # ID: the "id" of the answer above

Ctrl-C stops it.
"""
