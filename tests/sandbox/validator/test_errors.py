"""Errors say where, by which keyword and why, for documents and for schemas."""

from typing import Any, Final

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.validator_runs import case, check, errors_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A schema, a document, and its errors: pointer, pointer in the schema, message.
_MESSAGES: Final[list[tuple[Any, Any, list[tuple[str, str, str]]]]] = [
    ({"type": "string"}, 1, [("", "/type", "is integer, not string")]),
    ({"type": ["integer", "null"]}, 1.5, [("", "/type", "is number, not integer or null")]),
    ({"enum": ["a", {"b": [1]}]}, 2, [("", "/enum", 'is none of "a", {"b":[1]}')]),
    ({"const": None}, 0, [("", "/const", "is not null")]),
    ({"maximum": 3, "multipleOf": 2}, 5, [
        ("", "/maximum", "is above 3"), ("", "/multipleOf", "is not a multiple of 2"),
    ]),
    ({"exclusiveMinimum": 3}, 3, [("", "/exclusiveMinimum", "is not above 3")]),
    ({"minLength": 2, "pattern": "^b"}, "a", [
        ("", "/minLength", "has fewer than 2 characters"), ("", "/pattern", "does not match ^b"),
    ]),
    ({"required": ["a", "b"], "properties": {"a": {}}}, {"c": 1}, [
        ("", "/required", 'has no property "a"'), ("", "/required", 'has no property "b"'),
    ]),
    ({"properties": {"a/b": {"items": {"type": "null"}}}}, {"a/b": [None, 1, 2]}, [
        ("/a~1b/1", "/properties/a~1b/items/type", "is integer, not null"),
        ("/a~1b/2", "/properties/a~1b/items/type", "is integer, not null"),
    ]),
    ({"additionalProperties": False}, {"~": 1}, [
        ("/~0", "/additionalProperties", "is not allowed"),
    ]),
    ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, [
        ("/ab", "/propertyNames/maxLength", "has more than 1 characters"),
    ]),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, [
        ("", "/dependentRequired", 'has "a", but no property "b"'),
    ]),
    ({"uniqueItems": True}, [{"a": 1, "b": 2}, 1, {"b": 2, "a": 1}], [
        ("", "/uniqueItems", "has item 2 twice"),
    ]),
    ({"contains": {"type": "null"}, "maxContains": 1}, [None, None], [
        ("", "/maxContains", "has 2 items that match `contains`, more than 1"),
    ]),
    ({"not": {}}, 1, [("", "/not", "matches a schema that it must not match")]),
    ({"oneOf": [{}, True]}, 1, [("", "/oneOf", "matches several schemas: 0 and 1")]),
    # The errors of the one alternative that the value can have meant.
    ({"anyOf": [{"type": "null"}, {"type": "object", "required": ["a"]}]}, {}, [
        ("", "/anyOf", "matches none of 2 schemas"),
        ("", "/anyOf/1/required", 'has no property "a"'),
    ]),
    ({"if": {"const": 1}, "then": {"type": "null"}}, 1, [
        ("", "/then/type", "is integer, not null"),
    ]),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, 1, [
        ("", "/$defs/a/type", "is integer, not null"),
    ]),
    ({"format": "date"}, "2026-02-29", [("", "/format", "is not of the format date")]),
]  # fmt: skip


async def test_errors_name_place_and_reason(pool: SandboxPool) -> None:
    cases = [case(schema, document, formats=True) for schema, document, _ in _MESSAGES]
    results = await check(pool, cases)

    for (schema, _, expected), result in zip(_MESSAGES, results, strict=True):
        [errors] = result["errors"]
        shown = [(error["pointer"], error["schema_pointer"], error["message"]) for error in errors]
        assert shown == expected, schema
        assert all("value" not in error for error in errors)


async def test_at_most_100_errors_are_reported(pool: SandboxPool) -> None:
    errors = await errors_of(pool, {"items": {"type": "null"}}, list(range(1_000)))

    assert [error["pointer"] for error in errors] == [f"/{i}" for i in range(100)]


async def test_an_excerpt_is_short(pool: SandboxPool) -> None:
    document = {"a": ["x" * 1_000, {"b": {}}], "c": 1}
    [error] = await errors_of(pool, {"type": "null"}, document, excerpts=True)

    assert error["value"] == '{"a":["' + "x" * 92 + "…"
    assert len(error["value"]) == 100


# What is wrong with a schema, and where.
_REFUSED: Final[list[tuple[Any, dict[str, Any], str, str]]] = [
    ({"type": "strnig"}, {}, "/type", "matches none of 2 schemas"),
    ({"properties": {"a": {"minLength": -1}}}, {}, "/properties/a/minLength", "is below 0"),
    ({"allOf": []}, {}, "/allOf", "has fewer than 1 items"),
    ([], {}, "", "is array, not object or boolean"),
    ({"items": {"pattern": "(a"}}, {}, "/items/pattern",
     "(a is not a regular expression of ECMA-262 with the flag u"),
    ({"patternProperties": {"[": {}}}, {}, "/patternProperties",
     "[ is not a regular expression of ECMA-262 with the flag u"),
    ({"$ref": "other@1"}, {"uri": "crivo:/schemas/mine@1"}, "/$ref",
     "refers to crivo:/schemas/other@1, which is not registered"),
    ({"$ref": "#/$defs/b", "$defs": {"a": {}}}, {}, "/$ref",
     "finds nothing at /$defs/b in this schema"),
    ({"$ref": "#a"}, {}, "/$ref", "finds no anchor a in this schema"),
    ({"$ref": "#/type", "type": "object"}, {}, "/$ref", "finds nothing at /type in this schema"),
    ({"$ref": "#/x", "x": {"type": 1}}, {}, "/x/type", "matches none of 2 schemas"),
    ({"$schema": "x:draft"}, {}, "/$schema",
     "x:draft is neither draft 2020-12 nor draft 7, nor a registered schema"),
    ({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}, {}, "/$defs/b/$anchor",
     "x names two schemas"),
    ({"$defs": {"a": {"$id": "x:y"}, "b": {"$id": "x:y"}}}, {}, "/$defs/b/$id", "x:y exists twice"),
    ({"$ref": "#"}, {}, "/$ref", "leads back to itself without descending into the value"),
    ({"$defs": {"a": {"not": {"$ref": "#"}}}, "anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}]},
     {}, "/$defs/a/not/$ref", "leads back to itself without descending into the value"),
    ({"properties": {"a": {"$ref": "x:other"}}}, {"registry": {"x:other": {"minimum": "1"}}},
     "x:other#/minimum", "is string, not number"),
]  # fmt: skip


async def test_a_wrong_schema_is_refused_with_its_place(pool: SandboxPool) -> None:
    results = await check(pool, [case(schema, **options) for schema, options, _, _ in _REFUSED])

    for (schema, _, pointer, message), result in zip(_REFUSED, results, strict=True):
        assert "refused" in result, schema
        error = result["refused"][0]
        assert (error["pointer"], error["message"]) == (pointer, message)


async def test_schemas_refer_to_registered_ones(pool: SandboxPool) -> None:
    registry = {
        "crivo:/schemas/address@2": {
            "type": "object",
            "properties": {"zip": {"type": "string"}, "of": {"$ref": "person@1"}},
        },
        "crivo:/schemas/person@1": {"properties": {"from": {"$ref": "address@2"}}},
    }
    schema = {"properties": {"from": {"$ref": "address@2"}}}
    uri = "crivo:/schemas/events@3"
    document = {"from": {"zip": "1", "of": {"from": {"zip": 2, "x": 3}}}}
    errors = await errors_of(pool, schema, document, uri=uri, registry=registry, strict=True)

    assert [(error["pointer"], error["schema_pointer"]) for error in errors] == [
        ("/from/of/from/zip", "crivo:/schemas/address@2#/properties/zip/type"),
        ("/from/of/from/x", "crivo:/schemas/address@2#"),
    ]


async def test_a_duration_leaves_no_unit_out(pool: SandboxPool) -> None:
    good = ["P1Y2M3DT4H5M6S", "P1Y", "P2M", "P1M2D", "P3DT1S", "PT1H2M", "PT2M3S", "P9W", "PT0S"]
    bad = ["P1Y2D", "PT1H2S", "P", "PT", "P1D2W", "P1DT", "1D", "P1H", "P1W2D", "P1Y2DT1H"]
    [result] = await check(pool, [case({"format": "duration"}, *good, *bad, formats=True)])

    assert [errors == [] for errors in result["errors"]] == [True] * len(good) + [False] * len(bad)
