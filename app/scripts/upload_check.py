"""Check a source: compile and run its top level in a sandbox, and lint it."""

from msgspec import Struct
from msgspec.structs import asdict

from app.auth.callers import Caller
from app.check_turns import UNCHECKED, cannot_check, check_turn
from app.limits import MAX_SOURCE_BYTES
from app.lint.diagnostics import Code
from app.lint.positions import Positions
from app.resources import Resources
from app.sandbox.outcomes import Finding, ScriptKind
from app.scripts.advice import advise
from app.scripts.findings import finding_at, merge
from app.scripts.problems import InvalidScript, SourceTooLarge


class CheckedSource(Struct, frozen=True):
    """A source without errors, encoded as UTF-8, its warnings, and what the script offers."""

    encoded: bytes
    warnings: tuple[Finding, ...]
    kinds: tuple[ScriptKind, ...]


async def check_source(resources: Resources, caller: Caller, source: str) -> CheckedSource:
    """Run the top level in a sandbox and lint the source, each in the tenant's turn.

    Raises SourceTooLarge; InvalidScript with every finding; CheckBusy, TooManyChecks.
    """
    encoded = source.encode()
    if len(encoded) > MAX_SOURCE_BYTES:
        raise SourceTooLarge(
            f"the source has {len(encoded)} bytes; the limit is {MAX_SOURCE_BYTES}"
        )
    async with check_turn(resources, caller):
        examined = await resources.sandbox.examine(encoded, tenant=str(caller.tenant))
    try:
        report = await resources.linter.lint(encoded, tenant=caller.tenant, weight=caller.weight)
    except UNCHECKED as error:
        raise cannot_check(error) from None
    findings = merge(examined, report, encoded)
    errors = tuple(each for each in findings if not Code(each.code).is_warning)
    warnings = tuple(each for each in findings if Code(each.code).is_warning)
    if errors:
        raise _invalid_script(advise(errors, encoded), warnings)
    return CheckedSource(encoded, warnings, examined.kinds)


def invalid_utf8(source: bytes, offset: int) -> InvalidScript:
    """Refuse a source whose byte at `offset` is not UTF-8."""
    message = f"byte {offset} (0x{source[offset]:02x}) is not UTF-8"
    finding = finding_at(Positions(source).at(offset), Code.INVALID_UTF8, message)
    return _invalid_script((finding,), ())


def _invalid_script(errors: tuple[Finding, ...], warnings: tuple[Finding, ...]) -> InvalidScript:
    first = errors[0]
    place = "" if first.line is None else f"line {first.line}, column {first.column}: "
    more = "" if len(errors) == 1 else f" (and {len(errors) - 1} more)"
    return InvalidScript(
        f"{place}{first.message}{more}",
        errors=[asdict(each) for each in errors],
        warnings=[asdict(each) for each in warnings],
    )
