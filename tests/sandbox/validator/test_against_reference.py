"""For any schema and document, the validator and jsonschema-rs give the same verdict."""

from typing import Any, Final

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from app.sandbox.pool import SandboxPool
from tests.sandbox.validator.suites import DIALECTS
from tests.support.validator_runs import case, check

pytestmark = pytest.mark.asyncio(loop_scope="module")

_REFERENCE: Final = {
    "draft7": jsonschema_rs.Draft7Validator,
    "draft2020-12": jsonschema_rs.Draft202012Validator,
}
# Few names, numbers and texts, so that documents meet their schemas.
_NAMES: Final = st.sampled_from(["a", "b", "c", "ab", "__proto__", "é"])
# The reference divides binary fractions, so there are no decimal ones.
_NUMBERS: Final = st.one_of(
    st.integers(-3, 4), st.sampled_from([0.0, -0.0, 1.0, 0.5, -1.5, 2**53, -(2**40), 1e300])
)
_TEXTS: Final = st.sampled_from(["", "a", "ab", "abc", "é", "😀", "😀a", "\x00", "1", "e\u0301"])
_LEAVES: Final = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
_DOCUMENTS: Final = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_NAMES, inner, max_size=4)
    ),
    max_leaves=8,
)
_TYPES: Final = st.sampled_from(
    ["null", "boolean", "integer", "number", "string", "array", "object"]
)
_COUNTS: Final = st.integers(0, 3)
_PATTERNS: Final = st.sampled_from(["^a", "b$", "^.$", "[^a]", "^(a|é)*$", "\\d"])
_REFS: Final = st.sampled_from(["#/$defs/a", "#/$defs/b"])

_SCALARS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "type": st.one_of(_TYPES, st.lists(_TYPES, min_size=1, max_size=3, unique=True)),
    "enum": st.lists(_DOCUMENTS, min_size=1, max_size=3),
    "const": _DOCUMENTS,
    "maximum": _NUMBERS,
    "exclusiveMinimum": _NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.25, 1.5]),
    "minLength": _COUNTS,
    "maxLength": _COUNTS,
    "pattern": _PATTERNS,
    "minItems": _COUNTS,
    "maxItems": _COUNTS,
    "uniqueItems": st.booleans(),
    "minProperties": _COUNTS,
    "maxProperties": _COUNTS,
    "required": st.lists(_NAMES, max_size=2, unique=True),
}
_SCALARS_2020: Final[dict[str, st.SearchStrategy[Any]]] = {
    "dependentRequired": st.dictionaries(_NAMES, st.lists(_NAMES, max_size=2, unique=True)),
    "minContains": _COUNTS,
    "maxContains": _COUNTS,
}


def _with_schemas(inner: st.SearchStrategy[Any], draft: str) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, min_size=1, max_size=3)
    maps = st.dictionaries(_NAMES, inner, max_size=3)
    # Below a member or item, a reference to the root comes to an end.
    child = st.one_of(inner, st.just({"$ref": "#"}))
    children = st.dictionaries(_NAMES, child, max_size=3)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        **_SCALARS,
        "properties": children,
        "patternProperties": st.dictionaries(_PATTERNS, child, max_size=2),
        "additionalProperties": child,
        "propertyNames": inner,
        "contains": child,
        "allOf": lists,
        "anyOf": lists,
        "oneOf": lists,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "$ref": _REFS,
    }
    if draft == "draft7":
        keywords |= {
            "items": st.one_of(child, lists),
            "additionalItems": child,
            "dependencies": st.dictionaries(
                _NAMES, st.one_of(inner, st.lists(_NAMES, max_size=2, unique=True)), max_size=2
            ),
        }
    else:
        keywords |= {
            **_SCALARS_2020,
            "items": child,
            "prefixItems": lists,
            "unevaluatedItems": child,
            "unevaluatedProperties": child,
            "dependentSchemas": maps,
        }
    names = st.lists(st.sampled_from(sorted(keywords)), min_size=2, max_size=5, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({n: keywords[n] for n in chosen}))


def _schemas(draft: str) -> st.SearchStrategy[Any]:
    leaf = st.one_of(
        st.booleans(),
        st.dictionaries(st.just("type"), _SCALARS["type"], max_size=1),
        st.sampled_from(sorted(_SCALARS)).flatmap(
            lambda name: st.fixed_dictionaries({name: _SCALARS[name]})
        ),
    )
    flat = _with_schemas(leaf, draft)
    body = _with_schemas(st.one_of(leaf, flat, _with_schemas(flat, draft)), draft)
    # What is referred to refers to nothing itself: schemas that never decide are another test's.
    definitions = st.fixed_dictionaries({"a": leaf, "b": leaf})
    return st.tuples(body, definitions).map(lambda parts: {**parts[0], "$defs": parts[1]})


@pytest.mark.parametrize("draft", DIALECTS)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_the_verdicts_are_those_of_the_reference(
    pool: SandboxPool, draft: str, data: st.DataObject
) -> None:
    schemas = data.draw(st.lists(_schemas(draft), min_size=1, max_size=12))
    documents = data.draw(st.lists(_DOCUMENTS, min_size=1, max_size=12))
    expected = [
        [_REFERENCE[draft](schema).is_valid(document) for document in documents]
        for schema in schemas
    ]
    results = await check(
        pool, [case(schema, *documents, dialect=DIALECTS[draft]) for schema in schemas]
    )

    found = [[errors == [] for errors in result["errors"]] for result in results]
    assert found == expected


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_both_ways_to_close_objects_agree(pool: SandboxPool, data: st.DataObject) -> None:
    # Wrapped, the schema annotates a tree; alone, it refuses fields by itself where it can.
    schemas = data.draw(st.lists(_schemas("draft2020-12"), min_size=1, max_size=12))
    documents = data.draw(st.lists(_DOCUMENTS, min_size=1, max_size=12))
    wrapped = [{"$id": "x:wrapped", "allOf": [{"$id": "x:schema", **one}]} for one in schemas]
    cases = [case(one, *documents, strict=True) for one in (*schemas, *wrapped)]
    results = await check(pool, cases)

    verdicts = [[errors == [] for errors in result["errors"]] for result in results]
    assert verdicts[: len(schemas)] == verdicts[len(schemas) :]
