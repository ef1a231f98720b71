"""Hostile schemas, documents and scripts change no verdict and meet the limits of their job."""

import json
from typing import Any

import pytest

from app.sandbox.outcomes import InvalidInput, OutOfMemory, SchemaMismatch, Succeeded, TimedOut
from app.sandbox.parts import OnError, Part, Task
from app.sandbox.pool import SandboxPool
from app.sandbox.schema_checks import MAX_ERRORS, SchemaSet
from tests.sandbox.validator.test_hostile import TAMPER
from tests.support.checked_jobs import EVENT, RESULT, by, checked, refusals, schema_set
from tests.support.sandbox_runs import MIB, run_job
from tests.support.sandbox_streams import stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

CATASTROPHE = {"pattern": "^(a+)+$"}
VICTIM = json.dumps("a" * 60 + "!").encode()
ECHO = "const process = d => d, map = d => d"
SKIP = Part(task=Task.MAP, on_error=OnError.SKIP)


async def test_a_catastrophic_pattern_is_a_timeout_of_the_job(pool: SandboxPool) -> None:
    ran = await run_job(pool, by(CATASTROPHE, wall_ms=300), VICTIM)
    assert ran.outcome == TimedOut(limit_ms=300)
    lines = b'"a"\n' + VICTIM + b'\n"aa"'
    streamed = await stream(pool, by(CATASTROPHE, wall_ms=300), SKIP, lines)
    assert streamed.report.outcome == TimedOut(limit_ms=300)
    output = checked(
        ECHO,
        schemas=schema_set({RESULT: CATASTROPHE}),
        input_=None,
        output=RESULT,
        wall_ms=300,
    )
    assert (await run_job(pool, output, VICTIM)).outcome == TimedOut(limit_ms=300)


async def test_references_that_lead_back_are_bounded(pool: SandboxPool) -> None:
    chain: dict[str, Any] = {EVENT: {"$ref": "urn:0"}}
    chain |= {f"urn:{n}": {"items": {"$ref": f"urn:{(n + 1) % 1_000}"}} for n in range(1_000)}
    schemas = schema_set(chain, frozenset(["urn:500"]))
    what = checked("const process = d => 'ok'", schemas=schemas)

    for depth, valid in ((999, True), (1_001, False), (200_000, False)):
        ran = await run_job(pool, what, b"[" * depth + b"]" * depth)
        assert isinstance(ran.outcome, Succeeded if valid else SchemaMismatch), ran.outcome
    nothing = by({"$ref": EVENT})
    ran = await run_job(pool, nothing, b"1")
    assert refusals(ran.outcome) == [("", None)]


async def test_a_set_of_ten_megabytes_of_enum_decides(pool: SandboxPool) -> None:
    schemas: dict[str, Any] = {EVENT: {"anyOf": [{"$ref": f"urn:{n}"} for n in range(10)]}}
    for n in range(10):
        values = [f"value {n} {m:05}" for m in range(60_000)]
        schemas[f"urn:{n}"] = {"enum": [*values, {"a": [n]}]}
    what = checked(
        "const map = d => d", schemas=schema_set(schemas, frozenset()), memory_bytes=256 * MIB
    )
    assert what.checks is not None
    assert sum(map(len, what.checks.schemas.documents.values())) > 10_000_000

    lines = [f"value {n} {n:05}" for n in range(10)] + [{"a": [10]}, "value 3 60000", {"a": [9]}]
    ran = await stream(pool, what, SKIP, "\n".join(map(json.dumps, lines)).encode())

    assert isinstance(ran.report.outcome, Succeeded), ran.report
    assert [error.line for error in ran.errors] == [11, 12]


async def test_schemas_count_against_the_memory_of_their_job(pool: SandboxPool) -> None:
    document = b'{"enum":[%b{}]}' % (b"{}," * 6_000_000)
    what = checked(ECHO, schemas=SchemaSet({EVENT: document}), memory_bytes=32 * MIB)

    ran = await run_job(pool, what, b"1")
    assert isinstance(ran.outcome, OutOfMemory), ran.outcome
    with pytest.raises(ValueError, match="are the limit"):
        SchemaSet({"a": document, "b": document})


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"multipleOf": 1e-300}, "1e300", "1e-301"),
        ({"multipleOf": 0.01}, "19.99", "0.005"),
        ({"maximum": 9007199254740992}, "9007199254740993", "9007199254740994"),
        ({"type": "integer"}, "1e400".replace("400", "300"), "1.5"),
        ({"const": 12345678901234567890}, "12345678901234567891", "12345678901234569999"),
        ({"required": ["__proto__"]}, '{"__proto__":1}', '{"a":1}'),
        ({"properties": {"__proto__": {"type": "null"}}}, '{"a":{}}', '{"__proto__":{}}'),
        ({"const": {"constructor": {}}}, '{"constructor":{}}', "{}"),
        ({"additionalProperties": {"type": "null"}}, "{}", '{"__proto__":{"a":1}}'),
    ],
)
async def test_numbers_and_names_have_no_exceptions(
    pool: SandboxPool, schema: object, valid: str, invalid: str
) -> None:
    ran = await stream(pool, by(schema), SKIP, f"{valid}\n{invalid}\n{valid}".encode())

    assert isinstance(ran.report.outcome, Succeeded), ran.report
    assert [error.line for error in ran.errors] == [2]


# ---- scripts that tamper

EVIL_GLOBALS = "".join(
    f"try {{ globalThis.{name} = {value} }} catch {{}}\n"
    for name, value in {
        "validator": "{ openChecks: () => ({ input: () => null, output: () => null }) }",
        "compile": "() => () => []",
        "openChecks": "() => null",
    }.items()
)
PARSING = """
JSON.parse = () => ({ n: 1 });
JSON.stringify = () => '"forged"';
Object.prototype.toJSON = function () { return "forged" };
String.prototype.toJSON = () => "forged";
Array.prototype.toJSON = () => "forged";
"""


@pytest.mark.parametrize("tampering", [TAMPER, EVIL_GLOBALS, PARSING])
async def test_a_script_that_tampers_changes_no_verdict(pool: SandboxPool, tampering: str) -> None:
    functions = "function process(d) { return d.n } function map(d) { return d.n }"
    schemas = schema_set(
        {
            EVENT: {
                "properties": {"n": {"type": "integer", "enum": [1, 2]}},
                "required": ["n"],
                "patternProperties": {"^x": {"format": "date"}},
            },
            RESULT: {"multipleOf": 2},
        }
    )
    what = checked(tampering + functions, schemas=schemas, output=RESULT)
    plain = checked(functions, schemas=schemas, output=RESULT)
    lines = [b'{"n":2}', b'{"n":1}', b'{"n":3}', b'{"n":2,"y":1}', b"{}", b'{"n":2,"x":"a"}']

    for line in lines:
        assert (await run_job(pool, what, line)).outcome == (
            await run_job(pool, plain, line)
        ).outcome
    part = Part(task=Task.MAP, on_error=OnError.DEAD_LETTER)
    ran = await stream(pool, what, part, b"\n".join(lines))
    assert ran.output == b"2\n"
    assert ran.errors == (await stream(pool, plain, part, b"\n".join(lines))).errors
    assert [error.line for error in ran.errors] == [2, 3, 4, 5, 6]


async def test_a_script_cannot_change_what_was_validated(pool: SandboxPool) -> None:
    source = """
    const kept = [];
    const map = d => { for (const one of kept) one.n = 'x'; kept.push(d); return d };
    const process = d => {
      let reads = 0;
      return { get n() { return reads++ ? 'x' : d.n }, toJSON() { return this } };
    };
    """
    what = checked(source, output=EVENT)
    lines = b'{"n":1}\n{"n":2}\n'
    ran = await stream(pool, what, SKIP, lines)
    assert (ran.output, ran.errors) == (lines, [])
    assert (await run_job(pool, what, b'{"n":3}')).output == b'{"n":3}'


# ---- errors


async def test_a_schema_that_cannot_be_used_refuses_each_document(pool: SandboxPool) -> None:
    too_large = {"pattern": "(?:ab){5,99}" * 66_000}
    for schema, message in (
        ({"pattern": "("}, "cannot be validated, as its schema cannot be used: /pattern: "),
        ({"$ref": "urn:gone"}, "cannot be validated, as its schema cannot be used: /$ref: "),
        (too_large, "cannot be validated: "),
    ):
        ran = await stream(pool, by(schema), SKIP, b'"a"\n"b"')
        assert isinstance(ran.report.outcome, Succeeded), ran.report
        assert ran.report.rows == (2, 0, 2)
        for error in ran.errors:
            assert isinstance(error.outcome, SchemaMismatch)
            [only] = error.outcome.errors
            assert only.message.startswith(message)
    broken = checked(ECHO, schemas=SchemaSet({EVENT: b"{"}))
    assert "cannot be used" in str((await run_job(pool, broken, b"1")).outcome)


async def test_errors_are_bounded_whatever_their_texts_are(pool: SandboxPool) -> None:
    for character in ("a", "é", "\U0001f600", "\ud800", "\0"):
        long = character * 9_000
        in_schema = long if character in "aé" else "é" * 9_000
        schema = {
            "$defs": {in_schema: {"pattern": in_schema}},
            "additionalProperties": {"$ref": f"#/$defs/{in_schema}"},
        }
        what = checked(ECHO, schemas=schema_set({EVENT: schema}, frozenset()), excerpts=True)
        document = {long + str(n): "-" * 9_000 for n in range(120)}

        ran = await run_job(pool, what, json.dumps(document).encode())
        assert isinstance(ran.outcome, SchemaMismatch), ran.outcome
        assert len(ran.outcome.errors) + ran.outcome.omitted == MAX_ERRORS
        assert ran.outcome.omitted > 0
        assert all(error.pointer.startswith("/" + character * 99) for error in ran.outcome.errors)
        streamed = await stream(pool, what, SKIP, (json.dumps(document) + "\n").encode() * 2)
        assert [error.outcome for error in streamed.errors] == [ran.outcome] * 2


async def test_an_input_that_is_no_json_has_no_mismatch(pool: SandboxPool) -> None:
    assert isinstance((await run_job(pool, by({"not": {}}), b"{")).outcome, InvalidInput)
