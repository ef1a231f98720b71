"""Merge the findings of V8 and of the linter into one list, in the order of the source."""

from collections.abc import Collection, Iterator
from typing import Final

from msgspec.structs import replace

from app.lint.diagnostics import MEANINGS, MODULES, Code, Diagnostic, LintReport, Position
from app.lint.positions import Positions
from app.sandbox.outcomes import Examined, Finding, ScriptKind

_FOLD: Final = ("start", "step", "finish")
# The functions that V8's findings are about, the most telling first.
_ABOUT: Final = {
    Code.NO_PROCESS: ("process",),
    Code.PROCESS_NOT_CALLABLE: ("process",),
    Code.MAP_NOT_CALLABLE: ("map",),
    Code.MERGE_NOT_CALLABLE: ("merge",),
    Code.INCOMPLETE_FOLD: ("step", "start", "finish"),
}

_Position = tuple[int | None, int | None]

_MODULES: Final = frozenset(MODULES)
_UNDEFINED: Final = "`process` is undefined once the top level has run"
# After one of these errors V8 has not looked for `process`.
_BEFORE_PROCESS: Final = frozenset(
    (
        Code.NO_PROCESS,
        Code.SYNTAX_ERROR,
        Code.TOP_LEVEL_THREW,
        Code.TOP_LEVEL_TIMEOUT,
        Code.TOP_LEVEL_OUT_OF_MEMORY,
    )
)


def merge(examined: Examined, report: LintReport | None, source: bytes) -> tuple[Finding, ...]:
    """Merge V8's findings with the linter's; report once what both have found.

    Of two findings at one place the more helpful one stays: `import` rather than V8's syntax
    error, V8's error rather than the warning that foresees it. A global that the top level has
    defined by running is not missing, even if the linter could not see it.
    """
    if report is None:
        message = MEANINGS[Code.STRUCTURE_NOT_CHECKED]
        return (*examined.findings, _without_position(Code.STRUCTURE_NOT_CHECKED, message))
    by_v8 = [_with_position(each, report, source) for each in examined.findings]
    by_linter = _relevant(report, examined, by_v8)
    findings = _without_duplicates(by_v8, by_linter)
    findings.sort(key=lambda each: (each.line or 0, each.column or 0, each.code))
    if report.is_truncated:
        findings.append(_without_position(Code.MORE_FINDINGS, MEANINGS[Code.MORE_FINDINGS]))
    return tuple(findings)


def finding_at(position: Position, code: Code, message: str) -> Finding:
    """Make a finding at a place in the source."""
    return Finding(
        line=position.line,
        column=position.column,
        code=code,
        message=message,
        excerpt=position.excerpt,
    )


def _with_position(finding: Finding, report: LintReport, source: bytes) -> Finding:
    """Add the position of the function that is missing or none, which V8 does not report."""
    names = _ABOUT.get(Code(finding.code))
    if names is None:
        return finding
    known = next((report.functions[name] for name in names if name in report.functions), None)
    position = known or Positions(source).at(0)
    if finding.code == Code.NO_PROCESS and known is not None:
        finding = replace(finding, message=_UNDEFINED)
    return replace(finding, line=position.line, column=position.column, excerpt=position.excerpt)


def _relevant(report: LintReport, examined: Examined, by_v8: list[Finding]) -> list[Finding]:
    """Drop the linter's findings that V8's run of the top level has disproved."""
    codes = {each.code for each in by_v8}
    thrown_at = {_position_of(each) for each in by_v8 if each.code == Code.TOP_LEVEL_THREW}
    diagnostics = (
        _as_reached(each, thrown_at)
        for each in report.findings
        if (each.code != Code.NO_PROCESS or codes & _BEFORE_PROCESS)
        and each.name not in examined.globals
        and _is_called(each.function, examined.kinds)
    )
    findings = [finding_at(each.position, each.code, each.message) for each in diagnostics]
    return [*findings, *_about_kinds(report, examined.kinds)]


def _is_called(function: str, kinds: Collection[ScriptKind]) -> bool:
    """Return whether a finding about a function matters.

    Beside `process`, `map` and the names of a fold may be those of the script's own functions.
    """
    if function in ("", "process"):
        return True
    kind = ScriptKind.MAP if function == "map" else ScriptKind.FOLD
    return kind in kinds and ScriptKind.PROCESS not in kinds


def _about_kinds(report: LintReport, kinds: Collection[ScriptKind]) -> Iterator[Finding]:
    """Warn of what an accepted script does not offer, although it seems to."""
    if not kinds:
        return
    if ScriptKind.PROCESS not in kinds:
        message = "there is no `process`: the script runs over datasets, not in executions"
        yield _without_position(Code.RUNS_ONLY, message)
    begun = [name for name in _FOLD if name in report.functions]
    if ScriptKind.FOLD not in kinds and "step" in begun and len(begun) > 1:
        position = report.functions["step"]
        missing = " and ".join(f"`{name}`" for name in _FOLD if name not in begun)
        why = f"without {missing}" if missing else "as one of its parts is no function"
        message = f"`step` is no fold {why}: this version offers none"
        yield finding_at(position, Code.UNUSED_FOLD, message)


def _as_reached(diagnostic: Diagnostic, thrown_at: set[_Position]) -> Diagnostic:
    """Turn a conditional `require` into an error if the top level threw there."""
    if diagnostic.code != Code.CONDITIONAL_REQUIRE:
        return diagnostic
    if (diagnostic.position.line, diagnostic.position.column) not in thrown_at:
        return diagnostic
    return replace(diagnostic, code=Code.REQUIRE, message=MODULES[Code.REQUIRE])


def _without_duplicates(by_v8: list[Finding], by_linter: list[Finding]) -> list[Finding]:
    codes = {each.code for each in by_v8}
    modules = {_position_of(each) for each in by_linter if each.code in _MODULES}
    explained = (Code.SYNTAX_ERROR, Code.TOP_LEVEL_THREW)
    findings = [
        each for each in by_v8 if not (each.code in explained and _position_of(each) in modules)
    ]
    reported = {_position_of(each) for each in findings if each.line is not None}
    return findings + [
        each
        for each in by_linter
        if _position_of(each) not in reported
        or not (Code(each.code).is_warning or each.code in codes)
    ]


def _without_position(code: Code, message: str) -> Finding:
    return Finding(line=None, column=None, code=code, message=message, excerpt=None)


def _position_of(finding: Finding) -> _Position:
    return finding.line, finding.column
