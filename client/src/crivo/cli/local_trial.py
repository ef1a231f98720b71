"""Run test cases in the sandbox of this machine, by Crivo's own server package.

The server package is a program of its own here: nothing of it is imported.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from msgspec import Struct, json

from crivo.cli.cases import Case, Outcome
from crivo.cli.exit_codes import UsageError
from crivo.json_text import decode
from crivo.script_models import Finding, Sample

_MODULE: Final = "app.cli.trial"
_MODULE_PATH: Final = Path("app", "cli", "trial.py")
# Where this file is, unless it was installed elsewhere: client/src/crivo/cli/ of a checkout.
_OWN_CHECKOUT: Final = Path(__file__).resolve().parents[4]
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
        # Why a sandbox has ended is read below.
        with suppress(BrokenPipeError):
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
    python, root = _server_package()
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
            with suppress(BrokenPipeError):
                _pipe(process.stdin).close()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _server_package() -> tuple[str, Path]:
    """Return the Python and the folder of Crivo's server package. Raises UsageError.

    A folder to work in, or of a script, may be somebody else's: nothing in it is executed.
    """
    named = os.environ.get("CRIVO_HOME", "")
    for root in (Path(named),) if named else (_OWN_CHECKOUT,):
        python = root / ".venv" / "bin" / "python"
        if (root / _MODULE_PATH).is_file() and python.exists():
            return str(python.absolute()), root.absolute()
    raise UsageError(
        "--local: needs Crivo's server package; set CRIVO_HOME to a checkout of Crivo in which "
        "./start.sh was started once, or test against a server"
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise TypeError("the process was started with pipes")
    return pipe
