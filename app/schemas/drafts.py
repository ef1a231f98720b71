"""List the keywords that count in each draft of JSON Schema, and those that hold schemas."""

from collections.abc import Iterator
from typing import Any, Final

DRAFT_7: Final = "http://json-schema.org/draft-07/schema"
DRAFT_2020_12: Final = "https://json-schema.org/draft/2020-12/schema"

# What the validator reads in each draft (app/sandbox/validator/dialects.js), with what stands
# beside another keyword; the encoding of a text is for tables.
_COMMON: Final = frozenset(
    [
        "$ref",
        "type",
        "enum",
        "const",
        "multipleOf",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "maxProperties",
        "minProperties",
        "required",
        "uniqueItems",
        "format",
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "items",
        "contains",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependencies",
        "contentEncoding",
    ]
)
KEYWORDS_7: Final = _COMMON | {"additionalItems"}
KEYWORDS_2020: Final = _COMMON | frozenset(
    [
        "$dynamicRef",
        "minContains",
        "maxContains",
        "dependentRequired",
        "dependentSchemas",
        "prefixItems",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)

# How a keyword's value holds schemas (the same list there); no other keyword's value holds any.
_ONE: Final = frozenset(
    [
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
    ]
)
_ONE_7: Final = _ONE | {"additionalItems"}
_ONE_2020: Final = _ONE | {"contentSchema", "unevaluatedItems", "unevaluatedProperties"}
_LISTS: Final = frozenset(["allOf", "anyOf", "oneOf"])
_LISTS_7: Final = _LISTS | {"items"}
_LISTS_2020: Final = _LISTS | {"prefixItems"}
_MAPS_7: Final = frozenset(["definitions", "dependencies", "patternProperties", "properties"])
MAPS: Final = _MAPS_7 | {"$defs", "dependentSchemas"}
"""Keywords whose members are schemas, in any draft."""
SCHEMAS: Final = _ONE_7 | _ONE_2020 | _LISTS_7 | _LISTS_2020
"""Keywords whose values are a schema or a list of some, in any draft."""
DATA: Final = frozenset(["const", "default", "enum", "examples"])
"""Keywords whose values are documents: a schema in there is data."""


def inner_schemas(
    schema: dict[str, Any], *, draft_7: bool
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the schemas directly inside one, each with the tokens of its pointer from there."""
    one = _ONE_7 if draft_7 else _ONE_2020
    lists = _LISTS_7 if draft_7 else _LISTS_2020
    maps = _MAPS_7 if draft_7 else MAPS
    for keyword, held in schema.items():
        if keyword in lists and isinstance(held, list):
            for index, inner in enumerate(held):
                yield (keyword, index), inner
        elif keyword in maps and isinstance(held, dict):
            for name, inner in held.items():
                # A dependency is a schema or a list of names.
                if isinstance(inner, dict | bool):
                    yield (keyword, name), inner
        elif keyword in one and isinstance(held, dict | bool):
            yield (keyword,), held
