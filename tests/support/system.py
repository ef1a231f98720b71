"""A real system: API and worker processes, reached over HTTP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from app.embedded.allocator import ALLOCATOR_ENVIRONMENT

ROOT = Path(__file__).parents[2]
CARDS = ROOT / "examples" / "cards"
_PATIENCE_SECONDS = 60.0


class System:
    """API and workers as child processes on given servers; all end with the context."""

    def __init__(self, *, database_url: str, redis_url: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=_PATIENCE_SECONDS)
        self.folder = folder
        self.root = ROOT
        self.environ = {
            **ALLOCATOR_ENVIRONMENT,
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "BLOB_URL": (folder / "blobs").as_uri(),
            "CRIVO_PORT": str(self.port),
            "CRIVO_WORKER_SLOTS": "2",
            "CRIVO_LEASE_SECONDS": "2",
            "CRIVO_GRACE_SECONDS": "1",
            # Tests may create keys, but are not about authentication.
            "CRIVO_AUTH": "open",
        }
        self.api: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        for process in (self.api, *self.workers):
            if process is not None:
                stop(process)

    def start(self) -> Self:
        """Start one API and one worker, and wait until they accept work."""
        self.start_api()
        self.start_worker()
        self.await_ready()
        return self

    def start_api(self) -> None:
        self.api = self.spawn("app.main")

    @contextmanager
    def another_api(self, **environ: str) -> Iterator[str]:
        """Start another API process on the same servers, and return its address."""
        port = free_port()
        process = self.spawn("app.main", **environ, CRIVO_PORT=str(port))
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in until("the other API answers"):
                try:
                    if httpx.get(f"{url}/health/live", trust_env=False).status_code == 200:
                        break
                except httpx.TransportError:
                    continue
            yield url
        finally:
            stop(process)

    def start_worker(self, **environ: str) -> subprocess.Popen[bytes]:
        worker = self.spawn("app.worker", **environ)
        self.workers.append(worker)
        return worker

    @contextmanager
    def another_worker(self, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a worker that stops with the context, if it still runs."""
        process = self.spawn("app.worker", **environ)
        try:
            yield process
        finally:
            stop(process)

    def await_ready(self) -> None:
        for _ in until("the system is ready"):
            try:
                if self.client.get("/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                continue

    def await_api(self) -> None:
        for _ in until("the API answers"):
            try:
                if self.client.get("/health/live").status_code == 200:
                    return
            except httpx.TransportError:
                continue

    def upload(self, name: str, source: str | bytes) -> None:
        """Upload a script as a raw file."""
        content = source.encode() if isinstance(source, str) else source
        answer = self.client.post(
            "/scripts",
            params={"name": name},
            content=content,
            headers={"Content-Type": "text/javascript"},
        )
        assert answer.status_code == 201, answer.text

    def submit(self, name: str, data: bytes, **choices: str | int) -> str:
        """Submit by the raw route, and return the execution's URL."""
        answer = self.client.post(f"/scripts/{name}/executions", content=data, params=choices)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["Location"])

    def finished(self, location: str) -> dict[str, Any]:
        """Poll until the execution has finished."""
        for _ in until(f"{location} has finished"):
            execution: dict[str, Any] = self.client.get(location).json()
            if execution["finished_at"] is not None:
                return execution
        raise AssertionError

    def run(self, name: str, data: bytes, **choices: str | int) -> dict[str, Any]:
        """Submit by the raw route, and wait for the end."""
        return self.finished(self.submit(name, data, **choices))

    def logs_of_process(self, module: str) -> str:
        return "".join(
            path.read_text(errors="replace") for path in self.folder.glob(f"{module}-*.log")
        )

    def spawn(self, module: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a module of app/ on the system's servers, with its own log."""
        number = len(list(self.folder.glob(f"{module}-*.log")))
        with (self.folder / f"{module}-{number}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=self.root,
                env={**self.environ, **environ},
                stdout=log,
                stderr=log,
            )


@contextmanager
def open_system(*, database_url: str, redis_url: str, folder: Path) -> Iterator[System]:
    """Run the system on given servers."""
    with System(database_url=database_url, redis_url=redis_url, folder=folder) as system:
        yield system


def stop(process: subprocess.Popen[bytes]) -> int:
    """Terminate a process, and wait for its end."""
    if process.poll() is None:
        process.terminate()
    return process.wait(timeout=_PATIENCE_SECONDS)


def until(what: str) -> Iterator[None]:
    """Yield repeatedly until the caller breaks; fail after a time limit."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(0.02)  # pauses between two checks; it never replaces a check
    message = f"gave up waiting: {what}"
    raise AssertionError(message)


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
