"""Show errors in scripts as compilers do: place, message, source line, caret."""

from collections.abc import Iterable

from crivo.cli.output import say
from crivo.models import ExecutionError, ResultWarning, ThrownError
from crivo.script_models import Finding

_OF_INPUT = frozenset({"invalid_input", "input_schema_mismatch"})
_STYLES = {"error": "bold red", "warning": "bold yellow"}


def show_findings(file: str, findings: Iterable[Finding], *, severity: str) -> None:
    """Show the findings about a source."""
    for each in findings:
        _show(file, each.line, each.column, severity, f"{each.message} [{each.code}]", each.excerpt)


def show_error(script: str, error: ExecutionError, *, data: str = "input") -> None:
    """Show an execution's error and its causes.

    `script` names the source, such as `cards@3`, and `data` the input, which may be at fault.
    """
    place = data if error.kind in _OF_INPUT else script
    message = f"{_named(error)} [{error.kind}]"
    _show(place, error.line, error.column, "error", message, error.excerpt)
    # The message has the first one.
    for each in (error.schema_errors or [])[1:]:
        at = f"{each.pointer}: " if each.pointer else ""
        _show(place, None, None, "error", f"{at}{each.message}", None)
    if error.schema_errors_omitted:
        _show(place, None, None, "error", f"{error.schema_errors_omitted} more", None)
    _show_causes(script, error)


def show_warnings(script: str, warnings: Iterable[ResultWarning]) -> None:
    """Show the values of a result that JSON cannot represent."""
    for each in warnings:
        say(f"{script}: warning: {each.path}: {each.message} [{each.code}]", style="yellow")


def _show_causes(script: str, error: ThrownError) -> None:
    if error.cause is not None:
        cause = error.cause
        _show(script, cause.line, cause.column, "cause", _named(cause), cause.excerpt)
        _show_causes(script, cause)
    for each in error.errors or []:
        _show(script, each.line, each.column, "error", _named(each), each.excerpt)
        _show_causes(script, each)


def _named(error: ThrownError) -> str:
    return f"{error.name}: {error.message}" if error.name else error.message


def _show(
    file: str,
    line: int | None,
    column: int | None,
    severity: str,
    message: str,
    excerpt: str | None,
) -> None:
    place = file if line is None else f"{file}:{line}:{column}"
    say(f"{place}: {severity}: {message}", style=_STYLES.get(severity, ""))
    if excerpt and excerpt.strip(" \n^"):
        say(excerpt)
