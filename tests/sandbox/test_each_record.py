"""`process` runs once for each record of a part, with the bytes and errors of executions."""

import json

import pytest
from msgspec.structs import replace

from app.sandbox.outcomes import InvalidResult, Loss, Succeeded, Threw
from app.sandbox.parts import Format, OnError, Output, Part, Task
from app.sandbox.pool import SandboxPool
from app.sandbox.protocol import Rows
from tests.support.sandbox_runs import job, run_job
from tests.support.sandbox_streams import stream

EACH = Part(task=Task.MAP, each_record=True, on_error=OnError.SKIP)
SOURCE = """
async function process(data) {
  switch (data?.case) {
    case "throws": throw new TypeError("no", { cause: data });
    case "rejects": return Promise.reject(1);
    case "cycle": data.self = data; return data;
    case "big": return { rows: [1n] };
    case "wait": await new Promise(done => setTimeout(done, 5)); return "waited";
    case "json": return { toJSON: key => [key, -0, NaN] };
    case "array": return [data, [], "\\ud800", undefined];
    case "function": return () => data;
    case "nothing": return;
    default: return data;
  }
}
"""
CASES = "throws rejects cycle big wait json array function nothing"
RECORDS = [
    *(
        b"null",
        b"1e400",
        b'"\xe2\x82\xac\\n\\u0000"',
        b'{"2":1,"1":2,"__proto__":{"a":-0}}',
        b"[ ]",
    ),
    *(json.dumps({"case": case}).encode() for case in CASES.split()),
]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_record_has_the_bytes_or_the_error_of_its_own_execution(
    pool: SandboxPool,
) -> None:
    alone = [await run_job(pool, job(SOURCE), record) for record in RECORDS]

    ran = await stream(pool, job(SOURCE), EACH, b"\r\n".join([b"", *RECORDS]))

    succeeded = [each.output for each in alone if isinstance(each.outcome, Succeeded)]
    assert ran.output == b"".join(output + b"\n" for output in succeeded)
    failed = [
        (line, each.outcome)
        for line, each in enumerate(alone, 2)
        if not isinstance(each.outcome, Succeeded)
    ]
    assert [(each.line, each.outcome) for each in ran.errors] == failed
    assert {type(outcome) for _, outcome in failed} == {Threw, InvalidResult}
    assert ran.report.rows == Rows(len(RECORDS), len(succeeded), len(failed))


@pytest.mark.asyncio(loop_scope="module")
async def test_undefined_ends_the_part_unless_errors_are_skipped(pool: SandboxPool) -> None:
    part = Part(task=Task.MAP, each_record=True)
    ran = await stream(pool, job("const process = n => n ?? undefined"), part, b"0\nnull\n2")
    assert isinstance(ran.report.outcome, InvalidResult)
    message = "process returned undefined, which has no JSON; did it forget `return`?"
    assert (ran.report.outcome.message, ran.report.line) == (message, 2)


@pytest.mark.asyncio(loop_scope="module")
async def test_variables_live_from_record_to_record_within_a_part(pool: SandboxPool) -> None:
    what = job("let count = 0; const process = (_, context) => [++count, context.n = count]")
    for _ in range(2):
        ran = await stream(pool, what, EACH, b"0\n0\n0\n")
        assert ran.output == b"[1,1]\n[2,2]\n[3,3]\n"


@pytest.mark.asyncio(loop_scope="module")
async def test_values_that_records_lose_are_warnings_of_the_part(pool: SandboxPool) -> None:
    source = """
    const process = n => n === 500 ? { when: new Map(), at: [n / 0] } : n === 501 ? NaN : [n];
    """
    ran = await stream(pool, job(source), EACH, b"".join(b"%d\n" % n for n in range(1_000)))
    assert ran.report.losses == (
        Loss(code="map", path="result.when"),
        Loss(code="not_finite", path="result.at[0]"),
        Loss(code="not_finite", path="result"),
    )
    assert ran.report.rows == Rows(1_000, 1_000, 0)


@pytest.mark.parametrize(
    "other",
    [
        Part(task=Task.FOLD),
        Part(task=Task.MAP, format=Format.LINES),
        Part(task=Task.MAP, output=Output.BYTES),
        Part(task=Task.MAP, many=True),
    ],
    ids=["fold", "lines", "bytes", "many"],
)
def test_only_a_map_of_records_calls_process(other: Part) -> None:
    with pytest.raises(ValueError, match="each_record is for a map"):
        replace(other, each_record=True)
