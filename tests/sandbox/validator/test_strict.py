"""A strict schema refuses fields that it does not register, wherever they are described."""

from typing import Any, Final

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.validator_runs import case, check

pytestmark = pytest.mark.asyncio(loop_scope="module")

_A: Final = {"properties": {"a": {"type": "integer"}}}
_B: Final = {"properties": {"b": {"type": "integer"}}}
_INNER: Final[dict[str, Any]] = {"properties": {"in": {"properties": {"x": {}}}}}

# A schema, a document, and the pointers of the fields that are refused.
_CASES: Final[dict[str, tuple[Any, Any, list[str]]]] = {
    "a field": (_A, {"a": 1, "b": 2}, ["/b"]),
    "in a member": ({"properties": {"in": _A}}, {"in": {"a": 1, "b": 2}}, ["/in/b"]),
    "in an item": ({"items": _A}, [{"a": 1}, {"b": 2}], ["/1/b"]),
    "in an additional member": ({"additionalProperties": _A}, {"k": {"b": 1}}, ["/k/b"]),
    "of an object without properties": ({"type": ["object", "null"]}, {"a": 1}, ["/a"]),
    "not where anything is allowed": ({"properties": {"a": {}, "b": True}}, {"a": {"x": 1}}, []),
    "not where more is allowed": ({**_A, "additionalProperties": True}, {"z": 1}, []),
    "not where the rest is evaluated": ({**_A, "unevaluatedProperties": {}}, {"z": 1}, []),
    "by a pattern": ({"patternProperties": {"^x-": {}}}, {"x-a": 1, "y": 2}, ["/y"]),
    "by two patterns": (
        {"patternProperties": {"^a": _A, "b$": _B}},
        {"ab": {"a": 1, "b": 2, "c": 3}, "ac": {"b": 4}},
        ["/ab/c", "/ac/b"],
    ),
    "of several schemas": ({"allOf": [_A, _B]}, {"a": 1, "b": 2, "c": 3}, ["/c"]),
    "beside a reference": (
        {"$ref": "#/$defs/a", **_B, "$defs": {"a": _A}},
        {"a": 1, "b": 2, "c": 3},
        ["/c"],
    ),
    "through a reference alone": ({"$ref": "#/$defs/a", "$defs": {"a": _A}}, {"b": 1}, ["/b"]),
    "in a schema that refers to itself": (
        {"properties": {"next": {"$ref": "#"}}},
        {"next": {"next": {"b": 1}}},
        ["/next/next/b"],
    ),
    "of the alternative that matches": (
        {"anyOf": [{**_A, "required": ["a"]}, {**_B, "required": ["b"]}]},
        {"a": 1, "b": "text"},
        ["/b"],
    ),
    "of all alternatives that match": ({"anyOf": [_A, _B]}, {"a": 1, "b": 2}, []),
    "of the branch that is taken": (
        {"if": {"required": ["a"]}, "then": _A, "else": _B},
        {"a": 1, "b": 2},
        ["/b"],
    ),
    "not in a condition": (
        {
            "properties": {"in": {"type": "object", "additionalProperties": True}},
            "if": {"properties": {"in": _A}},
            "then": {"required": ["z"]},
        },
        {"in": {"b": 1}, "z": 1},
        ["/z"],
    ),
    "not of what only a condition describes": (
        {"properties": {"in": {}}, "if": {"properties": {"in": _A}}, "then": {}},
        {"in": {"a": 1, "b": 2}},
        [],
    ),
    "not in a negation": ({"not": {"properties": {"in": _A}, "required": ["in"]}}, {"z": 1}, []),
    "by a schema of another field": (
        {**_A, "dependentSchemas": {"a": _B}},
        {"a": 1, "b": 2, "c": 3},
        ["/c"],
    ),
    "of a member that two schemas describe": (
        {"allOf": [_INNER, {"properties": {"in": {"properties": {"y": {}}}}}]},
        {"in": {"x": 1, "y": 2, "z": 3}},
        ["/in/z"],
    ),
    "of a member that one schema leaves open": (
        {"allOf": [_INNER, {"properties": {"in": {"additionalProperties": True}}}]},
        {"in": {"x": 1, "z": 3}},
        [],
    ),
    "of an item that `contains` describes too": (
        {"items": {"properties": {"x": {}}}, "contains": {"properties": {"y": {"const": 1}}}},
        [{"x": 1, "y": 1}, {"y": 2}],
        ["/1/y"],
    ),
    "of an item that a reference describes too": (
        {"$ref": "#/$defs/list", "items": _B, "$defs": {"list": {"items": _A}}},
        [{"a": 1, "b": 2, "c": 3}],
        ["/0/c"],
    ),
    "of a first item that a reference describes too": (
        {"$ref": "#/$defs/list", "prefixItems": [_B], "$defs": {"list": {"items": _A}}},
        [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}],
        ["/0/c", "/1/b"],
    ),
    "of an item beside a reference that `contains` describes": (
        {"$ref": "#/$defs/list", "contains": _B, "$defs": {"list": {"items": _A}}},
        [{"a": 1, "b": 2, "c": 3}],
        ["/0/c"],
    ),
    "of an item that nothing else evaluates": (
        {"$ref": "#/$defs/list", "unevaluatedItems": _B, "$defs": {"list": {"prefixItems": [_A]}}},
        [{"a": 1}, {"b": 2, "c": 3}],
        ["/1/c"],
    ),
    "of `unevaluatedProperties` in a member": (
        {"properties": {"in": {**_A, "unevaluatedProperties": _B}}},
        {"in": {"a": 1, "k": {"b": 1, "c": 1}}, "out": 1},
        ["/in/k/c", "/out"],
    ),
    "named like a property of all objects": (_A, {"__proto__": 1, "constructor": 2}, [
        "/__proto__", "/constructor",
    ]),
}  # fmt: skip


async def test_unregistered_fields_are_refused(pool: SandboxPool) -> None:
    cases = [case(schema, document, strict=True) for schema, document, _ in _CASES.values()]
    results = await check(pool, cases)
    expected = {name: sorted(refused) for name, (_, _, refused) in _CASES.items()}

    found = {
        name: sorted(error["pointer"] for error in result["errors"][0])
        for name, result in zip(_CASES, results, strict=True)
    }
    assert found == expected
    keywords = {e["keyword"] for result in results for e in result["errors"][0]}
    assert keywords == {"strict"}


async def test_without_strict_they_are_not(pool: SandboxPool) -> None:
    results = await check(pool, [case(schema, doc) for schema, doc, _ in _CASES.values()])

    assert [result["errors"] for result in results if result["errors"] != [[]]] == []


@pytest.mark.parametrize("draft", ["draft-07", "2020-12"])
async def test_the_place_of_the_schema_is_shown(pool: SandboxPool, draft: str) -> None:
    dialect = {
        "draft-07": "http://json-schema.org/draft-07/schema#",
        "2020-12": "https://json-schema.org/draft/2020-12/schema",
    }[draft]
    schema = {"$schema": dialect, "definitions": {"a": _A}, "items": {"$ref": "#/definitions/a"}}
    [result] = await check(pool, [case(schema, [{"b": 1}], strict=True, excerpts=True)])

    assert result["errors"] == [
        [
            {
                "pointer": "/0/b",
                "keyword": "strict",
                "schema_pointer": "/definitions/a",
                "message": "is not registered by the schema",
                "value": "1",
            }
        ]
    ]
