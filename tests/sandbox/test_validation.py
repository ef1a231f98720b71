"""Schemas and documents are validated without user code, within limits."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from app.sandbox.outcomes import InvalidInput, SchemaMismatch, Succeeded, TimedOut, UnknownSchema
from app.sandbox.parts import OnError, RecordError
from app.sandbox.pool import SandboxPool
from app.sandbox.protocol import Rows
from app.sandbox.schema_checks import Checks, Choice, SchemaSet
from app.sandbox.validation import LIMITS, check_schema, validate_document, validate_lines
from tests.support.checked_jobs import EVENT, RESULT, refusals, schema_set
from tests.support.sandbox_runs import MIB

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = replace(LIMITS, wall_ms=500)


async def check(
    pool: SandboxPool, document: object, others: dict[str, Any] | None = None, **strict: bool
) -> list[tuple[str, str | None, str]]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    rest = {uri: json.dumps(other).encode() for uri, other in (others or {}).items()}
    schemas = SchemaSet({"urn:new": text, **rest}, frozenset(["urn:new"] if strict else []))
    errors = await check_schema(pool, tenant="t", schemas=schemas, uri="urn:new", limits=QUICK)
    return [(error.pointer, error.keyword, error.message) for error in errors]


async def test_a_schema_that_can_be_used_has_no_errors(pool: SandboxPool) -> None:
    other = {"urn:other": {"$defs": {"a/b": {"type": "string"}}}}

    assert await check(pool, {"$ref": "urn:other#/$defs/a~1b"}, other, strict=True) == []
    for document in (True, {}, {"$schema": "http://json-schema.org/draft-07/schema#"}):
        assert await check(pool, document) == []


async def test_the_errors_of_a_schema_are_places_in_it(pool: SandboxPool) -> None:
    found = await check(pool, {"properties": {"a": {"type": "text", "minimum": "1"}}})
    assert [(pointer, keyword) for pointer, keyword, _ in found] == [
        ("/properties/a/type", "anyOf"),
        ("/properties/a/minimum", "type"),
    ]
    assert [pointer for pointer, *_ in await check(pool, {"$ref": "urn:other"})] == ["/$ref"]
    assert [pointer for pointer, *_ in await check(pool, {"pattern": "("})] == ["/pattern"]
    too_large = {"pattern": "(?:ab){5,99}" * 66_000}
    assert [pointer for pointer, *_ in await check(pool, too_large)] == ["/pattern"]
    assert len(await check(pool, {"type": ["x"] * 1_000, "$id": 1})) <= 100


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "is not JSON: "),
        (b"{", "is not JSON: "),
        (b'{}, "strict": ["urn:new"]', "is not JSON: "),
        (b"{}\0", "is not JSON: "),
        (b'{"a":"\xff"}', "is not UTF-8: invalid start byte at byte 6"),
        (b'{"not":' * 50_000 + b"{}" + b"}" * 50_000, "is nested too deeply"),
    ],
)
async def test_what_is_no_schema_is_refused(
    pool: SandboxPool, document: bytes, message: str
) -> None:
    [(pointer, _, said)] = await check(pool, document)

    assert pointer == ""
    assert said.startswith(message)


async def test_a_schema_that_takes_too_long_is_refused(pool: SandboxPool) -> None:
    heavy = b'{"allOf":[%b{}]}' % (b'{"type":"object","properties":{"a":{"enum":[1]}}},' * 300_000)

    [(pointer, keyword, message)] = await check(pool, heavy)
    assert (pointer, keyword) == ("", None)
    assert message in (
        "takes longer to compile than 500 ms",
        f"needs more memory to compile than {LIMITS.memory_bytes} bytes",
    )


# ---- documents


async def test_a_document_is_valid_or_has_errors(pool: SandboxPool) -> None:
    async def validate(payload: bytes, *, excerpts: bool = False) -> object:
        return await validate_document(
            pool, tenant="t", schemas=schema_set(), uri=EVENT, payload=payload, excerpts=excerpts
        )

    assert isinstance(await validate(b'{"n":1}'), Succeeded)
    assert refusals(await validate(b'{"n":1.5,"x":1}')) == [("/n", "type"), ("/x", "strict")]
    assert isinstance(await validate(b'{"n":1'), InvalidInput)
    assert isinstance(await validate(b'"\xff"'), InvalidInput)
    shown = await validate(b'{"n":"\\ud800"}', excerpts=True)
    assert isinstance(shown, SchemaMismatch)
    assert shown.errors[0].value == '"\\ud800"'


async def test_a_document_meets_a_limit(pool: SandboxPool) -> None:
    outcome = await validate_document(
        *(pool,),
        tenant="t",
        schemas=SchemaSet({EVENT: b'{"pattern":"^(a+)+$"}'}),
        uri=EVENT,
        payload=json.dumps("a" * 50 + "!").encode(),
        limits=QUICK,
    )
    assert outcome == TimedOut(limit_ms=500)


# ---- lines


async def lines(
    pool: SandboxPool, checks: Checks, chunks: AsyncIterator[bytes], on_error: OnError
) -> tuple[Rows, int, list[RecordError]]:
    errors: list[RecordError] = []

    async def keep(failed: list[RecordError]) -> None:
        errors.extend(failed)

    report = await validate_lines(
        pool, tenant="t", checks=checks, chunks=chunks, on_errors=keep, on_error=on_error
    )
    assert isinstance(report.outcome, Succeeded), report
    return report.rows, report.usage.peak_memory_bytes, errors


async def test_each_line_is_valid_or_has_errors(pool: SandboxPool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"n":1,"t":"e"}\n{"n":2}\n\n{"t"'
        yield b':"r"}\nno\n"\xff"\n{"n":3,"t":"e"}'

    choice = Choice(by=("/t",), uris={"e": EVENT, "r": RESULT})
    checks = Checks(schemas=schema_set(strict=frozenset()), input=choice, output=RESULT)
    rows, _, errors = await lines(pool, checks, chunks(), OnError.DEAD_LETTER)

    assert rows == Rows(6, 0, 4)
    assert [(error.line, type(error.outcome), error.record) for error in errors] == [
        (2, UnknownSchema, b'{"n":2}'),
        (4, SchemaMismatch, b'{"t":"r"}'),
        (5, InvalidInput, b"no"),
        (6, InvalidInput, b'"\xff"'),
    ]


async def test_lines_of_any_length_take_constant_memory(pool: SandboxPool) -> None:
    good, bad = b'{"n":1,"name":"%b"}\n' % (b"x" * 180), b'{"n":1,"nam":"%b"}\n' % (b"x" * 180)
    kinds = [n % 97 == 5 for n in range(2_000)]
    piece = b"".join(bad if each else good for each in kinds)

    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    checks = Checks(schemas=schema_set(), input=EVENT)
    peaks = []
    for count in (100, 200):
        rows, peak_bytes, errors = await lines(pool, checks, chunks(count), OnError.SKIP)
        assert rows == Rows(2_000 * count, 0, sum(kinds) * count)
        expected = [n + 1 for n in range(2_000 * count) if kinds[n % 2_000]]
        assert [error.line for error in errors] == expected
        peaks.append(peak_bytes)
    assert peaks[1] - peaks[0] < 8 * MIB  # for 40 MB more
