"""Build and run the command line."""

import os
import re
import sys
from typing import Final, TypeAlias

from cyclopts import App, CycloptsError, Parameter
from msgspec import json
from rich.text import Text

from crivo.cli.batch_commands import batch, batches
from crivo.cli.cases_command import run_cases
from crivo.cli.compare_commands import compare, comparisons
from crivo.cli.dataset_commands import datasets, get
from crivo.cli.ddl_command import ddl
from crivo.cli.error_documents import as_document
from crivo.cli.execution_commands import executions, logs, watch
from crivo.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from crivo.cli.export_command import export
from crivo.cli.exports_commands import exports
from crivo.cli.letter_commands import letters
from crivo.cli.login_file import DEFAULT_URL
from crivo.cli.output import say, say_json, terminal
from crivo.cli.pipe_commands import pipes
from crivo.cli.query_command import query
from crivo.cli.redrive_commands import redrive, redrives
from crivo.cli.replay_commands import replay, replay_many
from crivo.cli.run_command import run
from crivo.cli.runs_commands import runs
from crivo.cli.sample_command import sample
from crivo.cli.schema_commands import schemas
from crivo.cli.script_commands import scripts
from crivo.cli.send_command import send
from crivo.cli.service_commands import login, logout, open_page, register_completion
from crivo.errors import (
    AccessDenied,
    CrivoError,
    ExecutionFailed,
    RunFailed,
    SchemaRejected,
    ScriptRejected,
    Unreachable,
)
from crivo.version import __version__

_HELP: Final = """\
Push JavaScript scripts to a Crivo service, run them over JSON, and read results.

The service is that of --url and --key, of CRIVO_URL and CRIVO_KEY, of `crivo login`, or \
http://127.0.0.1:8000. Results go to standard output, messages to standard error.
"""
# Errors that are shown without a traceback.
Shown: TypeAlias = CrivoError | OSError | RecursionError | UnicodeError

_UNAUTHORIZED: Final = 401
_SERVICE_OPTION: Final = re.compile(
    r"(?P<flag>--json)|((?P<key>--key)|--api-key|--url)(?P<value>=.*)?", re.DOTALL
)
# Routes that the API's messages name, and the commands for them.
_COMMANDS: Final = {
    r"/scripts": "scripts list",
    r"/scripts/([^/ ]+)/\w+": r"scripts show \1",
    r"/schemas": "schemas list",
    r"/schemas/([^/ ]+)/\w+": r"schemas show \1",
    r"/executions": "executions list",
    r"/comparisons/([^/ ?]+)": r"comparisons show \1",
    r"/batches": "batches list",
    r"/runs": "runs list",
    r"/runs/([^/ ?]+)": r"runs show \1",
    r"/runs/([^/ ]+)/errors": r"runs errors \1",
    r"/exports": "exports list",
    r"/exports/([^/ ?]+)": r"exports show \1",
    r"/exports/([^/ ]+)/errors": r"exports errors \1",
    r"/dead-letters": "dead-letters list",
    r"/redrives": "redrives list",
    r"/redrives/([^/ ?]+)": r"redrives show \1",
    r"/pipes": "pipes list",
    r"/datasets": "datasets list",
    r"/datasets/([^/ ]+)/snapshots": r"datasets show \1",
    r"/batches/([^/ ?]+)": r"batches show \1",
    r"/executions/([^/ ?]+)": r"executions show \1",
    r"/executions/([^/ ]+)\?wait=\d+": r"watch \1",
}
# Requests that change something, and the commands for them.
_CHANGES: Final = {
    r"PUT /datasets/([^/ ]+)(?= creates)": r"datasets create \1",
    r"PUT /datasets/([^/ ]+)/files/<path>(?= publishes)": r"send DIR \1",
    r"DELETE /datasets/([^/ ]+)$": r"datasets delete \1 --yes",
    r"PUT /pipes/([^/ ]+)(?= makes)": r"pipes put \1 FILE",
    r"DELETE /pipes/([^/ ?]+)\?erase=true": r"pipes delete \1 --erase",
    r"POST /runs/([^/ ]+)/(cancel|replay)(?= )": r"runs \2 \1",
    r"POST /exports/([^/ ]+)/cancel(?= )": r"exports cancel \1",
    r'PATCH /(scripts|schemas)/([^/ ]+) with \{"archived": false\}': r"\1 restore \2",
    r"POST /scripts/([^/ ]+)/versions or PUT /scripts/[^/ ]+": r"scripts push FILE --name \1",
    r"POST /replays(?= )": "batches replay",
}
# Members and parameters that the API's messages name, and the options for them.
_OPTIONS: Final = {
    "?type=number": "--number",
    '"accept": "differences"': "--accept-differences",
    '"dry_run": true': "--dry-run",
    "`from` and `to`": "--since and --until",
}
_EPILOGUE: Final = "\n".join(
    ["Exit codes:", *(f"  {code.value:3}  {meaning}" for code, meaning in MEANINGS.items())]
)


def build() -> App:
    """Return the application."""
    app = App(
        name="crivo",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        help_format="rich",
        default_parameter=Parameter(negative=()),
        version=__version__,
        error_formatter=_usage_error,
        error_console=terminal(),
        suppress_keyboard_interrupt=False,
        result_action="return_none",
    )
    executions.command(replay)
    batches.command(replay_many, name="replay")
    schemas.command(ddl)
    app.command(login, sort_key=1)
    app.command(scripts)
    app.command(schemas)
    app.command(run, sort_key=3)
    app.command(batch, sort_key=4)
    app.command(run_cases, name="test", sort_key=5)
    app.command(compare, sort_key=6)
    app.command(send, sort_key=7)
    app.command(get, sort_key=8)
    app.command(query, sort_key=8)
    app.command(export, sort_key=8)
    app.command(executions)
    app.command(batches)
    app.command(runs)
    app.command(comparisons)
    app.command(datasets)
    app.command(exports)
    app.command(redrives)
    app.command(redrive, sort_key=8)
    app.command(letters)
    app.command(pipes)
    app.command(sample)
    app.command(watch, sort_key=13)
    app.command(logs, sort_key=14)
    app.command(open_page, name="open", sort_key=15)
    app.command(logout, sort_key=16)
    register_completion(app)
    return app


def run_arguments(arguments: list[str]) -> int:
    """Run a command; return its exit code."""
    # Text of scripts can hold what a terminal's encoding cannot write.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a text file
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a text file
    try:
        app = build()
        arguments = _service_last(app, arguments)
        app(arguments)
        sys.stdout.flush()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else ExitCode.OK
    except KeyboardInterrupt:
        if "--json" in arguments:
            say_json({"error": "Interrupted", "message": "interrupted"})
        else:
            say("crivo: interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # A flush at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    except (CrivoError, OSError, RecursionError, UnicodeError) as error:
        code = _reported(error, as_json="--json" in arguments)
        _name_key(error, arguments)
        return code
    return ExitCode.OK


def _service_last(app: App, arguments: list[str]) -> list[str]:
    """Move options of the service that stand before the command to where commands take them."""
    first: list[str] = []
    rest = list(arguments)
    while rest and (found := _SERVICE_OPTION.fullmatch(rest[0])):
        # To some commands --key is that of records.
        first.append("--api-key" + rest.pop(0)[5:] if found["key"] else rest.pop(0))
        if found["value"] is None and not found["flag"] and rest:
            first.append(rest.pop(0))
    command, _, after = app.parse_commands(rest)
    return [*command, *first, *after] if command else rest


def _reported(error: Shown, *, as_json: bool) -> ExitCode:
    """Write an error, and return its exit code."""
    if as_json:
        named = {"error": type(error).__name__, "message": str(error)}
        say_json(as_document(error) if isinstance(error, CrivoError) else named)
    else:
        _show(error)
    return exit_code_of(error) if isinstance(error, CrivoError) else ExitCode.USAGE


def _show(error: Shown) -> None:
    match error:
        case ExecutionFailed():
            # The error itself has been shown where it is.
            name = error.execution.id
            say(f"crivo: execution {name} failed; `crivo logs {name}` shows its console")
        case RunFailed():
            name = error.run.id
            say(f"crivo: run {name} failed; `crivo runs show {name}` shows how far it has come")
        case ScriptRejected() | SchemaRejected():
            what = "script" if isinstance(error, ScriptRejected) else "schema"
            say(f"crivo: the {what} has errors; nothing was stored")
        case AccessDenied(status=status) if status == _UNAUTHORIZED:
            _complain(f"{error}; `crivo login` keeps a key")
        case Unreachable() if DEFAULT_URL in str(error):
            _complain(f"{error}; `crivo login URL` names another service")
        case CrivoError():
            _complain(_for_the_command_line(str(error)))
        case RecursionError():
            _complain("the JSON is nested too deeply")
        case UnicodeError():
            _complain(f"the text is not UTF-8: {error}")
        case OSError(filename=file, strerror=reason):
            _complain(f"{file}: {reason}" if file else str(reason or error))


def _name_key(error: Shown, arguments: list[str]) -> None:
    """Show the idempotency key of a submission that may have been accepted all the same."""
    key = error.idempotency_key if isinstance(error, CrivoError) else None
    if key is not None and arguments[:1] in (["run"], ["batch"]) and "--json" not in arguments:
        say(
            "crivo: the service may have accepted it; the command submits nothing twice when "
            f"repeated with --idempotency-key {key}"
        )


def _complain(message: str) -> None:
    say(f"crivo: {message}", style="red")


def _for_the_command_line(message: str) -> str:
    """Name commands and options instead of the API's routes and members."""
    for route, command in _COMMANDS.items():
        message = re.sub(rf"GET {route}(?= )", f"`crivo {command}`", message)
    for request, command in _CHANGES.items():
        message = re.sub(request, f"`crivo {command}`", message)
    for member, option in _OPTIONS.items():
        message = message.replace(member, option)
    return message


def _usage_error(error: CycloptsError) -> Text:
    if "--json" in sys.argv:
        return Text(json.encode({"error": "UsageError", "message": str(error)}).decode())
    command = " ".join(["crivo", *(error.command_chain or ())])
    return Text(f"crivo: {error}\nTry: {command} --help", style="red")
