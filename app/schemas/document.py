"""Registered schemas as Python values."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

from app.limits import MIB

JsonValue: TypeAlias = Any
"""What `json.loads` returns."""

MAX_BYTES: Final = 2 * MIB
"""Of a schema and its closure that are read."""


class SchemaProblem(Exception):
    """A schema cannot be read as a whole; carries where.

    Attributes:
        pointer: the place in the root document, or after ``URI#`` in another.
        message: what the matter is, without the pointer.
    """

    def __init__(self, pointer: str, message: str) -> None:
        """Keep both parts; the text of the exception begins with the pointer."""
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


class SchemaDocument(Struct, frozen=True):
    """One version of a schema with everything that it refers to."""

    uri: str
    documents: Mapping[str, Any]
    """Parsed schemas by URI: the version itself and its closure."""
    strict: Collection[str]
    """The URIs of those whose objects refuse fields that no schema registers."""


def read_document(
    uri: str, texts: Mapping[str, bytes], *, strict: Collection[str]
) -> SchemaDocument:
    """Parse a version and its closure from their JSON texts, by URI.

    Numbers become what V8 makes of them: integers beyond 2**53 are rounded to doubles.

    Raises:
        SchemaProblem: a text nests too deep, has a number beyond those of doubles, or is no JSON;
            all are larger than `MAX_BYTES`.
    """
    if sum(map(len, texts.values())) > MAX_BYTES:
        raise SchemaProblem("", f"has more than {MAX_BYTES} bytes, with what it refers to")
    documents = {}
    for name, text in texts.items():
        try:
            documents[name] = json.loads(
                text, parse_int=_integer, parse_float=_double, parse_constant=_refuse_constant
            )
        except (ValueError, RecursionError) as error:
            where = "" if name == uri else f"{name}#"
            message = "is no JSON, nests too deep, or has a number that no double holds"
            raise SchemaProblem(where, message) from error
    return SchemaDocument(uri, documents, strict)


def _integer(digits: str) -> int | float:
    if len(digits) < len(str(2**53)):
        return int(digits)
    return int(_double(digits))


def _double(text: str) -> float:
    rounded = float(text)
    mantissa = text.lower().partition("e")[0]
    vanished = rounded == 0 and mantissa.strip("-0.") != ""
    if vanished or not math.isfinite(rounded):
        raise ValueError("the number is beyond those of doubles")
    return rounded


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
