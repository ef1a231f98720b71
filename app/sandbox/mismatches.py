"""Read a cell's verdict about schemas, and compare it with what the job validates."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from app.sandbox.outcomes import SchemaMismatch, UnknownSchema
from app.sandbox.protocol import ProtocolError
from app.sandbox.schema_checks import MAX_ERRORS, MAX_TEXT_UNITS, Checks, Choice, SchemaError

MISMATCH: Final = "schema_mismatch"
UNKNOWN: Final = "unknown_schema"

Text = Annotated[str, Meta(max_length=MAX_TEXT_UNITS)]


class SchemaVerdict(Struct, frozen=True, kw_only=True):
    """The members of a verdict, or of a record's failure, that are about schemas."""

    side: Literal["input", "output"] = "input"
    schema: str = ""
    errors: Annotated[tuple[SchemaError, ...], Meta(max_length=MAX_ERRORS)] = ()
    omitted: Annotated[int, Meta(ge=0, le=MAX_ERRORS)] = 0
    values: Text = ""
    pointer: str | None = None


def mismatch_of(kind: str, verdict: SchemaVerdict) -> SchemaMismatch | UnknownSchema:
    """Return the outcome of a verdict of this kind, MISMATCH or UNKNOWN."""
    if kind == UNKNOWN:
        return UnknownSchema(values=verdict.values, pointer=verdict.pointer)
    return SchemaMismatch(
        side=verdict.side, schema=verdict.schema, errors=verdict.errors, omitted=verdict.omitted
    )


def require_fitting(kind: str, verdict: SchemaVerdict, checks: Checks | None) -> None:
    """Raise ProtocolError for a mismatch by a schema that the job has not at this place."""
    if kind == MISMATCH:
        is_input = verdict.side == "input"
        uris = frozenset[str]()
        if checks is not None:
            uris = checks.input_uris() if is_input else checks.output_uris()
        fits = verdict.schema in uris and bool(verdict.errors)
    elif kind == UNKNOWN:
        inputs = () if checks is None else checks.inputs()
        fits = any(
            isinstance(each, Choice) and verdict.pointer in (None, *each.by) for each in inputs
        )
    else:
        fits = True
    if not fits:
        message = "a mismatch by a schema that the job has not"
        raise ProtocolError(message)
