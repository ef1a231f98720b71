"""Prepare a Dask cluster on loopback, for trials of runs on an engine."""

import signal
import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.embedded.errors import CannotStart
from app.embedded.processes import Service

_HOST: Final = "127.0.0.1"
_WORKERS: Final = 2
_CONNECT_SECONDS: Final = 0.2
# They hold nothing that could be lost, and a Dask worker may hang if its scheduler ends with it.
_STOP_SIGNAL: Final = signal.SIGKILL


def prepare_dask(
    data: Path, environ: Mapping[str, str], *, folder: Path
) -> tuple[list[Service], str]:
    """Return a scheduler, two workers of one thread each, and the value of `CRIVO_ENGINE`.

    `environ` is that of Crivo's own worker: theirs is the same. Raises CannotStart without the
    packages.
    """
    if find_spec("distributed") is None:
        raise CannotStart("there is no distributed; ./start.sh dask installs it")
    port = _free_port()
    # Dask writes a commented configuration where it finds none.
    environ = {**environ, "DASK_CONFIG": str(data / "dask" / "config")}
    scheduler = Service(
        name="Dask scheduler",
        command=_command("distributed.cli.dask_scheduler", "--port", str(port)),
        log=data / "log" / "dask-scheduler.log",
        is_ready=lambda: _listens(port),
        environ=environ,
        folder=folder,
        stop_signal=_STOP_SIGNAL,
    )
    workers = [
        Service(
            name=f"Dask worker {number}",
            command=_command(
                *("distributed.cli.dask_worker", f"tcp://{_HOST}:{port}"),
                # Supervised here. A part takes a thread to its end.
                *("--no-nanny", "--nthreads", "1"),
                *("--local-directory", str(data / "dask")),
            ),
            log=data / "log" / f"dask-worker-{number}.log",
            is_ready=lambda: True,
            environ=environ,
            folder=folder,
            stop_signal=_STOP_SIGNAL,
        )
        for number in range(1, _WORKERS + 1)
    ]
    return [scheduler, *workers], f"dask://{_HOST}:{port}"


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments, "--host", _HOST, "--no-dashboard"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((_HOST, port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False
