"""Parts of a run stream through a script: folds, maps and bytes, with a bounded memory."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.framing import MAX_LINE_BYTES, LineTooLong
from app.sandbox.outcomes import (
    Crashed,
    InvalidInput,
    InvalidResult,
    OutputTooLarge,
    Succeeded,
    Threw,
    TimedOut,
    UnsettledPromise,
)
from app.sandbox.parts import Format, OnError, Output, Part, Task
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import STREAM_CHUNK_BYTES, Isolation, Rows
from tests.support.sandbox_runs import MIB, chunks_of, job
from tests.support.sandbox_streams import stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The sum of the even numbers of a text, exact beyond 2**53, in the three styles of a fold.
LINES = """
const start = () => 0n;
const step = (sum, lines) => {
  for (const line of lines) { const n = BigInt(line); if (n % 2n === 0n) sum += n; }
  return sum;
};
const merge = (a, b) => a + b;
const finish = sum => String(sum);
"""
TEXT = LINES.replace("of lines)", "of lines.trim().split('\\n'))")
BYTES = """
const start = () => ({ sum: 0n, part: 0, digits: '' });
const step = (s, bytes) => {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 10) s.digits += String.fromCharCode(bytes[i]);
    else { const n = BigInt(s.digits); if (n % 2n === 0n) s.sum += n; s.digits = ''; }
  }
  return s;
};
const merge = (a, b) => ({ ...a, sum: a.sum + b.sum });
const finish = ({ sum }) => String(sum);
"""
STYLES = {Format.LINES: LINES, Format.TEXT: TEXT, Format.BYTES: BYTES}


@pytest.mark.parametrize("format_", STYLES)
async def test_the_even_numbers_of_a_file_in_parts(pool: SandboxPool, format_: Format) -> None:
    numbers = [2**60 + n * 7_919 for n in range(60_000)]
    cuts = [0, 1, 25_000, 60_000]
    what = job(STYLES[format_])
    states = []
    for at, until in pairwise(cuts):
        text = "".join(f"{n}\n" for n in numbers[at:until]).encode()
        ran = await stream(pool, what, Part(task=Task.FOLD, format=format_), text)
        assert isinstance(ran.report.outcome, Succeeded), ran.report
        states.append(ran.output)

    merged = await stream(pool, what, Part(task=Task.MERGE, finish=True), states=states)
    expected = str(sum(n for n in numbers if n % 2 == 0))
    assert merged.value == expected

    # The same without `merge`: each part begins with the state of the one before.
    state: list[bytes] = []
    for at, until in pairwise(cuts):
        text = "".join(f"{n}\n" for n in numbers[at:until]).encode()
        part = Part(task=Task.FOLD, format=format_, finish=until == cuts[-1])
        state = [(await stream(pool, what, part, text, states=state)).output]
    assert json.loads(state[0]) == expected


async def test_a_map_drops_keeps_and_multiplies_records(pool: SandboxPool) -> None:
    records = "".join(f'{{"n": {n}, "é": "日本"}}\r\n' for n in range(50_000)).encode() + b" \n\n"
    drop = job("const map = ({ n, ...rest }, { seed }) => n % 3 ? null : { n: n + seed, ...rest }")
    ran = await stream(pool, drop, Part(task=Task.MAP), records)
    expected = [{"n": n + 1, "é": "日本"} for n in range(0, 50_000, 3)]
    assert [json.loads(line) for line in ran.output.splitlines()] == expected
    assert ran.report.rows == Rows(50_000, len(expected), 0)

    twice = job("const map = async line => { await 0; return [line.length, null, line] }")
    part = Part(task=Task.MAP, format=Format.LINES, many=True)
    ran = await stream(pool, twice, part, "a\r\n\näß".encode())
    assert ran.output.decode() == '1\n"a"\n0\n""\n2\n"äß"\n'


async def test_bytes_go_in_and_out(pool: SandboxPool) -> None:
    data = os.urandom(3 * MIB + 17)
    # It returns the same buffer each time, so what it returned must have been copied.
    source = """
    const kept = new Uint8Array(2 ** 20 + 2);
    const map = bytes => {
      for (let i = 0; i < bytes.length; i++) kept[i + 1] = bytes[i] ^ 255;
      return new DataView(kept.buffer, 1, bytes.length);
    };
    """
    part = Part(task=Task.MAP, format=Format.BYTES, output=Output.BYTES)
    ran = await stream(pool, job(source), part, data)
    assert ran.output == bytes(byte ^ 255 for byte in data)
    larger = job("const map = b => [b, b.buffer, b, new Uint8Array(3 * 2 ** 20)]")
    many = Part(task=Task.MAP, format=Format.BYTES, output=Output.BYTES, many=True)
    assert (await stream(pool, larger, many, b"ab")).output == b"ababab" + bytes(3 * MIB)


async def test_chunks_do_not_depend_on_the_pieces_in_which_they_arrive(pool: SandboxPool) -> None:
    source = "const map = chunk => chunk.length"
    text = ("ä" * 700_000 + "\n" + "ab\n" * 400_000 + "ü" * 5).encode()
    for format_ in (Format.TEXT, Format.BYTES):
        part = Part(task=Task.MAP, format=format_)
        outputs = {
            (await stream(pool, job(source), part, chunks_of(text, size))).output
            for size in (1_000, 65_537, len(text))
        }
        assert len(outputs) == 1
        unit_bytes = len(text.decode()) if format_ is Format.TEXT else len(text)
        assert sum(map(int, outputs.pop().split())) == unit_bytes


FAULTY = b'1\n2\n3\n{"a\n\xffx\r\n[]\n"\xc3\xa9"'
MAP = """
function map(r) {
  if (r === 2) throw new Error('two');
  if (r === 3) return () => 3;
  if (Array.isArray(r)) return { big: 1n };
  return r;
}
"""


@pytest.mark.parametrize("on_error", [OnError.SKIP, OnError.DEAD_LETTER])
async def test_records_that_fail_are_reported_with_their_line(
    pool: SandboxPool, on_error: OnError
) -> None:
    part = Part(task=Task.MAP, on_error=on_error, first_line=100)
    ran = await stream(pool, job(MAP), part, FAULTY)
    assert ran.output.decode() == '1\n"é"\n'
    assert ran.report.rows == Rows(7, 2, 5)
    assert [(each.line, type(each.outcome)) for each in ran.errors] == [
        (101, Threw),
        (102, InvalidResult),
        (103, InvalidInput),
        (104, InvalidInput),
        (105, InvalidResult),
    ]
    threw, function, _, not_utf8, big = (each.outcome for each in ran.errors)
    assert isinstance(threw, Threw)
    assert (threw.error.message, threw.error.line, threw.error.column) == ("two", 3, 22)
    assert isinstance(function, InvalidResult)
    assert function.message == "map returned a function, which has no JSON"
    assert isinstance(not_utf8, InvalidInput)
    assert not_utf8.message == "not UTF-8: invalid start byte at byte 0 of the line"
    assert isinstance(big, InvalidResult)
    assert big.message == "a BigInt has no JSON: result.big"
    kept = on_error is OnError.DEAD_LETTER
    expected = [b"2", b"3", b'{"a', b"\xffx", b"[]"] if kept else [None] * 5
    assert [each.record for each in ran.errors] == expected


async def test_a_part_fails_at_the_record_after_its_last_error(pool: SandboxPool) -> None:
    part = Part(task=Task.MAP, on_error=OnError.SKIP, max_errors=2)
    ran = await stream(pool, job(MAP), part, FAULTY)
    assert isinstance(ran.report.outcome, InvalidInput)
    assert (ran.report.line, len(ran.errors), ran.report.rows) == (4, 2, Rows(4, 1, 3))


ENDS = [
    ("const map = r => { while (r === 2); return r }", TimedOut, 2),
    ("const map = async r => { if (r === 2) await new Promise(() => {}) ; return r }",
     UnsettledPromise, 2),
    ("const map = r => 'x'.repeat(r === 3 ? 2000 : 1)", OutputTooLarge, 3),
    ("const map = r => { if (r > 1) throw null; return r }", Threw, 2),
    ("let map", Threw, None),
]  # fmt: skip


@pytest.mark.parametrize(("source", "outcome", "line"), ENDS)
async def test_an_end_has_the_line_of_the_input(
    pool: SandboxPool, source: str, outcome: type, line: int | None
) -> None:
    what = job(source, wall_ms=400, output_bytes=1_000)
    ran = await stream(pool, what, Part(task=Task.MAP), b"1\n2\n3\n")
    assert (type(ran.report.outcome), ran.report.line) == (outcome, line)


async def test_a_throwing_step_has_the_line_at_which_its_chunk_begins(pool: SandboxPool) -> None:
    source = "const start = () => 0, step = (n, c) => { if (n++) throw new Error(c[0]); return n }"
    count = STREAM_CHUNK_BYTES // 10
    lines = b"".join(b"%09d\n" % n for n in range(count + 10))
    ran = await stream(pool, job(source), Part(task=Task.FOLD, format=Format.LINES), lines)
    assert isinstance(ran.report.outcome, Threw)
    assert (ran.report.outcome.error.message, ran.report.line) == (f"{count:09}", count + 1)


async def test_a_line_may_be_long_and_not_too_long(pool: SandboxPool) -> None:
    part = Part(task=Task.MAP, format=Format.LINES)
    what = job("const map = line => line.length")
    lines = b"a\n" + b"x" * MAX_LINE_BYTES + b"\nb\n"
    assert (await stream(pool, what, part, lines)).output == b"1\n%d\n1\n" % MAX_LINE_BYTES
    with pytest.raises(LineTooLong, match="line 2 is longer"):
        await stream(pool, what, part, lines.replace(b"\nb", b"xx\nb"))


async def test_the_time_of_input_and_output_does_not_count(pool: SandboxPool) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(0.3)
            yield b"1\n" * (STREAM_CHUNK_BYTES // 2 + 1)

    async def sink(_: bytes) -> None:
        await asyncio.sleep(0.3)

    what = job("const map = r => r", wall_ms=1_000)
    report = await pool.stream(what, Part(task=Task.MAP), sink=sink, chunks=slow())
    assert isinstance(report.outcome, Succeeded), report


async def test_seed_clock_and_console_are_those_of_one_part(pool: SandboxPool) -> None:
    source = """
    const map = n => {
      console.log('line', n);
      return [Math.random(), Date.now()];
    };
    """
    what = job(source, console_lines=2)
    ran = await stream(pool, what, Part(task=Task.MAP), b"1\n2\n3\n")
    again = await stream(pool, what, Part(task=Task.MAP), b"1\n2\n3\n", fresh=True)
    draws = [json.loads(line) for line in ran.output.splitlines()]
    assert ran.output == again.output
    assert len({draw for draw, _ in draws}) == 3
    assert {at for _, at in draws} == {what.clock_ms}
    assert [line.text for line in ran.report.logs] == ["line 1", "line 2"]
    assert ran.report.lines_dropped == 1


async def test_a_stream_of_100_mb_has_a_bounded_memory(pool: SandboxPool) -> None:
    piece = b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * 80) for n in range(10_000))
    count = 100 * MIB // len(piece)
    seen = 0

    async def input_() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    async def sink(chunk: bytes) -> None:
        nonlocal seen
        seen += chunk.count(b"\n")

    before = _peak_bytes()
    what = job("const map = ({ n }) => n % 2 ? null : { n }", wall_ms=60_000, output_bytes=2**30)
    report = await pool.stream(what, Part(task=Task.MAP), sink=sink, chunks=input_())
    assert isinstance(report.outcome, Succeeded), report
    assert report.rows == Rows(count * 10_000, count * 5_000, 0)
    assert seen == count * 5_000
    assert report.usage.peak_memory_bytes < 200 * MIB
    assert _peak_bytes() - before < 48 * MIB


async def test_a_cell_that_is_killed_in_the_middle_is_a_named_failure(pool: SandboxPool) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"1\n" * MIB
        raise OSError("the store is gone")

    with pytest.raises(OSError, match="the store is gone"):
        await stream(pool, job("const map = r => r"), Part(task=Task.MAP), failing())
    assert (await stream(pool, job("const map = r => r"), Part(task=Task.MAP), b"1")).output

    async def killing() -> AsyncIterator[bytes]:
        yield b"1\n" * MIB
        for pid in _cells():
            os.kill(pid, signal.SIGKILL)
        yield b"2\n" * MIB

    ran = await stream(pool, job("const map = r => r"), Part(task=Task.MAP), killing(), fresh=True)
    assert ran.report.outcome == Crashed(detail="ended by SIGKILL")
    assert 0 < ran.report.rows.rows_in < 2 * MIB
    # Cells that waited were killed, too: the pool may find each out by its next job only.
    for _ in range(4):
        ran = await stream(pool, job("const map = r => r"), Part(task=Task.MAP), b"1")
        if ran.output:
            break
    assert ran.output


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _cells() -> list[int]:
    """Return the grandchildren of this process: those of its zygote are cells."""
    children = [
        int(pid)
        for thread in Path("/proc/self/task").iterdir()
        for pid in (thread / "children").read_text(encoding="ascii").split()
    ]
    return [
        int(pid)
        for child in children
        for pid in Path(f"/proc/{child}/task/{child}/children").read_text("ascii").split()
    ]


@pytest.mark.parametrize(
    ("isolation", "native"), [(Isolation.ISOLATE, True), (Isolation.PROCESS, False)]
)
async def test_each_isolation_streams_the_same(isolation: Isolation, *, native: bool) -> None:
    data = os.urandom(MIB)
    copy = Part(task=Task.MAP, format=Format.BYTES, output=Output.BYTES)
    async with open_pool(PoolConfig(cells=1, warm=1, isolation=isolation, native=native)) as other:
        assert (await stream(other, job("const map = b => b"), copy, data)).output == data
        part = Part(task=Task.MAP, on_error=OnError.SKIP)
        ran = await stream(other, job(MAP), part, FAULTY)
        assert (ran.output.decode(), len(ran.errors)) == ('1\n"é"\n', 5)


async def test_values_longer_than_a_string_fail_their_record(pool: SandboxPool) -> None:
    source = 'const s = "x".repeat(1e8); const map = n => n === 1 ? [s, s, s, s, s, s] : [n]'
    part = Part(task=Task.MAP, many=True, on_error=OnError.SKIP)
    ran = await stream(pool, job(source, memory_bytes=3000 * MIB), part, b"1\n2\n")
    assert (ran.output, [each.line for each in ran.errors]) == (b"2\n", [1])
