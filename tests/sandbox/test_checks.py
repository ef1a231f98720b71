"""Schemas of a job decide about its inputs before the script sees them, and about its outputs."""

import json

import pytest

from app.sandbox.outcomes import SchemaMismatch, Succeeded, Threw, UnknownSchema
from app.sandbox.parts import OnError, Part, Task
from app.sandbox.pool import SandboxPool
from app.sandbox.protocol import Rows
from app.sandbox.schema_checks import Choice
from tests.support.checked_jobs import EVENT, RESULT, by, checked, refusals, schema_set
from tests.support.sandbox_runs import job, run_job
from tests.support.sandbox_streams import Streamed, stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINES = b'{"n":1}\n\n{"n":"2"}\r\n{"n":3,"x":1}\nnull\n{"n":5,"name":"\xc3\xa9"}'
# Of the lines above, those that are refused.
REFUSED = [
    (3, [("/n", "type")]),
    (4, [("/x", "strict")]),
    (5, [("", "type")]),
]
SKIP = OnError.SKIP


def failed(ran: Streamed) -> list[tuple[int, list[tuple[str, str | None]]]]:
    return [(error.line, refusals(error.outcome)) for error in ran.errors]


async def test_an_invalid_input_never_reaches_the_script(pool: SandboxPool) -> None:
    what = checked("const process = d => { console.log('seen'); return d.n }")
    large = {"name": "x" * 40_000}

    for payload, expected in (
        (b'{"n":"1","name":"","other":1}', [("/n", "type"), ("/name", "minLength")]),
        (json.dumps(large).encode(), [("", "required")]),
    ):
        ran = await run_job(pool, what, payload)
        assert (ran.output, ran.logs) == (b"", ())
        assert refusals(ran.outcome)[: len(expected)] == expected
    assert (await run_job(pool, what, b'{"n":7,"name":"\xe2\x82\xac"}')).output == b"7"
    assert (await run_job(pool, what, json.dumps({"n": 8} | large).encode())).output == b"8"


@pytest.mark.parametrize("result", ["d.name", "Promise.resolve(d.name)", "'x'.repeat(40_000)"])
async def test_a_valid_output_passes_unchanged(pool: SandboxPool, result: str) -> None:
    source = f"const process = d => {result}"
    payload = b'{"n":1,"name":"\\ud800 \xf0\x9f\x98\x80"}'

    ran = await run_job(pool, checked(source, output=RESULT), payload)

    assert isinstance(ran.outcome, Succeeded), ran.outcome
    assert ran.output == (await run_job(pool, job(source), payload)).output


@pytest.mark.parametrize(
    "result",
    [
        "d.n",
        "new Promise(done => setTimeout(() => done([d.n]), 1))",
        "({ toJSON: () => d.n })",
        "Object.assign(() => 1, { toJSON: () => [] })",
        "new String('x')[Symbol.iterator]()",
        "NaN",
    ],
)
async def test_what_is_written_decides_about_an_output(pool: SandboxPool, result: str) -> None:
    ran = await run_job(pool, checked(f"const process = d => {result}", output=RESULT), b'{"n":1}')

    assert ran.output == b""
    assert isinstance(ran.outcome, SchemaMismatch), ran.outcome
    assert (ran.outcome.side, ran.outcome.schema) == ("output", RESULT)
    assert refusals(ran.outcome) == [("", "type")]


async def test_each_record_of_a_map_is_decided_by_itself(pool: SandboxPool) -> None:
    what = checked("const map = d => d.name ?? null, process = d => d.name", output=RESULT)

    for each_record in (False, True):
        part = Part(task=Task.MAP, each_record=each_record, on_error=OnError.DEAD_LETTER)
        ran = await stream(pool, what, part, LINES)
        assert ran.output == '"é"\n'.encode()
        if each_record:  # of line 1 `process` returns undefined, which is an error of its own
            assert not isinstance(ran.errors.pop(0).outcome, SchemaMismatch)
        assert failed(ran) == REFUSED
        assert [error.record for error in ran.errors] == [b'{"n":"2"}', b'{"n":3,"x":1}', b"null"]
        assert ran.report.rows == Rows(5, 1, 4 if each_record else 3)


async def test_a_record_with_an_invalid_value_emits_none_of_its_values(pool: SandboxPool) -> None:
    what = checked("const map = d => ['a', d.n === 2 ? 2 : 'b', 'c']", output=RESULT)
    part = Part(task=Task.MAP, many=True, on_error=SKIP)

    ran = await stream(pool, what, part, b'{"n":1}\n{"n":2}\n{"n":3}')

    assert ran.output == b'"a"\n"b"\n"c"\n' * 2
    assert failed(ran) == [(2, [("", "type")])]


async def test_a_fold_gets_the_valid_records_and_its_result_is_validated(pool: SandboxPool) -> None:
    source = """const start = () => [], step = (all, records) => [...all, ...records.map(r => r.n)];
    const finish = all => all.length > 1 ? all.join() : all;"""
    what = checked(source, output=RESULT)
    part = Part(task=Task.FOLD, on_error=SKIP, finish=True)

    ran = await stream(pool, what, part, LINES)
    assert (ran.value, failed(ran)) == ("1,5", REFUSED)
    wrong = await stream(pool, what, part, b'{"n":1}')
    assert isinstance(wrong.report.outcome, SchemaMismatch)
    assert wrong.report.outcome.side == "output"
    # A state is no output.
    state = await stream(pool, what, Part(task=Task.FOLD, on_error=SKIP), LINES)
    assert isinstance(state.report.outcome, Succeeded)
    merge = Part(task=Task.MERGE, finish=True)
    merging = checked(source + "const merge = (a, b) => [...a, ...b];", output=RESULT)
    merged = await stream(pool, merging, merge, states=[state.output, state.output])
    assert merged.value == "1,5,1,5"


async def test_the_first_mismatch_ends_a_part_that_goes_on_after_none(pool: SandboxPool) -> None:
    ran = await stream(pool, checked("const map = d => d.n"), Part(task=Task.MAP), LINES)

    assert refusals(ran.report.outcome) == REFUSED[0][1]
    assert (ran.report.line, ran.errors) == (3, [])


async def test_the_top_level_has_the_last_word_before_the_input(pool: SandboxPool) -> None:
    ran = await run_job(pool, checked("throw new Error('x')"), b'{"n":"x"}')

    assert isinstance(ran.outcome, Threw)


# ---- schemas


async def test_an_event_chooses_its_schema(pool: SandboxPool) -> None:
    schemas = schema_set()
    choice = Choice(
        by=("/meta/a~1b", "/types/1"), uris={"shop/event": EVENT, "x/y": RESULT, "a/b/c": EVENT}
    )
    what = checked("const map = d => d", schemas=schemas, input_=choice)
    events = [
        {"meta": {"a/b": "shop"}, "types": ["", "event"], "n": 1},
        {"meta": {"a/b": "x"}, "types": [0, "y"]},
        {"meta": {"a/b": "shop"}, "types": ["", "other"]},
        {"meta": {"a/b": "shop/event"}, "types": ["", ""]},
        {"meta": {"a/b": "a/b"}, "types": ["", "c"]},
        {"meta": {"a/b": "__proto__"}, "types": [0, "y"]},
        {"meta": {"a/b": "x"}, "types": "yy"},
        {"meta": {}, "types": ["", "event"]},
        [],
        "text",
        None,
    ]
    ran = await stream(
        *(pool, what, Part(task=Task.MAP, on_error=SKIP)),
        "\n".join(map(json.dumps, events)).encode(),
    )

    first, second, *rest = [error.outcome for error in ran.errors]
    assert refusals(first) == [("/meta", "strict"), ("/types", "strict")]
    assert refusals(second) == [("", "type")]
    assert rest == [
        UnknownSchema(values="shop/other"),
        UnknownSchema(values="shop/event/"),
        UnknownSchema(values="a/b/c"),
        UnknownSchema(values="__proto__/y"),
        UnknownSchema(values="x", pointer="/types/1"),
        *[UnknownSchema(values="", pointer="/meta/a~1b")] * 4,
    ]


async def test_each_document_is_strict_or_not_by_itself(pool: SandboxPool) -> None:
    inner = {"type": "object", "properties": {"known": {}}}
    schemas = {
        EVENT: {"properties": {"strict": {"$ref": RESULT}, "lax": {"$ref": "urn:lax"}}},
        RESULT: inner | {"properties": {"known": {}, "lax": {"$ref": "urn:lax"}}},
        "urn:lax": inner | {"properties": {"known": {}, "strict": {"$ref": RESULT}}},
    }
    unknown = {"known": 1, "unknown": 1}
    document = {
        "unknown": 1,
        "strict": unknown | {"lax": unknown | {"strict": unknown}},
        "lax": unknown | {"strict": unknown | {"lax": unknown}},
    }
    payload = json.dumps(document).encode()
    pointers = {
        EVENT: ["/unknown"],
        RESULT: ["/lax/strict/unknown", "/strict/lax/strict/unknown", "/strict/unknown"],
        "urn:lax": ["/lax/strict/lax/unknown", "/lax/unknown", "/strict/lax/unknown"],
    }
    for strict in ([EVENT], [RESULT], ["urn:lax"], [RESULT, EVENT], list(schemas)):
        what = checked("const process = d => d", schemas=schema_set(schemas, frozenset(strict)))
        ran = await run_job(pool, what, payload)
        expected = sorted(pointer for uri in strict for pointer in pointers[uri])
        assert sorted(pointer for pointer, _ in refusals(ran.outcome)) == expected, strict


async def test_formats_assert(pool: SandboxPool) -> None:
    ran = await run_job(pool, by({"format": "date"}), b'"2026-02-30"')

    assert refusals(ran.outcome) == [("", "format")]


async def test_a_context_after_one_with_schemas_has_none(pool: SandboxPool) -> None:
    globals_ = "const process = () => Reflect.ownKeys(globalThis).map(String)"
    for _ in range(3):
        checked_ = await run_job(pool, checked(globals_), b'{"n":1}')
        plain = await run_job(pool, job(globals_), b"{}")
        assert checked_.output == plain.output != b""
