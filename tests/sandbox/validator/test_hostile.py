"""Hostile schemas, documents and scripts end in an answer or at a limit, and change no verdict."""

import json
import re
from typing import Any, Final

import pytest

from app.sandbox import validator
from app.sandbox.outcomes import TimedOut
from app.sandbox.pool import SandboxPool
from tests.sandbox.validator.suites import DIALECTS, read_groups, remotes
from tests.support.sandbox_runs import run
from tests.support.validator_runs import case, check, errors_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DRAFT: Final = "draft2020-12"
_SOURCE: Final = validator.source().decode()
# Each name that the validator reads of anything, or may read by an index.
_READ: Final = sorted(
    {"0", "1", "2", "a", "get", "value", *re.findall(r"[.{,]\s*([A-Za-z_$][\w$]*)", _SOURCE)}
)
# Replaces what the validator may have captured, and lays setters and getters in its way.
TAMPER: Final = """
const evil = () => { throw new Error('tampered') };
const own = Reflect.ownKeys, define = Object.defineProperty;
const holders = [Array, Array.prototype, String, String.prototype, Object, Object.prototype,
  Function.prototype, RegExp.prototype, Map.prototype, Set.prototype, Number, Number.prototype,
  BigInt.prototype, JSON, Reflect, Math, Error.prototype, RangeError.prototype,
  Object.getPrototypeOf([][Symbol.iterator]())];
for (let i = 0; i < holders.length; i++) {
  const names = own(holders[i]);
  for (let j = 0; j < names.length; j++) {
    if (names[j] === 'constructor' || names[j] === 'prototype') continue;
    const descriptor = { __proto__: null, value: evil, configurable: true };
    try { define(holders[i], names[j], descriptor); } catch {}
  }
}
const traps = [READ];
for (let i = 0; i < traps.length; i++) {
  define(Object.prototype, traps[i],
    { __proto__: null, get: evil, set: evil, enumerable: true, configurable: true });
}
const globals = ['Map', 'Set', 'RegExp', 'String', 'Number', 'BigInt', 'Array', 'Object', 'Reflect',
  'JSON', 'RangeError', 'decodeURIComponent', 'Error'];
for (let i = 0; i < globals.length; i++) globalThis[globals[i]] = evil;
""".replace("READ", ", ".join(map(repr, _READ)))


async def test_a_tampered_world_changes_no_verdict(pool: SandboxPool) -> None:
    groups = list(read_groups(_DRAFT, ""))
    cases = [case(group.schema, *group.documents, dialect=DIALECTS[_DRAFT]) for group in groups]
    results = await check(pool, cases, registry=remotes(), first=TAMPER)

    for group, result in zip(groups, results, strict=True):
        valid = [errors == [] for errors in result["errors"]]
        assert valid == [expected for _, expected in group.expected], group.schema


async def test_tampering_changes_no_error(pool: SandboxPool) -> None:
    schema = {
        "properties": {
            "a": {"pattern": "^b$"},
            "l": {"uniqueItems": True},
            "n": {"multipleOf": 0.1},
        },
        "required": ["z"],
    }
    document = {"a": "c", "l": [{"x": 1}, {"x": 1}], "n": 0.35, "other": [1]}
    cases = [case(schema, document, strict=True, excerpts=True), case({"type": "none"})]

    assert await check(pool, cases, first=TAMPER) == await check(pool, cases)


async def test_alternatives_within_alternatives_are_explained_in_time(pool: SandboxPool) -> None:
    # Each level refuses at once; who looks for all errors would find two levels below each.
    definitions: dict[str, Any] = {"0": {"type": "string"}}
    for level in range(1, 60):
        pair = [{"minimum": 10, "$ref": f"#/$defs/{level - 1}"}] * 2
        definitions[str(level)] = {"anyOf": pair}
    schema = {"$ref": "#/$defs/59", "$defs": definitions}

    assert [error["keyword"] for error in await errors_of(pool, schema, 1)] == ["anyOf"]


async def test_an_invalid_document_has_an_error_in_any_case(pool: SandboxPool) -> None:
    # The first pass sees another value than the second one, which JSON.parse never returns.
    first = """let reads = 0;
    const document = { get a() { return reads++ === 0 ? "text" : 1; } };
    cases[0].documents = [document];"""
    schema = {"properties": {"a": {"type": "integer"}}}
    [result] = await check(pool, [case(schema, 0)], first=first)

    message = "is invalid for no reason that was found"
    error = {"pointer": "", "keyword": None, "schema_pointer": None, "message": message}
    assert result["errors"] == [[error]]


_ELSEWHERE: Final = "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "identifier",
    ["crivo:/schemas/other@1", "other@1", "crivo:/schemas/x/../other@1#", _ELSEWHERE],
)
@pytest.mark.parametrize("inside", [True, False])
async def test_no_schema_takes_the_place_of_another(
    pool: SandboxPool, identifier: str, *, inside: bool
) -> None:
    taking = {"$id": identifier, "type": "string"}
    schema = {"$defs": {"x/y": taking}} if inside else taking
    options: dict[str, object] = {"uri": "crivo:/schemas/a@1"}
    [refused] = await check(pool, [case(schema, **options)])
    own = {"$id": "crivo:/schemas/a@1", "$defs": {"x": {"$id": "https://x.example/", "const": 1}}}
    [allowed] = await check(pool, [case(own, {}, **options)])

    [error] = refused["refused"]
    assert error["pointer"] == ("/$defs/x~1y/$id" if inside else "/$id")
    assert error["message"].endswith("is the place of another schema")
    assert allowed == {"errors": [[]]}


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_document_that_is_read_first_changes_no_reference(
    pool: SandboxPool, *, trusted: bool
) -> None:
    other = "crivo:/schemas/other@1"
    registry = {
        "crivo:/schemas/a@1": {"$defs": {"x": {"$id": other, "type": "string"}}},
        other: {"type": "integer"},
    }
    schema = {"properties": {"a": {"$ref": "crivo:/schemas/a@1"}, "b": {"$ref": other}}}
    options = {"uri": "crivo:/schemas/b@1", "trusted": trusted}
    [result] = await check(pool, [case(schema, {"b": "x"}, **options)], registry=registry)

    assert [error["pointer"] for error in result["refused"]] == ["crivo:/schemas/a@1#/$defs/x/$id"]


def _nested(depth: int) -> str:
    return f"JSON.parse('['.repeat({depth}) + ']'.repeat({depth}))"


async def test_depth_ends_in_an_error(pool: SandboxPool) -> None:
    in_itself = {"items": {"$ref": "#"}}
    cases = [
        case(in_itself, strict=True),
        case({"const": 1}, 0),
        case({"const": []}, 0),
        case({"uniqueItems": True}, 0),
    ]
    first = f"""
    cases[0].documents = [{_nested(1_001)}, {_nested(1_002)}, {_nested(100_000)}];
    for (let i = 1; i < 4; i++) cases[i].documents = [[{_nested(100_000)}, 1]];
    """
    recursive, simple, constant, unique = await check(pool, cases, first=first)

    message = "is nested too deeply, or its schema refers to itself more than 1000 times"
    too_deep = [{"pointer": "", "keyword": None, "schema_pointer": None, "message": message}]
    assert recursive["errors"] == [[], too_deep, too_deep]
    assert [error["keyword"] for error in simple["errors"][0]] == ["const"]
    assert constant["errors"] == [too_deep]
    assert unique["errors"] == [too_deep]


async def test_a_deep_schema_is_refused(pool: SandboxPool) -> None:
    deep = """cases[0].schema = {};
    for (let i = 0; i < 100_000; i++) cases[0].schema = { not: cases[0].schema };"""
    for trusted in (False, True):
        [result] = await check(pool, [case({}, 0, trusted=trusted)], first=deep)
        assert "nested too deeply" in result["refused"][0]["message"]


async def test_dynamic_references_that_never_end_are_bounded(pool: SandboxPool) -> None:
    schema = {"$dynamicAnchor": "a", "allOf": [{"$dynamicRef": "#a"}]}
    [error] = await errors_of(pool, schema, 1)

    assert error["message"].endswith("more than 1000 times")


async def test_a_catastrophic_pattern_ends_at_the_time_limit(pool: SandboxPool) -> None:
    source = f"""const {{ compile }} = ({validator.source().decode()})();
    const process = (text) => compile({{ pattern: "^(a+)+$" }})(text)"""
    ran = await run(pool, source, json.dumps("a" * 60 + "!").encode(), wall_ms=1_000)

    assert isinstance(ran.outcome, TimedOut), ran.outcome


async def test_a_large_enum_is_searched_once(pool: SandboxPool) -> None:
    large = """cases[0].schema.enum =
      Array.from({ length: 500_000 }, (_, i) => i % 2 ? `value ${i}` : { a: [i] });
    cases[0].documents =
      cases[0].schema.enum.slice(0, 10_000).map((value, i) => i % 4 === 2 ? { a: [-i] } : value);"""
    [result] = await check(pool, [case({"enum": []})], first=large)

    invalid = [index for index, errors in enumerate(result["errors"]) if errors]
    assert invalid == list(range(2, 10_000, 4))


# A divisor, multiples of it, and numbers that are none.
_MULTIPLES: Final[list[tuple[Any, list[Any], list[Any]]]] = [
    (0.1, [0.3, 0.7, 1.1, 1e20, 0, -0.2], [0.35, 1e-2]),
    (0.01, [19.99, 0.07, 4.35, 1234567.89], [0.005, 1234567.891]),
    (1e-300, [1e300, 1e-300, 3e-299, 0.1], [1e-301]),
    (5e-324, [5e-324, 1e-323], [1.5e-323 + 1e-322]),
    (7, [7 * 2**60, 9007199254740993 * 7 // 7 * 0], [2**60]),
    (3, [9007199254740990], [9007199254740991]),
    (1e308, [1e308, 0], [1e307]),
    (2.5, [5, 1e300], [4]),
]


async def test_multiples_are_exact(pool: SandboxPool) -> None:
    cases = [case({"multipleOf": by}, *good, *bad) for by, good, bad in _MULTIPLES]
    results = await check(pool, cases)

    for (by, good, bad), result in zip(_MULTIPLES, results, strict=True):
        valid = [errors == [] for errors in result["errors"]]
        assert valid == [True] * len(good) + [False] * len(bad), by


async def test_special_names_are_ordinary(pool: SandboxPool) -> None:
    names = ["__proto__", "constructor", "toString", "hasOwnProperty", "length", "valueOf"]
    schema = {
        "properties": {name: {"type": "integer"} for name in names},
        "required": names,
        "$defs": {"__proto__": {"$anchor": "constructor", "maxProperties": len(names)}},
        "allOf": [{"$ref": "#/$defs/__proto__"}, {"$ref": "#constructor"}],
    }
    good = dict.fromkeys(names, 1)
    bad = [{name: value for name, value in good.items() if name != one} for one in names]
    wrong = [{**good, one: "x"} for one in names]
    lone = [{}, {"a": 1}, []]
    [result] = await check(pool, [case(schema, good, *bad, *wrong, *lone, strict=True)])
    pollutions = ['{"__proto__":{"a":1}}', '{"constructor":{"a":1}}', '[{"__proto__":[1]}]']
    same = [json.loads(text) for text in pollutions]
    equal = await check(pool, [case({"const": one}, *same, {}, {"a": 1}) for one in same])

    verdicts = [errors == [] for errors in result["errors"]]
    assert verdicts == [True, *[False] * 14, True]
    for index, one in enumerate(equal):
        assert [errors == [] for errors in one["errors"]] == [i == index for i in range(5)]
