"""Judge a source: V8's verdict and the rules' findings, as one list in the source's order."""

from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import asdict, replace

from app.resources import Resources
from app.rules.findings import MEANINGS, Code, Found, Place, Reading
from app.rules.places import Places
from app.rules.reader import ReaderBusy
from app.sandbox.outcomes import Finding
from app.sandbox.pool import PoolBusy, SandboxUnavailable
from app.scripts.advice import advise
from app.scripts.model import MAX_SOURCE_BYTES, CheckBusy, InvalidScript, SourceTooLarge

log = structlog.get_logger(__name__)

_RETRY_AFTER: Final = {"Retry-After": "1"}
_MODULES: Final = frozenset((Code.IMPORT, Code.EXPORT, Code.REQUIRE, Code.DYNAMIC_IMPORT))
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


async def validate(resources: Resources, *, tenant: str, source: str) -> Validated:
    """Have V8 run the top level in a sandbox, and the rules read the structure.

    Raises SourceTooLarge; InvalidScript with every finding; CheckBusy.
    """
    encoded = source.encode()
    if len(encoded) > MAX_SOURCE_BYTES:
        raise SourceTooLarge(
            f"the source has {len(encoded)} bytes; the limit is {MAX_SOURCE_BYTES}"
        )
    try:
        verdict = await resources.sandbox.check(encoded, tenant=tenant)
        reading = await resources.reader.read(encoded)
    except (PoolBusy, SandboxUnavailable, ReaderBusy) as error:
        raise cannot_check(error) from None
    findings = merge(verdict, reading, encoded)
    errors = tuple(each for each in findings if not Code(each.code).is_warning)
    warnings = tuple(each for each in findings if Code(each.code).is_warning)
    if errors:
        raise refusal(advise(errors, encoded), warnings)
    return Validated(encoded, warnings)


def merge(
    verdict: tuple[Finding, ...], reading: Reading | None, source: bytes
) -> tuple[Finding, ...]:
    """Put V8's verdict and the rules' findings together; what both say is said once.

    Of two that say the same, the one that is more of a help stays: `import` rather than V8's
    syntax error at that place, V8's error rather than the warning that foresees it.
    """
    if reading is None:
        message = MEANINGS[Code.STRUCTURE_NOT_CHECKED]
        return (*verdict, _unplaced(Code.STRUCTURE_NOT_CHECKED, message))
    verdict = tuple(_placed(each, reading, source) for each in verdict)
    codes = {each.code for each in verdict}
    rules = [
        _finding(each)
        for each in reading.findings
        if each.code != Code.NO_PROCESS or codes & _BEFORE_PROCESS
    ]
    modules = {_place(each) for each in rules if each.code in _MODULES}
    kept = [
        each
        for each in verdict
        if not (each.code in (Code.SYNTAX_ERROR, Code.TOP_LEVEL_THREW) and _place(each) in modules)
    ]
    said = {_place(each) for each in kept if each.line is not None}
    findings = kept + [
        each
        for each in rules
        if _place(each) not in said or not (Code(each.code).is_warning or each.code in codes)
    ]
    findings.sort(key=lambda each: (each.line or 0, each.column or 0, each.code))
    if reading.cut:
        findings.append(_unplaced(Code.MORE_FINDINGS, MEANINGS[Code.MORE_FINDINGS]))
    return tuple(findings)


def cannot_check(error: Exception) -> CheckBusy:
    """Make the problem for an upload that cannot be looked at now.

    What a sandbox said in dying is the operator's, and goes to the log.
    """
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
    return refusal((_at(Code.INVALID_UTF8, message, Places(source).at(offset)),))


def _placed(finding: Finding, reading: Reading, source: bytes) -> Finding:
    """Give a finding about `process`, which V8 does not place, the place of `process`."""
    if finding.code not in (Code.NO_PROCESS, Code.PROCESS_NOT_CALLABLE):
        return finding
    place = reading.process or Places(source).at(0)
    return replace(finding, line=place.line, column=place.column, excerpt=place.excerpt)


def _finding(found: Found) -> Finding:
    return _at(found.code, found.message, found.place)


def _at(code: Code, message: str, place: Place) -> Finding:
    return Finding(
        line=place.line, column=place.column, code=code, message=message, excerpt=place.excerpt
    )


def _unplaced(code: Code, message: str) -> Finding:
    return Finding(line=None, column=None, code=code, message=message, excerpt=None)


def _place(finding: Finding) -> tuple[int | None, int | None]:
    return finding.line, finding.column
