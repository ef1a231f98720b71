"""Render the values that a result lost in JSON as warnings for clients."""

import json
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from app.sandbox.outcomes import Report


class WarningCode(StrEnum):
    """The kinds of values that JSON cannot represent (docs/scripts.md explains each)."""

    PROMISE = "promise"
    ITERATOR = "iterator"
    MAP = "map"
    SET = "set"
    ERROR = "error"
    REGEXP = "regexp"
    BUFFER = "buffer"
    OPAQUE = "opaque"
    NOT_FINITE = "not_finite"
    NO_VALUE = "no_value"


MESSAGES: Final = {
    WarningCode.PROMISE: "a promise was written as {}: await it (`await Promise.all(list)`)",
    WarningCode.ITERATOR: "an iterator or generator was written as {}: use Array.from(…)",
    WarningCode.MAP: "a Map was written as {}: use Object.fromEntries(…) or Array.from(…)",
    WarningCode.SET: "a Set was written as {}: use Array.from(…)",
    WarningCode.ERROR: "an Error was written without name, message and stack: return its message",
    WarningCode.REGEXP: "a regular expression was written as {}: return its source",
    WarningCode.BUFFER: "a buffer or typed array was written as an object: use Array.from(…)",
    WarningCode.OPAQUE: "an object without enumerable properties of its own was written as {}",
    WarningCode.NOT_FINITE: "NaN or Infinity was written as null",
    WarningCode.NO_VALUE: "undefined, a function or a symbol in a list was written as null",
}


class ResultWarning(Struct, frozen=True, kw_only=True):
    """A value of the result that JSON cannot represent; `path` starts at `result`.

    Of paths that differ only in their indexes, the first is reported.
    """

    code: WarningCode
    path: str
    message: str


# Stored as written: msgspec cannot write the lone surrogates of a path.
WrittenWarnings = Annotated[
    Raw,
    Meta(
        extra_json_schema={
            "type": "array",
            "maxItems": 10,
            "items": {"$ref": f"#/components/schemas/{ResultWarning.__name__}"},
        }
    ),
]


def warnings_document(report: Report) -> bytes | None:
    """Write the losses of a run as ASCII JSON; None: it lost nothing."""
    warnings = [
        {"code": loss.code, "path": loss.path, "message": MESSAGES[WarningCode(loss.code)]}
        for loss in report.losses
        if loss.code in MESSAGES
    ]
    return json.dumps(warnings).encode("ascii") if warnings else None
