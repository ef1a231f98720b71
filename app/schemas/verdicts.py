"""Compare a version of a schema with the one before, and hold it to what its schema demands."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from app.sandbox.schema_checks import SchemaSet
from app.schemas.compatibility import Reason, compare
from app.schemas.document import SchemaDocument, SchemaProblem, read_document
from app.schemas.model import Compatibility, SchemaVerdict, VerdictReason
from app.schemas.problems import IncompatibleSchema
from app.schemas.threads import in_checking_thread
from app.wording import printable

# Stored with each version: the others follow from the first ones more often than not.
_MAX_REASONS: Final = 100
_MAX_TEXT_CHARS: Final = 300

_DEMANDED: Final[Mapping[Compatibility, tuple[str, ...]]] = {
    Compatibility.NONE: (),
    Compatibility.BACKWARD: ("backward",),
    Compatibility.FORWARD: ("forward",),
    Compatibility.FULL: ("backward", "forward"),
}


async def verdict_of(
    old: tuple[str, SchemaSet], new: tuple[str, SchemaSet], *, against: int
) -> SchemaVerdict:
    """Compare two versions, each a URI and its schemas; `against` is the old one's number."""
    return await in_checking_thread(partial(_compare, old, new, against=against))


def is_compatible(demanded: Compatibility, verdict: SchemaVerdict) -> bool:
    """Return whether a version has the compatibility that its schema demands."""
    return not _missing(demanded, verdict)


def require_compatible(demanded: Compatibility, verdict: SchemaVerdict) -> None:
    """Refuse a version that has not the compatibility that its schema demands.

    What the rules cannot decide does not count as compatible. Raises IncompatibleSchema.
    """
    missing = _missing(demanded, verdict)
    if not missing:
        return
    errors = [
        {"pointer": each.pointer, "direction": each.direction, "message": each.message}
        for each in verdict.reasons
        if each.direction in missing
    ]
    first = f"{errors[0]['pointer']}: {errors[0]['message']}; " if errors else ""
    raise IncompatibleSchema(
        f"{first}the schema demands {demanded} compatibility, and the version is not known to be "
        f"{' and '.join(missing)} compatible with version {verdict.against}",
        errors=errors,
    )


def _missing(demanded: Compatibility, verdict: SchemaVerdict) -> list[str]:
    return [each for each in _DEMANDED[demanded] if getattr(verdict, each) is not True]


def _compare(
    old: tuple[str, SchemaSet], new: tuple[str, SchemaSet], *, against: int
) -> SchemaVerdict:
    try:
        verdict = compare(_document(*old), _document(*new))
    except SchemaProblem as problem:
        reasons = tuple(
            VerdictReason(
                direction=each,
                pointer=_text(problem.pointer),
                message=f"cannot be decided: {problem.message}",
            )
            for each in ("backward", "forward")
        )
        return SchemaVerdict(against=against, backward=None, forward=None, reasons=reasons)
    return SchemaVerdict(
        against=against,
        backward=verdict.backward,
        forward=verdict.forward,
        reasons=tuple(map(_reason, verdict.reasons[:_MAX_REASONS])),
    )


def _document(uri: str, schemas: SchemaSet) -> SchemaDocument:
    return read_document(uri, schemas.documents, strict=schemas.strict)


def _reason(reason: Reason) -> VerdictReason:
    return VerdictReason(
        direction=reason.direction.value,
        pointer=_text(reason.pointer),
        message=_text(reason.message),
    )


def _text(text: str) -> str:
    """Make a text of users one that UTF-8 and PostgreSQL's jsonb can hold."""
    clipped = text if len(text) <= _MAX_TEXT_CHARS else f"{text[:_MAX_TEXT_CHARS]}…"
    return printable(clipped)
