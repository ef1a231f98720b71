"""Compare two versions of a schema in both directions."""

from app.schemas.compatibility.verdicts import Direction, Reason, Verdict
from app.schemas.document import SchemaDocument


def compare(old: SchemaDocument, new: SchemaDocument) -> Verdict:
    """Say for both directions whether they hold; True and False are certain."""
    if old.strict == new.strict and old.documents == new.documents and old.uri == new.uri:
        return Verdict(backward=True, forward=True, reasons=())
    reasons = tuple(
        Reason(direction, "", "cannot be decided: the schemas differ") for direction in Direction
    )
    return Verdict(backward=None, forward=None, reasons=reasons)
