"""Judge a source: V8's verdict and the linter's findings, as one list in the source's order."""

from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import asdict, replace

from app.auth.callers import Caller
from app.fair_queue import FairQueueFull, TenantQueueFull
from app.limits import MAX_SOURCE_BYTES
from app.lint.findings import MEANINGS, MODULES, Code, Diagnostic, Position, Reading
from app.lint.positions import Positions
from app.resources import Resources
from app.sandbox.outcomes import Examined, Finding
from app.sandbox.pool import PoolBusy
from app.sandbox.zygote_client import SandboxUnavailable
from app.scripts.advice import advise
from app.scripts.model import CheckBusy, InvalidScript, SourceTooLarge, TooManyChecks

log = structlog.get_logger(__name__)

# Why a source may not be looked at now.
UNCHECKED: Final = (TenantQueueFull, FairQueueFull, PoolBusy, SandboxUnavailable)
_RETRY_AFTER: Final = {"Retry-After": "1"}
_MODULES: Final = frozenset(MODULES)
_UNDEFINED: Final = "`process` is undefined once the top level has run"
# With these V8 has not come to the point of looking for `process`.
_BEFORE_PROCESS: Final = frozenset(
    (
        Code.NO_PROCESS,
        Code.SYNTAX_ERROR,
        Code.TOP_LEVEL_THREW,
        Code.TOP_LEVEL_TIMEOUT,
        Code.TOP_LEVEL_OUT_OF_MEMORY,
    )
)


class Validated(Struct, frozen=True):
    """A source that is taken, as UTF-8, and what will surprise in it."""

    source: bytes
    warnings: tuple[Finding, ...]


async def validate(resources: Resources, who: Caller, *, source: str) -> Validated:
    """Have V8 run the top level in a sandbox, and the linter read the structure.

    Both in the tenant's turn. Raises SourceTooLarge; InvalidScript with every finding; CheckBusy,
    TooManyChecks.
    """
    encoded = source.encode()
    if len(encoded) > MAX_SOURCE_BYTES:
        raise SourceTooLarge(
            f"the source has {len(encoded)} bytes; the limit is {MAX_SOURCE_BYTES}"
        )
    try:
        async with resources.checks.turn(who.tenant, weight=who.weight):
            verdict = await resources.sandbox.examine(encoded, tenant=str(who.tenant))
        reading = await resources.reader.read(encoded, tenant=who.tenant, weight=who.weight)
    except UNCHECKED as error:
        raise cannot_check(error) from None
    findings = merge(verdict, reading, encoded)
    errors = tuple(each for each in findings if not Code(each.code).is_warning)
    warnings = tuple(each for each in findings if Code(each.code).is_warning)
    if errors:
        raise refusal(advise(errors, encoded), warnings)
    return Validated(encoded, warnings)


def merge(examined: Examined, reading: Reading | None, source: bytes) -> tuple[Finding, ...]:
    """Put V8's verdict and the linter's findings together; what both say is said once.

    Of two that say the same, the one that is more of a help stays: `import` rather than V8's
    syntax error at that place, V8's error rather than the warning that foresees it. What the
    top level has defined by running is not missing, whatever the linter could see of it.
    """
    verdict = examined.findings
    if reading is None:
        message = MEANINGS[Code.STRUCTURE_NOT_CHECKED]
        return (*verdict, _unplaced(Code.STRUCTURE_NOT_CHECKED, message))
    verdict = tuple(_placed(each, reading, source) for each in verdict)
    codes = {each.code for each in verdict}
    thrown = {_place(each) for each in verdict if each.code == Code.TOP_LEVEL_THREW}
    linted = [
        _finding(_reached(each, thrown))
        for each in reading.findings
        if (each.code != Code.NO_PROCESS or codes & _BEFORE_PROCESS)
        and each.name not in examined.globals
    ]
    modules = {_place(each) for each in linted if each.code in _MODULES}
    kept = [
        each
        for each in verdict
        if not (each.code in (Code.SYNTAX_ERROR, Code.TOP_LEVEL_THREW) and _place(each) in modules)
    ]
    said = {_place(each) for each in kept if each.line is not None}
    findings = kept + [
        each
        for each in linted
        if _place(each) not in said or not (Code(each.code).is_warning or each.code in codes)
    ]
    findings.sort(key=lambda each: (each.line or 0, each.column or 0, each.code))
    if reading.cut:
        findings.append(_unplaced(Code.MORE_FINDINGS, MEANINGS[Code.MORE_FINDINGS]))
    return tuple(findings)


def cannot_check(error: Exception) -> CheckBusy | TooManyChecks:
    """Make the problem for an upload that cannot be looked at now.

    What a sandbox said in dying is the operator's, and goes to the log.
    """
    if isinstance(error, TenantQueueFull):
        return TooManyChecks(str(error), headers=_RETRY_AFTER)
    log.warning("check.unavailable", reason=str(error))
    if isinstance(error, SandboxUnavailable):
        return CheckBusy("no sandbox can be started at the moment", headers=_RETRY_AFTER)
    return CheckBusy(str(error), headers=_RETRY_AFTER)


def refusal(errors: tuple[Finding, ...], warnings: tuple[Finding, ...] = ()) -> InvalidScript:
    """Make the problem that refuses a source."""
    first = errors[0]
    place = "" if first.line is None else f"line {first.line}, column {first.column}: "
    more = "" if len(errors) == 1 else f" (and {len(errors) - 1} more)"
    return InvalidScript(
        f"{place}{first.message}{more}",
        errors=[asdict(each) for each in errors],
        warnings=[asdict(each) for each in warnings],
    )


def invalid_utf8(source: bytes, offset: int) -> InvalidScript:
    """Refuse a source whose byte at `offset` is not UTF-8."""
    message = f"byte {offset} (0x{source[offset]:02x}) is not UTF-8"
    return refusal((_at(Code.INVALID_UTF8, message, Positions(source).at(offset)),))


def _reached(found: Diagnostic, thrown: set[tuple[int | None, int | None]]) -> Diagnostic:
    """Make an error of a `require` that the top level threw at."""
    if found.code != Code.CONDITIONAL_REQUIRE:
        return found
    if (found.place.line, found.place.column) not in thrown:
        return found
    return replace(found, code=Code.REQUIRE, message=MODULES[Code.REQUIRE])


def _placed(finding: Finding, reading: Reading, source: bytes) -> Finding:
    """Give a finding about `process`, which V8 does not place, the place of `process`."""
    if finding.code not in (Code.NO_PROCESS, Code.PROCESS_NOT_CALLABLE):
        return finding
    place = reading.process or Positions(source).at(0)
    if finding.code == Code.NO_PROCESS and reading.process is not None:
        finding = replace(finding, message=_UNDEFINED)
    return replace(finding, line=place.line, column=place.column, excerpt=place.excerpt)


def _finding(found: Diagnostic) -> Finding:
    return _at(found.code, found.message, found.place)


def _at(code: Code, message: str, place: Position) -> Finding:
    return Finding(
        line=place.line, column=place.column, code=code, message=message, excerpt=place.excerpt
    )


def _unplaced(code: Code, message: str) -> Finding:
    return Finding(line=None, column=None, code=code, message=message, excerpt=None)


def _place(finding: Finding) -> tuple[int | None, int | None]:
    return finding.line, finding.column
