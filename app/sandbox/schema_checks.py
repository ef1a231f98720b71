"""Declare what a job validates: schemas, where they apply, and the errors of a document."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

# Of the documents of one set, together.
MAX_SET_BYTES: Final = 32 * 1024 * 1024
# An error of a document has at most this many UTF-16 units in each of its texts.
MAX_TEXT_UNITS: Final = 300
MAX_KEYWORD_UNITS: Final = 60
MAX_VALUE_UNITS: Final = 120
MAX_ERRORS: Final = 100


URI_PREFIX: Final = "crivo:/schemas/"
"""How the URIs of registered schemas begin."""


class SchemaSet(Struct, frozen=True):
    """Schemas that refer to each other: JSON texts by URI, as `crivo:/schemas/events@3`.

    The documents of the URIs in `strict` refuse fields that they do not register, in every object
    that they describe. Raises ValueError above MAX_SET_BYTES, and for a strict URI without a
    document.
    """

    documents: Mapping[str, bytes]
    strict: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the size and the names."""
        size_bytes = sum(map(len, self.documents.values()))
        if size_bytes > MAX_SET_BYTES:
            message = f"schemas of {size_bytes} bytes, where {MAX_SET_BYTES} are the limit"
            raise ValueError(message)
        if missing := self.strict - self.documents.keys():
            message = f"strict schemas without documents: {', '.join(sorted(missing))}"
            raise ValueError(message)


class Choice(Struct, frozen=True):
    """The schema that an event itself names: strings at the JSON pointers `by`, joined by "/".

    An event without one of these strings, or whose strings are not in `uris` or contain "/", has an
    unknown schema. Raises ValueError without pointers, or for one that is none.
    """

    by: tuple[str, ...]
    uris: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check the pointers."""
        if not self.by or not all(not each or each.startswith("/") for each in self.by):
            message = f"no JSON pointers: {self.by}"
            raise ValueError(message)


class Checks(Struct, frozen=True, kw_only=True):
    """What a job validates: each input, or record of it, and each output, by URI.

    Of several schemas each decides by itself, in their order, and all must agree.

    The schemas have been checked before (`app.sandbox.validation.check_schema`). `excerpts`: errors
    show the beginning of the value. Raises ValueError for a URI that `schemas` does not have.
    """

    schemas: SchemaSet
    input: str | Choice | tuple[str | Choice, ...] | None = None
    output: str | tuple[str, ...] | None = None
    excerpts: bool = False

    def __post_init__(self) -> None:
        """Check the URIs."""
        uris = self.input_uris() | self.output_uris()
        if missing := uris - self.schemas.documents.keys():
            message = f"no schemas {', '.join(sorted(missing))}"
            raise ValueError(message)

    def input_uris(self) -> frozenset[str]:
        """Return the URIs of the schemas that an input may be validated by."""
        uris: set[str] = set()
        for each in self.inputs():
            uris.update((each,) if isinstance(each, str) else each.uris.values())
        return frozenset(uris)

    def inputs(self) -> tuple[str | Choice, ...]:
        """Return what decides about inputs, in the order in which it does."""
        if self.input is None:
            return ()
        return self.input if isinstance(self.input, tuple) else (self.input,)

    def output_uris(self) -> frozenset[str]:
        """Return the URIs of the schemas that an output is validated by."""
        return frozenset(self.outputs())

    def outputs(self) -> tuple[str, ...]:
        """Return the URIs of the schemas of outputs in the order in which they decide."""
        if self.output is None:
            return ()
        return (self.output,) if isinstance(self.output, str) else self.output


class SchemaError(Struct, frozen=True, kw_only=True):
    """One error of a document.

    `pointer` is the place of the value, or of the property that may not be there. `keyword` refuses
    it, at `schema_pointer`, which begins with `URI#` in another schema; `strict` stands for a field
    that is not registered, null for no verdict. `message` is the reason, `value` on request the
    beginning of the value's JSON. Long texts end in "…".

    All text is the user's: it may hold NUL and lone surrogates, and is written as ASCII JSON.
    """

    pointer: Annotated[str, Meta(max_length=MAX_TEXT_UNITS)]
    keyword: Annotated[str, Meta(max_length=MAX_KEYWORD_UNITS)] | None
    schema_pointer: Annotated[str, Meta(max_length=MAX_TEXT_UNITS)] | None
    message: Annotated[str, Meta(max_length=MAX_TEXT_UNITS)]
    value: Annotated[str, Meta(max_length=MAX_VALUE_UNITS)] | UnsetType = UNSET


def ref_of(uri: str) -> str:
    """Return the reference of a registered schema, as `events@3`, or any other URI itself."""
    return uri.removeprefix(URI_PREFIX)
