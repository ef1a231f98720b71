"""A run takes a dataset through a script: a result, another dataset, or both, once."""

import hashlib
import json
from collections.abc import AsyncIterator

import pytest

from app.datasets.parts import Format as DatasetFormat
from app.db import Pool
from app.sandbox.parts import Format, OnError, Task
from app.settings import Settings
from tests.runs.systems import RunsSystem, open_runs

SUM = """
const start = () => ({ sum: 0n, lines: [] });
const step = (state, chunk) => {
  for (const line of chunk) if (line !== "") { state.sum += BigInt(line); state.lines.push(line); }
  return state;
};
const finish = state => ({ sum: String(state.sum), lines: state.lines });
"""
MERGE = """
const merge = (a, b) => ({ sum: a.sum + b.sum, lines: [...a.lines, ...b.lines] });
"""
MAP = (
    "function map(r) { if (r.n === 13) throw new Error('13'); return r.n % 2 ? null : {pk: r.n}; }"
)


@pytest.fixture
async def runs(pool: Pool, settings: Settings) -> AsyncIterator[RunsSystem]:
    assert pool is not None
    async with open_runs(settings) as system:
        yield system


def numbered(first: int, last: int) -> bytes:
    return b"".join(b'{"n":%d}\n' % n for n in range(first, last))


def large(first: int, last: int) -> bytes:
    """Records of which some hundred are a part of its own."""
    pad = "x" * 60_000
    return b"".join(b'{"n":%d,"pad":"%s"}\n' % (n, pad.encode()) for n in range(first, last))


@pytest.mark.parametrize("merge", [MERGE, ""], ids=["merge", "in-order"])
async def test_a_fold_gives_one_result_whatever_the_parts(runs: RunsSystem, merge: str) -> None:
    files = {f"{n}.txt": [b"%d\n%d\n" % (n, 2**60 + n)] for n in range(20)}
    await runs.dataset("numbers", files, format_=DatasetFormat.TEXT)
    script = await runs.script(SUM + merge)
    run = await runs.start(script, "numbers", Task.FOLD, format_=Format.LINES, merges=bool(merge))
    async with runs.worker():
        result = json.loads(await runs.result(run))
    lines = [str(each) for n in range(20) for each in (n, 2**60 + n)]
    assert result == {"sum": str(sum(map(int, lines))), "lines": lines}
    row = await runs.row(run)
    assert (row["parts"], row["parts_done"], row["rows_in"]) == (20, 20, 40)
    assert row["raw_bytes"] == row["raw_bytes_done"] > 0


async def test_a_map_publishes_a_dataset_in_the_order_of_its_input(runs: RunsSystem) -> None:
    files = {"b.jsonl": [large(0, 150), large(150, 300)], "a.jsonl": [numbered(300, 400)]}
    await runs.dataset("in", files)
    await runs.dataset("out", {"old": [numbered(0, 1)]}, key="/pk")
    script = await runs.script(MAP.replace("13", "-1"))
    run = await runs.start(script, "in", Task.MAP, output="out")
    async with runs.worker():
        row = await runs.ended(run)
    assert row["status"] == "succeeded", row["error"]
    assert (row["rows_in"], row["rows_out"], row["output_snapshot"]) == (400, 200, 2)
    expected = b"".join(b'{"pk":%d}\n' % n for n in range(0, 300, 2))
    assert await runs.read("out", "b.jsonl") == expected
    assert await runs.read("out", "a.jsonl") == b"".join(
        b'{"pk":%d}\n' % n for n in range(300, 400, 2)
    )
    assert await runs.count("run_outputs") == 0
    assert row["output_sha256"] is not None
    usage = await runs.resources.pool.fetchrow(
        "SELECT (SELECT sum(stored_bytes) FROM tenant_usage) AS counted, "
        "(SELECT sum(greatest(stored_bytes + index_bytes, 4096)) FROM dataset_parts) "
        "+ (SELECT sum(size_bytes) FROM payloads) AS held, "
        "(SELECT sum(day_bytes) FROM tenant_usage) AS arrived, "
        "(SELECT sum(p.raw_bytes) FROM dataset_parts AS p JOIN dataset_files AS f "
        "ON f.id = p.file_id WHERE f.dataset_id <> $1 OR f.path = 'old') "
        "+ (SELECT sum(size_bytes) FROM payloads WHERE kind = 'input') AS sent",
        row["output_dataset_id"],
    )
    assert usage is not None
    assert usage["counted"] == usage["held"]
    # What is published has not arrived.
    assert usage["arrived"] == usage["sent"]


async def test_a_run_has_a_result_and_a_dataset(runs: RunsSystem) -> None:
    await runs.dataset("in", {f"{n}": [numbered(n * 10, n * 10 + 10)] for n in range(3)})
    await runs.dataset("out", {})
    source = (
        "const map = r => r; const start = () => 0; const finish = s => s;"
        "const step = (s, c) => s + c.length; const merge = (a, b) => a + b;"
    )
    run = await runs.start(await runs.script(source), "in", Task.MAP, Task.FOLD, output="out")
    async with runs.worker():
        assert await runs.result(run) == b"30"
    row = await runs.row(run)
    # The map and the fold read the same.
    assert (row["rows_in"], row["rows_out"], row["parts_done"]) == (30, 30, 3)
    assert await runs.read("out", "1") == numbered(10, 20)


async def test_a_failure_names_its_place_and_publishes_nothing(runs: RunsSystem) -> None:
    await runs.dataset("in", {f"{n}": [numbered(n * 10, n * 10 + 10)] for n in range(30)})
    await runs.dataset("out", {})
    run = await runs.start(await runs.script(MAP), "in", Task.MAP, output="out")
    async with runs.worker():
        row = await runs.ended(run)
    assert row["status"] == "failed"
    error = json.loads(row["error"])
    assert (error["kind"], error["message"], error["path"]) == ("script_error", "13", "1")
    assert (error["input_line"], error["line"]) == (4, 1)
    assert await runs.count("dataset_snapshots") == 30
    assert await runs.count("run_outputs") == 0
    left = await runs.resources.pool.fetchval(
        "SELECT count(*) FROM executions WHERE status IN ('queued', 'running')"
    )
    assert left == 0


@pytest.mark.parametrize(("max_errors", "status"), [(1, "succeeded"), (0, "failed")])
async def test_failed_records_are_kept_up_to_a_number(
    runs: RunsSystem, max_errors: int, status: str
) -> None:
    await runs.dataset("in", {"a": [numbered(0, 10)], "b": [numbered(10, 20)]})
    await runs.dataset("out", {})
    script = await runs.script(MAP)
    run = await runs.start(
        script, "in", Task.MAP, output="out", on_error=OnError.DEAD_LETTER, max_errors=max_errors
    )
    async with runs.worker():
        row = await runs.ended(run)
    assert row["status"] == status
    errors = await runs.resources.pool.fetch("SELECT * FROM run_errors")
    if status == "failed":
        error = json.loads(row["error"])
        assert (error["kind"], error["path"], error["input_line"]) == ("too_many_errors", "b", 4)
        assert errors == []
        return
    assert (row["rows_in"], row["rows_out"], row["rows_failed"]) == (20, 10, 1)
    assert [(each["line"], each["record"]) for each in errors] == [(4, b'{"n":13}')]
    assert json.loads(errors[0]["error"])["message"] == "13"


async def test_the_same_run_gives_the_same_bytes(runs: RunsSystem) -> None:
    await runs.dataset("in", {f"{n}": [numbered(n * 10, n * 10 + 10)] for n in range(3)})
    await runs.dataset("out", {})
    script = await runs.script("const map = r => ({r, random: Math.random(), now: Date.now()})")
    hashes = []
    async with runs.worker():
        for _ in range(2):
            run = await runs.start(script, "in", Task.MAP, output="out", clock_ms=1_700_000_000_000)
            row = await runs.ended(run)
            hashes.append((row["output_sha256"], await runs.read("out", "2")))
    assert hashes[0] == hashes[1]
    assert len({json.loads(line)["random"] for line in hashes[0][1].splitlines()}) == 10
    assert hashlib.sha256(hashes[0][1]).digest() != hashes[0][0]


async def test_process_is_called_for_each_record(runs: RunsSystem) -> None:
    await runs.dataset("in", {"a": [numbered(0, 3)], "b": [numbered(3, 5)]})
    await runs.dataset("out", {})
    script = await runs.script("const process = ({ n }) => n === 1 ? null : { double: 2 * n }")
    run = await runs.start(script, "in", Task.MAP, each="record", output="out")
    async with runs.worker():
        row = await runs.ended(run)
    assert row["status"] == "succeeded", row["error"]
    assert await runs.read("out", "a") == b'{"double":0}\nnull\n{"double":4}\n'


FOLD = "const start = () => 0; const step = (s, c) => s + c.length;"


async def test_records_that_a_map_and_a_fold_fail_on_count_once(runs: RunsSystem) -> None:
    lines = {"a": [b"2\n"], "b": [b"1\nno\nno\n"], "c": [b"3\n"]}
    await runs.dataset("in", lines, format_=DatasetFormat.TEXT)
    await runs.dataset("out", {})
    script = await runs.script(f"{FOLD} const map = r => r; const finish = s => s")
    run = await runs.start(
        script,
        "in",
        *(Task.MAP, Task.FOLD),
        merges=False,
        output="out",
        on_error=OnError.SKIP,
        max_errors=2,
    )
    # One after the other, the fold of "b" comes after the maps of "b" and "c".
    async with runs.worker(slots=1):
        assert await runs.result(run) == b"3"
    row = await runs.row(run)
    assert (row["rows_failed"], await runs.count("run_errors")) == (2, 2)


async def test_what_no_record_is_to_blame_for_is_not_one_error_too_many(runs: RunsSystem) -> None:
    await runs.dataset("in", {"a": [b"1\n"]})
    script = await runs.script(f"{FOLD} const finish = () => {{ throw new Error('end') }}")
    run = await runs.start(script, "in", Task.FOLD, on_error=OnError.SKIP, max_errors=0)
    async with runs.worker():
        row = await runs.ended(run)
    error = json.loads(row["error"])
    assert (error["kind"], error["message"]) == ("script_error", "end")
