"""Run `crivo send` as a process that can be killed, and read what the API has answered it."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.embedded.processes import guarded
from scripts.benchmarks.systems import ROOT

PARALLEL: Final = 4
_TAIL_BYTES: Final = 2_000


class Sender:
    """The command line, with a home of its own; it is started at once."""

    def __init__(self, source: Path, home: Path, *, url: str, dataset: str, key: str) -> None:
        """Start it."""
        home.mkdir()
        self._output, self._errors = home / "output", home / "errors"
        self._home = home
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(ROOT / "client" / "src"),
            "CRIVO_URL": url,
        }
        program = (sys.executable, "-m", "crivo", "send", str(source), dataset)
        self._command = [*program, "--key", key, "--parallel", str(PARALLEL), "--json"]
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Kill -9 it, and start it again."""
        self.stop()
        self._process = self._start()

    def stop(self) -> None:
        """Kill -9 it."""
        self._process.kill()
        self._process.wait()

    def result(self) -> "Sent | str":
        """Wait until it ends; return what it has sent, or why it has failed."""
        code = self._process.wait()
        if code:
            errors = self._errors.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
            return f"exit code {code}: {errors}"
        return msgspec.json.decode(self._output.read_bytes(), type=Sent)

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            return subprocess.Popen(  # noqa: S603 - our own command
                guarded(self._command, "self"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=self._environ,
                cwd=self._home,
            )


class Sent(Struct, frozen=True, kw_only=True):
    """What the command line reports at its end."""

    files: int
    records: int
    raw_bytes: int
    parts: int
    parts_sent: int


class Answer(Struct, frozen=True, kw_only=True):
    """One answer to a part: when the request began and ended; `status` None if nobody waited."""

    began: float
    ended: float
    part: str
    status: int | None


class _LogLine(Struct, frozen=True, kw_only=True):
    at: datetime
    method: str
    path: str
    status: int | None
    ms: float


def read_answers(log: Path) -> list[Answer]:
    """Read the answers to parts from the API's log, in order."""
    answers = []
    with log.open("rb") as file:
        for line in file:
            if b'"http.request"' not in line:
                continue
            entry = msgspec.json.decode(line, type=_LogLine)
            if entry.method == "PUT" and "/parts/" in entry.path:
                part = entry.path.partition("/files/")[2]
                ended = entry.at.timestamp()
                began = ended - entry.ms / 1_000
                answers.append(Answer(began=began, ended=ended, part=part, status=entry.status))
    return answers
