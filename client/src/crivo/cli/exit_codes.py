"""Exit codes of the command line."""

from enum import IntEnum
from typing import Final

from crivo.errors import (
    CrivoError,
    EmptyName,
    ExportInProgress,
    InvalidKey,
    InvalidSource,
    InvalidUrl,
    NoResult,
    NotFinished,
    Refused,
    SchemaRejected,
    ScriptRejected,
    SendInProgress,
    StillRunning,
    Unavailable,
    UnexpectedResponse,
    Unreachable,
)
from crivo.queries.errors import QueryRefused


class ExitCode(IntEnum):
    """The exit codes; README.md and `crivo --help` list them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    STILL_RUNNING = 5
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "something failed; script, schema or data wrong; outcome differs",
    ExitCode.USAGE: "wrong arguments, or a file that cannot be read",
    ExitCode.UNREACHABLE: "the service does not respond, or cannot at the moment",
    ExitCode.REFUSED: "refused: key, name, state, quota, or another process does the same",
    ExitCode.STILL_RUNNING: "the time of --timeout has passed, the work goes on",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.PIPE_CLOSED: "the reader of the output has gone",
}


class UsageError(CrivoError):
    """The command cannot be carried out as it was given."""


class DataInvalid(CrivoError):
    """Local documents are not valid by a schema, or are no JSON."""


class OutcomeDiffers(CrivoError):
    """A replay or another version has another outcome."""


def exit_code_of(error: CrivoError) -> ExitCode:
    """Return the exit code of an error."""
    match error:
        case StillRunning() | NotFinished():
            return ExitCode.STILL_RUNNING
        case NoResult() | ScriptRejected() | SchemaRejected():
            return ExitCode.FAILED
        case (
            UsageError()
            | EmptyName()
            | InvalidUrl()
            | InvalidKey()
            | InvalidSource()
            | QueryRefused()
        ):
            return ExitCode.USAGE
        case Unreachable() | UnexpectedResponse() | Unavailable():
            return ExitCode.UNREACHABLE
        case Refused() | SendInProgress() | ExportInProgress():
            return ExitCode.REFUSED
        case _:
            return ExitCode.FAILED
