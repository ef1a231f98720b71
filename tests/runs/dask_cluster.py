"""A Dask cluster as child processes: a scheduler, and workers with the environment of Crivo's."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.settings import Settings
from tests.support.system import ROOT, free_port


class DaskCluster:
    """A scheduler on loopback, and workers of one thread each, which nothing restarts."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self._folder = folder
        self.port = free_port()
        self.scheduler = self._spawn("distributed.cli.dask_scheduler", "--port", str(self.port))
        self.workers: list[subprocess.Popen[bytes]] = []
        self._await_scheduler()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add_worker(self, prefix: tuple[str, ...] = (), **environ: str) -> subprocess.Popen[bytes]:
        """Start a worker; `prefix` are arguments of Python before its module."""
        arguments = (f"tcp://{self.address}", "--nthreads", "1", "--no-nanny")
        worker = self._spawn(
            "distributed.cli.dask_worker", *arguments, prefix=prefix, environ=environ
        )
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _spawn(
        self,
        module: str,
        *arguments: str,
        prefix: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        number = len(list(self._folder.glob("dask-*.log")))
        with (self._folder / f"dask-{number}.log").open("wb") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, *prefix, "-m", module, *arguments),
                    *("--host", "127.0.0.1", "--no-dashboard"),
                ],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(ROOT),
                    # No configuration of the machine's user, and none is written there.
                    "HOME": str(self._folder),
                    "DATABASE_URL": self.settings.database_url,
                    "REDIS_URL": self.settings.redis_url,
                    "BLOB_URL": self.settings.blob_url,
                    **(environ or {}),
                },
            )

    def _await_scheduler(self) -> None:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.scheduler.poll() is None, "the scheduler has ended"
            # It tells nobody when it listens.
            time.sleep(0.05)


@contextmanager
def dask_cluster(settings: Settings, folder: Path, *, workers: int = 0) -> Iterator[DaskCluster]:
    folder.mkdir()
    cluster = DaskCluster(settings, folder)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.close()
