"""`crivo test`: run a folder of cases, on a service or in the sandbox of this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import Parameter
from msgspec import Struct

from crivo.cli.arguments import Directory, SchemaFlags, Service
from crivo.cli.cases import Case, Outcome, find_cases, find_script
from crivo.cli.diagnostics import show_error, show_findings
from crivo.cli.exit_codes import UsageError
from crivo.cli.local_trial import local_trial
from crivo.cli.output import indented, say, write_json, write_line
from crivo.errors import CrivoError, ScriptRejected
from crivo.options import SchemaOptions
from crivo.script_models import Finding


class Tally(Struct):
    """The number of cases that passed and failed."""

    passed: int = 0
    failed: int = 0


class CasesDiffer(CrivoError):
    """At least one case has another outcome than expected."""


class ScriptHasErrors(CrivoError):
    """The script cannot be run at all."""


def run_cases(
    folder: Directory = Path(),
    /,
    *,
    script: Path | None = None,
    local: Annotated[bool, Parameter(show_default=False)] = False,
    update: Annotated[bool, Parameter(show_default=False)] = False,
    schemas: SchemaFlags | None = None,
    service: Service | None = None,
) -> None:
    """Run the cases beside a script: NAME.input.json gives NAME.expected.json.

    The script is sent with each case and not stored. Numbers are compared by value, members of
    objects in any order.

    Parameters
    ----------
    folder
        The folder of the cases, and of one script.
    script
        The script, if it is elsewhere or one of several.
    local
        Run in the sandbox of this machine, without a service; needs a checkout of Crivo.
    update
        Write the results as the expected ones.
    """
    service = service or Service()
    named = (schemas or SchemaFlags()).options()
    if local and named:
        flag = next(iter(named)).replace("_", "-")
        raise UsageError(f"--{flag}: schemas are the service's; --local has none of them")
    cases = find_cases(folder, with_expected=not update)
    source = find_script(folder, script)
    tally = Tally()
    with _local(source, service) if local else _remote(source, named, service) as run:
        for case in cases:
            _report(case, run(case), tally, source=source, update=update, service=service)
    if service.as_json:
        write_json({"passed": tally.passed, "failed": tally.failed})
    else:
        write_line(f"{tally.passed} passed, {tally.failed} failed")
    if tally.failed:
        raise CasesDiffer(f"{tally.failed} of {len(cases)} cases failed")


Runner = Callable[[Case], Outcome]


@contextmanager
def _remote(source: Path, schemas: SchemaOptions, service: Service) -> Iterator[Runner]:
    content = source.read_bytes()
    with service.client() as client:
        try:
            accepted = client.scripts.check(content, **schemas)
        except ScriptRejected as rejected:
            _reject(source, rejected.findings, service)
        if not service.as_json:
            show_findings(str(source), accepted.warnings, severity="warning")

        def run(case: Case) -> Outcome:
            data = case.input.read_bytes()
            sample = client.scripts.check(content, sample=data, **schemas).sample
            return Outcome() if sample is None else Outcome.of_sample(sample)

        yield run


@contextmanager
def _local(source: Path, service: Service) -> Iterator[Runner]:
    with local_trial(source) as trial:
        if trial.findings.errors:
            _reject(source, trial.findings.errors, service)
        if not service.as_json:
            show_findings(str(source), trial.findings.warnings, severity="warning")
        yield trial.run


def _reject(source: Path, findings: list[Finding], service: Service) -> NoReturn:
    if not service.as_json:
        show_findings(str(source), findings, severity="error")
    raise ScriptHasErrors(f"{source} has errors; no case was run")


def _report(
    case: Case, outcome: Outcome, tally: Tally, *, source: Path, update: bool, service: Service
) -> None:
    difference = None
    updated = False
    if update and outcome.content is not None:
        updated = _write_expected(case, indented(outcome.content) + "\n")
    elif outcome.error is None:
        difference = outcome.difference(case)
    passed = outcome.error is None and difference is None
    tally.passed += passed
    tally.failed += not passed
    if service.as_json:
        document: dict[str, Any] = {"case": case.name, "passed": passed}
        if updated:
            document["updated"] = True
        if outcome.error is not None:
            document["error"] = outcome.error
        if difference is not None:
            document["difference"] = difference
        write_json(document)
        return
    write_line(f"{'ok  ' if passed else 'FAIL'}  {case.name}{'  (updated)' if updated else ''}")
    if outcome.error is not None:
        show_error(str(source), outcome.error, data=str(case.input))
    if difference is not None:
        say(f"{case.expected}: {difference}", style="red")


def _write_expected(case: Case, text: str) -> bool:
    """Record a result; return whether it is another one than before."""
    with suppress(FileNotFoundError, UnicodeDecodeError):
        if case.expected.read_text(encoding="utf-8") == text:
            return False
    # As a whole or not at all: the old result is what a user may have to go back to.
    new = case.expected.with_name(f".{case.expected.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(case.expected)
    return True
