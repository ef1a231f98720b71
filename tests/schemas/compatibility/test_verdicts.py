"""Changes that versions of schemas see, their verdicts, and where the reasons point."""

from typing import Any, Final

import pytest

from app.schemas.compatibility import Direction, compare
from app.schemas.document import SchemaDocument

_URI: Final = "crivo:/schemas/events@2"
_OTHER: Final = "crivo:/schemas/types@1"
_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"id": {"type": "string", "pattern": "^[A-Z]{2}$"}, "n": {"type": "integer"}},
    "required": ["id"],
}
_MORE: Final = {**_EVENT, "properties": {**_EVENT["properties"], "at": {"type": "string"}}}
_LIST: Final[dict[str, Any]] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}},
        }
    },
}
_LIST_OF_NUMBERS: Final[dict[str, Any]] = {
    "$ref": "#/$defs/n",
    "$defs": {
        "n": {
            "type": ["object"],
            "allOf": [{"properties": {"value": {"type": "number"}}}],
            "properties": {"next": {"$ref": "#/$defs/n"}},
        }
    },
}


def _one_of(**kinds: str) -> dict[str, Any]:
    alternatives = [
        {
            "type": "object",
            "properties": {"kind": {"const": kind}, "value": {"type": type_}},
            "required": ["kind"],
        }
        for kind, type_ in kinds.items()
    ]
    return {"oneOf": alternatives}


def _inner(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {} for name in names}}


# Old, new, strict, backward, forward, and the first pointer of a reason.
_CASES: Final[dict[str, tuple[Any, Any, bool, bool | None, bool | None, str]]] = {
    "a field is added": (_EVENT, _MORE, True, True, False, ""),
    "a field of an open object is added": (
        _EVENT,
        _MORE,
        False,
        False,
        True,
        "/properties/at/type",
    ),
    "a field is demanded": (
        _EVENT,
        {**_EVENT, "required": ["id", "n"]},
        True,
        False,
        True,
        "/required",
    ),
    "a type is widened": ({"type": "integer"}, {"type": "number"}, True, True, False, "/type"),
    "null is allowed": (
        {"type": "string"},
        {"type": ["string", "null"]},
        True,
        True,
        False,
        "/type",
    ),
    "a value is listed": ({"enum": ["a"]}, {"enum": ["a", "b"]}, True, True, False, ""),
    "a bound is narrowed": ({"minimum": 1}, {"exclusiveMinimum": 1}, True, False, True, ""),
    "a pattern is changed": (
        {"type": "string", "pattern": "^a"},
        {"type": "string", "pattern": "^b"},
        True,
        False,
        False,
        "/pattern",
    ),
    "a lookahead is added": (
        {"type": "string"},
        {"pattern": "^(?!a)"},
        True,
        None,
        False,
        "/pattern",
    ),
    "recursion, written otherwise": (_LIST, _LIST_OF_NUMBERS, False, True, False, ""),
    "an alternative is added": (
        _one_of(a="string", b="integer"),
        _one_of(a="string", b="number", c="null"),
        True,
        True,
        False,
        "",
    ),
    "an array becomes a tuple": (
        {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string"}], "items": False},
        True,
        True,
        True,
        "",
    ),
    "a map is closed": (
        {"additionalProperties": {"type": "integer"}},
        {"additionalProperties": False, "patternProperties": {"^x": {"type": "integer"}}},
        True,
        False,
        True,
        "/additionalProperties",
    ),
    "what no rule reads stays": (
        {"not": {"required": ["a"]}, "contains": {"minimum": 1}, "title": "old"},
        {"not": {"required": ["a"]}, "contains": {"minimum": 1}, "title": "new"},
        True,
        True,
        True,
        "",
    ),
    "conditions describe nothing": (
        {"if": {"properties": {"in": _inner("a")}}, "then": True, "else": False},
        {"properties": {"in": {**_inner("a"), "additionalProperties": False}}},
        True,
        False,
        True,
        "",
    ),
    "what several alternatives register": (
        {"anyOf": [{"properties": {"in": _inner("x")}}, {"properties": {"in": _inner("y")}}]},
        {
            "properties": {
                "in": {
                    "anyOf": [
                        {**_inner("x"), "additionalProperties": False},
                        {**_inner("y"), "additionalProperties": False},
                    ]
                }
            }
        },
        True,
        None,
        None,
        "",
    ),
    "a vocabulary of its own": ({"type": "string"}, {"$schema": _OTHER}, True, None, None, ""),
}


@pytest.mark.parametrize("name", _CASES)
def test_a_change_has_its_verdict(name: str) -> None:
    old, new, strict, backward, forward, pointer = _CASES[name]
    uris = {_URI} if strict else set()

    verdict = compare(
        SchemaDocument(_URI, {_URI: old}, uris), SchemaDocument(_URI, {_URI: new}, uris)
    )

    assert (verdict.backward, verdict.forward) == (backward, forward), verdict.reasons
    undecided = [r for r in verdict.reasons if r.message.startswith("cannot be decided: ")]
    assert bool(undecided) == (None in {backward, forward})
    for holds, direction in ((backward, Direction.BACKWARD), (forward, Direction.FORWARD)):
        assert bool([r for r in verdict.reasons if r.direction is direction]) is not bool(holds)
    if pointer:
        assert verdict.reasons[0].pointer == pointer


def test_references_lead_to_the_closure_and_each_schema_is_strict_by_itself() -> None:
    event = {"type": "object", "properties": {"by": {"$ref": f"{_OTHER}#/$defs/user"}}}
    user = {"$defs": {"user": {"type": "object", "properties": {"a": {"type": "string"}}}}}
    both = SchemaDocument(_URI, {_URI: event, _OTHER: user}, {_URI, _OTHER})
    root = SchemaDocument(_URI, {_URI: event, _OTHER: user}, {_URI})

    verdict = compare(both, root)

    assert (verdict.backward, verdict.forward) == (True, False)
    assert verdict.reasons[0].pointer == f"{_OTHER}#/$defs/user"
