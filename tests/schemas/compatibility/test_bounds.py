"""Comparisons end: hostile schemas spend the budget, and odd but small ones have verdicts."""

import json
import tracemalloc
from typing import Any, Final

import pytest

from app.limits import MIB
from app.schemas.compatibility import budget, compare, reading
from app.schemas.compatibility.comparison import MAX_STEPS
from app.schemas.ddl import NoType, table
from app.schemas.document import SchemaDocument, SchemaProblem, read_document

_URI: Final = "crivo:/schemas/events@"
_DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"


def _compare(
    old: Any,  # noqa: ANN401 - any JSON
    new: Any,  # noqa: ANN401 - any JSON
    *,
    strict: bool = False,
) -> tuple[bool | None, bool | None]:
    documents = [
        SchemaDocument(f"{_URI}{n}", {f"{_URI}{n}": schema}, [f"{_URI}{n}"] if strict else ())
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
def test_references_that_multiply_are_compared_once(
    keyword: str, levels: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The steps alone end the searches.
    monkeypatch.setattr(budget, "thread_time", lambda: 0.0)
    old = _levels(levels, {"type": "integer"}, keyword, copies)
    new = _levels(levels, {"type": ["integer", "boolean"]}, keyword, copies)

    backward, _ = _compare(old, new)

    # Twenty of eight levels are within the bounds, though not within the steps.
    assert backward is (None if copies == 20 else True)


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"allOf": [{"anyOf": [{"minimum": n, "maxLength": n} for n in range(40)]}] * 4},
        {"enum": list(range(30_000))},
        {"properties": {f"p{n}": {"$ref": "#"} for n in range(2_000)}},
        {"anyOf": [{"required": [f"p{n}"]} for n in range(300)]},
        {"$ref": "crivo:/schemas/gone@1"},
    ],
)
def test_hostile_schemas_are_bounded(
    schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The steps alone end the searches.
    monkeypatch.setattr(budget, "thread_time", lambda: 0.0)
    tracemalloc.start()
    try:
        verdict = _compare(schema, {**schema, "minProperties": 1}, strict=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert verdict == (None, None)
    assert peak < 32 * MIB


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
                    "type": "object",
                    "required": ["b"],
                    "properties": {"b": {"$ref": "#/$defs/B"}, "c": {"type": kind}},
                },
                "B": {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/A"}}},
            },
        }

    assert _compare(schema("string"), schema("number")) != (True, True)


def _deep(schema: dict[str, Any], key: str, **members: str) -> dict[str, Any]:
    for _ in range(60):
        schema = {**members, "properties": {key: schema}}
    return schema


def _leaves(count: int, kind: str) -> dict[str, Any]:
    return {"properties": {f"p{n}": {"type": kind} for n in range(count)}}


def _resources(kind: str) -> dict[str, Any]:
    schema = {"properties": {f"p{n}": {"$id": f"p{n}", "type": kind} for n in range(1_000)}}
    return {
        "$id": "https://example.com/",
        "items": _deep(schema, "k", **{"$id": "y" * 2_000 + "/"}),
    }


@pytest.mark.parametrize(
    "schema",
    [lambda kind: _deep(_leaves(300, kind), "k" * 2_000), _resources],
    ids=["pointers", "URIs"],
)
def test_what_deep_schemas_repeat_takes_little_memory(schema: Any) -> None:  # noqa: ANN401
    pair = json.loads(json.dumps([schema("string"), schema("boolean")]))
    tracemalloc.start()
    try:
        verdict = _compare(*pair)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert verdict != (True, True)
    assert peak < 32 * MIB


def test_patterns_that_are_tried_cost_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    def matches(pattern: str, text: str) -> bool:
        nonlocal tried
        tried += 1
        return pattern == text

    monkeypatch.setattr(reading, "matches", matches)
    monkeypatch.setattr(budget, "thread_time", lambda: 0.0)
    wide: dict[str, Any] = {
        "properties": {f"p{n}": {} for n in range(1_000)},
        "patternProperties": {f"x{n}": {} for n in range(1_000)},
    }

    verdict = _compare(wide, {**wide, "minProperties": 1})

    assert verdict == (None, None)
    # In each direction one search for a proof, and one for a document.
    assert tried <= 4 * MAX_STEPS * reading.TRIED_IN_A_STEP


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
