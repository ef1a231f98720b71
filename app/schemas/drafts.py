"""List the keywords that count in each draft of JSON Schema."""

from typing import Final

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
