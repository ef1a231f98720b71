"""Crivo started by its launcher, as processes that tests can kill and count."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx
import psutil

ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 60.0
_OURS = ("CRIVO_", "DATABASE_URL", "REDIS_URL", "BLOB_URL")


class LauncherProcess:
    """A `./start.sh` on its own data folder and port."""

    def __init__(
        self,
        data: Path,
        port: int,
        *,
        command: Sequence[str] = (str(ROOT / "start.sh"),),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._output = data.with_name(f"{data.name}.output")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**launch_environ(data, port), **(environ or {})},
                cwd=ROOT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(_PATIENCE_SECONDS)

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_until_ready(self) -> Self:
        def ready_or_ended() -> bool:
            assert self._process.poll() is None, self.output
            return "crivo: ready" in self.output

        eventually(ready_or_ended)
        return self

    def processes(self) -> list[psutil.Process]:
        """The launcher and its descendants, the launcher first."""
        launcher = psutil.Process(self._process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def child(self, words: str) -> psutil.Process:
        """Wait for the launcher's child whose command line contains these words."""
        found: list[psutil.Process] = []

        def appears() -> bool:
            assert self._process.poll() is None, self.output
            children = psutil.Process(self._process.pid).children()
            found.extend(
                child for child in children if runs(child) and words in " ".join(child.cmdline())
            )
            return bool(found)

        eventually(appears)
        return found[0]

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self._process.wait(_PATIENCE_SECONDS)

    def wait(self) -> int:
        return self._process.wait(_PATIENCE_SECONDS)


def launch_environ(data: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "CRIVO_DATA": str(data), "CRIVO_PORT": str(port)}


def refused_start(data: Path, port: int, **environ: str) -> str:
    """Start, expect exit code 2 and one line, and return the line."""
    done = subprocess.run(
        [ROOT / "start.sh"],
        env={**launch_environ(data, port), **environ},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def gone(processes: Sequence[psutil.Process]) -> bool:
    """Return whether all of them have ended; zombies count as ended."""
    return not any(runs(process) for process in processes)


def runs(process: psutil.Process) -> bool:
    try:
        # is_running distinguishes a process from a later one with the same id.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
