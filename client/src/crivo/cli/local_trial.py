"""Run test cases in the sandbox of this machine, by Crivo's own server package.

The server package is a program of its own here: nothing of it is imported.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from msgspec import Struct, json

from crivo.cli.cases import Case, Outcome
from crivo.cli.exit_codes import UsageError
from crivo.json_text import decode
from crivo.models import Finding, Sample

_MODULE: Final = "app.cli.trial"
_MODULE_PATH: Final = Path("cli", "trial.py")
_END_SECONDS: Final = 10.0


class Findings(Struct, frozen=True):
    """The first line of a trial."""

    errors: list[Finding]
    warnings: list[Finding]


class LocalTrial:
    """A trial in progress."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        """Read the findings about the script. Raises UsageError."""
        self._process = process
        self.findings = decode(self._line(), Findings)

    def run(self, case: Case) -> Outcome:
        """Run a case. Raises UsageError."""
        document = {"input": str(case.input.resolve())}
        _pipe(self._process.stdin).write(json.encode(document) + b"\n")
        _pipe(self._process.stdin).flush()
        return Outcome.of_sample(decode(self._line(), Sample))

    def _line(self) -> bytes:
        line = _pipe(self._process.stdout).readline()
        if not line:
            reason = _pipe(self._process.stderr).read().decode(errors="replace").strip()
            raise UsageError(f"--local: {reason or 'the sandbox ended without a reason'}")
        return line


@contextmanager
def local_trial(script: Path) -> Iterator[LocalTrial]:
    """Start a trial of a script. Raises UsageError where there is no server package."""
    python, root = _server_package(Path.cwd(), script.resolve().parent)
    command = [python, "-m", _MODULE, str(script.resolve())]
    with subprocess.Popen(  # noqa: S603 - fixed arguments
        command,
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C ends it by the end of its input.
        start_new_session=True,
    ) as process:
        try:
            yield LocalTrial(process)
        finally:
            _pipe(process.stdin).close()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _server_package(*starts: Path) -> tuple[str, Path]:
    """Find a checkout of Crivo around these folders, or the package in this environment."""
    for folder in _with_parents(starts):
        python = folder / ".venv" / "bin" / "python"
        if (folder / "app" / _MODULE_PATH).is_file() and python.exists():
            return str(python), folder
    spec = find_spec("app")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / _MODULE_PATH).is_file():
            return sys.executable, Path(place).parent
    raise UsageError(
        "--local: needs Crivo's server package; run it inside a checkout of Crivo in which "
        "./start.sh was started once, or test against a server"
    )


def _with_parents(starts: Sequence[Path]) -> Iterator[Path]:
    for start in starts:
        yield start
        yield from start.parents


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise TypeError("the process was started with pipes")
    return pipe
