"""Run the command line `crivo` as a process, in pipes or in a terminal of its own."""

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.support.servers import ROOT

_SECONDS: Final = 60
# Long enough for tables, and not the default.
_COLUMNS: Final = "160"


def write_command(path: Path) -> None:
    """Write the command `crivo`, as an installation of client/ would."""
    path.parent.mkdir()
    source = shlex.quote(str(ROOT / "client" / "src"))
    run = f"PYTHONPATH={source} exec {shlex.quote(sys.executable)} -m crivo"
    path.write_text(f'#!/bin/sh\n{run} "$@"\n')
    path.chmod(0o755)


class Done(Struct, frozen=True):
    """A process that has ended. In a terminal, `out` is everything that it shows."""

    code: int
    out: bytes
    err: str = ""

    @property
    def text(self) -> str:
        return self.out.decode()


class CrivoCommand:
    """The command line, with a home of its own."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(ROOT / "client" / "src"),
            "CRIVO_URL": url,
        }
        # SIGINT as a terminal gives it: whoever runs the tests in the background ignores it.
        self.command = ["env", "--default-signal=INT", sys.executable, "-m", "crivo"]

    def __call__(
        self, *arguments: object, stdin: bytes = b"", cwd: Path | None = None, **environ: str
    ) -> Done:
        """Run it in pipes, and wait for its end."""
        done = subprocess.run(
            [*self.command, *map(str, arguments)],
            input=stdin,
            cwd=cwd or self.home,
            env=self.environ | environ,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        err = done.stderr.decode()
        assert "Traceback" not in err, err
        return Done(done.returncode, done.stdout, err)

    def started(self, *arguments: object, **environ: str) -> "subprocess.Popen[bytes]":
        """Start it in pipes."""
        return subprocess.Popen(
            [*self.command, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env=self.environ | environ,
        )

    @contextmanager
    def terminal(self, *arguments: object, **environ: str) -> Iterator["Terminal"]:
        """Start it in a pseudo-terminal."""
        controller, device = pty.openpty()
        process = subprocess.Popen(
            [*self.command, *map(str, arguments)],
            stdin=device,
            stdout=device,
            stderr=device,
            cwd=self.home,
            env={**self.environ, "TERM": "xterm", "COLUMNS": _COLUMNS, **environ},
            start_new_session=True,
        )
        os.close(device)
        try:
            yield Terminal(process, controller)
        finally:
            process.kill()
            process.wait()
            os.close(controller)

    def in_terminal(self, *arguments: object, **environ: str) -> Done:
        """Run it in a pseudo-terminal, and wait for its end."""
        with self.terminal(*arguments, **environ) as terminal:
            return terminal.end()


class Terminal:
    """A process in a pseudo-terminal."""

    def __init__(self, process: "subprocess.Popen[bytes]", controller: int) -> None:
        self._process = process
        self._controller = controller
        self.shown = b""

    def types(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def interrupts(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def until(self, shows: Callable[[bytes], bool]) -> None:
        """Read until it shows something."""
        end = time.monotonic() + _SECONDS
        while not shows(self.shown):
            assert time.monotonic() < end, self.shown
            assert self._read(), self.shown

    def end(self) -> Done:
        """Read until it ends."""
        end = time.monotonic() + _SECONDS
        while self._read():
            # A progress display may never end.
            assert time.monotonic() < end, self.shown
        done = Done(self._process.wait(_SECONDS), self.shown.replace(b"\r\n", b"\n"))
        assert b"Traceback" not in done.out, done.out
        return done

    def _read(self) -> bytes:
        ready, _, _ = select.select([self._controller], [], [], _SECONDS)
        assert ready, self.shown
        try:
            chunk = os.read(self._controller, 65_536)
        except OSError:
            # Linux reports the end of a pseudo-terminal as an error.
            chunk = b""
        self.shown += chunk
        return chunk
