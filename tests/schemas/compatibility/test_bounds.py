"""Comparisons end: hostile schemas spend the budget, and odd but small ones have verdicts."""

from typing import Any, Final

import pytest

from app.schemas.compatibility import compare
from app.schemas.ddl import NoType, table
from app.schemas.document import SchemaDocument, SchemaProblem, read_document

_URI: Final = "crivo:/schemas/events@"
_DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"


def _compare(old: Any, new: Any) -> tuple[bool | None, bool | None]:  # noqa: ANN401 - any JSON
    documents = [
        SchemaDocument(f"{_URI}{n}", {f"{_URI}{n}": schema}, ())
        for n, schema in ((1, old), (2, new))
    ]
    verdict = compare(*documents)
    return verdict.backward, verdict.forward


def _levels(count: int, schema: dict[str, Any], keyword: str, copies: int) -> dict[str, Any]:
    """Return schemas of which each refers to the next several times."""
    defs: dict[str, Any] = {f"n{count}": schema}
    for level in range(count):
        to = {"$ref": f"#/$defs/n{level + 1}"}
        names = [f"p{n}" for n in range(copies)]
        defs[f"n{level}"] = (
            {"type": "object", "required": names, "properties": dict.fromkeys(names, to)}
            if keyword == "properties"
            else {keyword: [to] * copies}
        )
    return {"$ref": "#/$defs/n0", "$defs": defs}


@pytest.mark.parametrize(
    ("keyword", "levels", "copies"),
    [("prefixItems", 30, 2), ("properties", 8, 20), ("allOf", 30, 2)],
)
def test_references_that_multiply_are_compared_once(keyword: str, levels: int, copies: int) -> None:
    old = _levels(levels, {"type": "integer"}, keyword, copies)
    new = _levels(levels, {"type": ["integer", "boolean"]}, keyword, copies)

    backward, _ = _compare(old, new)

    # Twenty of eight levels are within the bounds, though not within the steps.
    assert backward is (None if copies == 20 else True)


@pytest.mark.parametrize("size", [64, 65, 128])
def test_long_vectors_are_compared(size: int) -> None:
    vector = {"type": "array", "items": {"type": "number"}, "minItems": size, "maxItems": size}

    assert _compare(vector, {**vector, "items": {"type": "integer"}}) == (False, True)


def test_an_assumption_that_fails_takes_along_what_was_proven_by_it() -> None:
    def schema(kind: str) -> dict[str, Any]:
        return {
            "properties": {
                "x": {"type": "string", "not": {"allOf": [{"$ref": "#/$defs/A"}]}},
                "y": {"type": "object", "not": {"$ref": "#/$defs/B"}},
            },
            "$defs": {
                "A": {
                    "required": ["b"],
                    "properties": {"b": {"$ref": "#/$defs/B"}, "c": {"type": kind}},
                },
                "B": {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/A"}}},
            },
        }

    assert _compare(schema("string"), schema("number")) != (True, True)


def test_equal_documents_are_compatible_whatever_they_hold() -> None:
    dynamic = {"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}}

    assert _compare(dynamic, dict(reversed(dynamic.items()))) == (True, True)
    assert _compare({"const": 1}, {"const": True}) == (False, False)


def test_draft_7_knows_its_own_keywords_only() -> None:
    schema = {"dependentRequired": {"a": ["b"]}}

    assert _compare({"$schema": _DRAFT_7, **schema}, schema) == (False, True)
    assert _compare({"$schema": _DRAFT_7, **schema}, {}) == (True, True)


@pytest.mark.parametrize("number", ["1" + "0" * 309, "1e400", "1e-400", "1e308", "5e-324", "0.0"])
def test_odd_numbers_raise_nothing_else(number: str) -> None:
    text = f'{{"type":"object","properties":{{"a":{{"minimum":0,"maximum":{number}}},'
    text += f'"b":{{"type":"number","multipleOf":0.01,"enum":[{number},0.5]}}}}}}'
    try:
        document = read_document(_URI, {_URI: text.encode()}, strict=())
        for other in ({}, {"properties": {"b": {"multipleOf": 1e308, "maximum": 1e308}}}):
            compare(document, SchemaDocument(_URI, {_URI: other}, ()))
        table(document, dialect="duckdb", name="t")
    except (SchemaProblem, NoType):
        pass
