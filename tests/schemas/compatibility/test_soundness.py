"""Verdicts are never wrong: documents are tried with jsonschema-rs and with the validator."""

from typing import Any, Final

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec import Struct

from app.sandbox.pool import SandboxPool
from app.schemas.compatibility import compare
from app.schemas.compatibility.budget import Budget, Undecidable
from app.schemas.compatibility.comparison import MAX_STEPS, counterexample
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.witnesses import Witnesses
from app.schemas.document import JsonValue, SchemaDocument
from app.schemas.drafts import DRAFT_7
from app.schemas.library import Library
from tests.support.validator_runs import case, check

_URI: Final = "crivo:/schemas/events@1"
_NAMES: Final = st.sampled_from(["a", "b", "ab", "c"])
_NUMBERS: Final = st.sampled_from([-1, 0, 1, 2, 0.5, 1.5])
_TEXTS: Final = st.sampled_from(["", "a", "ab", "abc", "2020-02-29"])
_LEAVES: Final = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
_DOCUMENTS: Final = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=3)
    ),
    max_leaves=6,
)
_TYPES: Final = st.sampled_from(
    ["null", "boolean", "integer", "number", "string", "array", "object"]
)
_COUNTS: Final = st.integers(0, 2)
_PATTERNS: Final = st.sampled_from(["^a", "b$", "^[ab]+$", "a|c", "^a.?$"])
_SCALARS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "type": st.one_of(_TYPES, st.lists(_TYPES, min_size=1, max_size=3, unique=True)),
    "enum": st.lists(_DOCUMENTS, min_size=1, max_size=3),
    "const": _LEAVES,
    "maximum": _NUMBERS,
    "minimum": _NUMBERS,
    "exclusiveMinimum": _NUMBERS,
    "exclusiveMaximum": _NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "minLength": _COUNTS,
    "maxLength": _COUNTS,
    "pattern": _PATTERNS,
    "format": st.sampled_from(["date", "unknown"]),
    "minItems": _COUNTS,
    "maxItems": _COUNTS,
    "uniqueItems": st.booleans(),
    "minProperties": _COUNTS,
    "maxProperties": _COUNTS,
    "required": st.lists(_NAMES, max_size=2, unique=True),
    "dependentRequired": st.dictionaries(_NAMES, st.lists(_NAMES, max_size=1), max_size=1),
}


def _with_schemas(inner: st.SearchStrategy[Any], *, draft_7: bool) -> st.SearchStrategy[Any]:
    child = st.one_of(inner, st.sampled_from([{"$ref": "#"}, {"$ref": "#/$defs/e"}]))
    children = st.dictionaries(_NAMES, child, max_size=3)
    lists = st.lists(inner, min_size=1, max_size=3)
    keywords = {
        **_SCALARS,
        "properties": children,
        "patternProperties": st.dictionaries(_PATTERNS, child, max_size=2),
        "additionalProperties": child,
        "unevaluatedProperties": inner,
        "propertyNames": inner,
        "items": child,
        "prefixItems": lists,
        "contains": inner,
        "allOf": lists,
        "anyOf": lists,
        "oneOf": lists,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "dependentSchemas": st.dictionaries(_NAMES, inner, max_size=1),
        "$ref": st.just("#/$defs/d"),
    }
    if draft_7:
        # Keywords of the other draft stay, and say nothing.
        keywords |= {
            "items": st.one_of(child, lists),
            "additionalItems": child,
            "dependencies": st.dictionaries(
                _NAMES, st.one_of(inner, st.lists(_NAMES, max_size=1)), max_size=1
            ),
        }
    names = st.lists(st.sampled_from(sorted(keywords)), min_size=1, max_size=4, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({n: keywords[n] for n in chosen}))


_LEAF: Final = st.one_of(
    st.booleans(),
    st.sampled_from(sorted(_SCALARS)).flatmap(
        lambda name: st.fixed_dictionaries({name: _SCALARS[name]})
    ),
)
_FLAT: Final = {draft_7: _with_schemas(_LEAF, draft_7=draft_7) for draft_7 in (False, True)}
_BODIES: Final = {
    draft_7: _with_schemas(st.one_of(_LEAF, flat), draft_7=draft_7)
    for draft_7, flat in _FLAT.items()
}


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw two schemas that share most of their text: changes of one keyword, as versions have."""
    draft_7 = draw(st.booleans())
    bodies = _BODIES[draft_7]
    old = draw(bodies)
    new = dict(old)
    new |= {name: value for name, value in draw(bodies).items() if draw(st.booleans())}
    for name in draw(st.lists(st.sampled_from(sorted(old)), max_size=1)):
        new.pop(name)
    schemas = {"d": draw(_LEAF), "e": draw(_FLAT[draft_7])}
    changed = schemas | ({"e": draw(_FLAT[draft_7])} if draw(st.booleans()) else {})
    dialect = {"$schema": DRAFT_7} if draft_7 else {}
    pair = ({**old, **dialect, "$defs": schemas}, {**new, **dialect, "$defs": changed})
    return pair if draw(st.booleans()) else pair[::-1]


def _document(schema: JsonValue, *, strict: bool) -> SchemaDocument:
    return SchemaDocument(_URI, {_URI: schema}, {_URI} if strict else ())


def _forms(a: SchemaDocument, b: SchemaDocument) -> tuple[NormalForm, NormalForm]:
    budget = Budget(MAX_STEPS)
    return NormalForm(Library(a), budget), NormalForm(Library(b), budget)


def _candidates(a: SchemaDocument, b: SchemaDocument) -> list[Any]:
    """Return documents near the bounds of both, which a wrong proof would have missed."""
    try:
        return Witnesses(*_forms(a, b)).samples()
    except Undecidable:
        return []


class _Trial(Struct):
    schemas: tuple[Any, Any]
    holds: bool | None
    counterexample: tuple[Any] | None
    documents: list[Any]


def _trials(pair: tuple[Any, Any], drawn: list[Any], *, strict: bool) -> list[_Trial]:
    old, new = (_document(schema, strict=strict) for schema in pair)
    verdict = compare(old, new)
    documents = drawn + _candidates(old, new) + _candidates(new, old)
    return [
        _Trial(pair, verdict.backward, counterexample(*_forms(old, new)), documents),
        _Trial((pair[1], pair[0]), verdict.forward, counterexample(*_forms(new, old)), documents),
    ]


def _assert_sound(trial: _Trial, accepted: list[tuple[bool, bool]]) -> None:
    """Check one direction; ``accepted`` is of its documents and then its counterexample."""
    if trial.holds:
        assert (True, False) not in accepted
    assert (trial.holds is False) <= (trial.counterexample is not None)
    if trial.counterexample is not None:
        assert not trial.holds
        assert accepted[-1] == (True, False)


_SLOW: Final = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
_DRAWN: Final = st.lists(_DOCUMENTS, max_size=10)


@settings(max_examples=150, suppress_health_check=_SLOW)
@given(pair=_pairs(), drawn=_DRAWN)
def test_verdicts_agree_with_the_reference(pair: tuple[Any, Any], drawn: list[Any]) -> None:
    for trial in _trials(pair, drawn, strict=False):
        old, new = (
            jsonschema_rs.validator_for(schema, validate_formats=True) for schema in trial.schemas
        )
        tried = [*trial.documents, *(trial.counterexample or ())]
        _assert_sound(trial, [(old.is_valid(d), new.is_valid(d)) for d in tried])


@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=8, suppress_health_check=_SLOW)
@given(pairs=st.lists(st.tuples(_pairs(), _DRAWN), min_size=1, max_size=20))
async def test_verdicts_on_strict_schemas_agree_with_the_validator(
    pool: SandboxPool, pairs: list[tuple[tuple[Any, Any], list[Any]]]
) -> None:
    trials = [t for pair, drawn in pairs for t in _trials(pair, drawn, strict=True)]
    cases = [
        case(schema, *trial.documents, *(trial.counterexample or ()), strict=True, formats=True)
        for trial in trials
        for schema in trial.schemas
    ]
    results = [[errors == [] for errors in r["errors"]] for r in await check(pool, cases)]
    for index, trial in enumerate(trials):
        _assert_sound(trial, list(zip(*results[2 * index : 2 * index + 2], strict=True)))
