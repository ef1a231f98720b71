"""A cell that violates the protocol of a stream is killed, and its part is a crash."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from app.sandbox.cgroups import OomKills
from app.sandbox.classification import classify
from app.sandbox.meter import Exit
from app.sandbox.outcomes import Crashed, Succeeded, TimedOut
from app.sandbox.parts import OnError, Part, Task
from app.sandbox.protocol import HEADER, Kind, Rows, encode_result, encode_rows
from app.sandbox.stream_session import Streamed, run_stream
from tests.support.sandbox_runs import MIB, job
from tests.support.stand_in_cell import open_cell

SOURCE = "const map = record => record"
PART = Part(task=Task.MAP, on_error=OnError.SKIP, max_errors=2)
INPUT = b"1\n2\n3\n"


def frame(kind: int, body: object = b"") -> bytes:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HEADER.pack(kind, len(encoded)) + encoded


def failed(line: int, kind: str = "invalid_input") -> bytes:
    return frame(Kind.ERROR, {"line": line, "failure": {"kind": kind, "message": "x"}})


def end(output_bytes: int, rows: list[int]) -> bytes:
    details = {"run_ns": 0, "lines_dropped": 0, "output_bytes": output_bytes, "rows": rows}
    verdict = frame(Kind.VERDICT, {"kind": "succeeded", **details})
    return frame(Kind.RESULT, encode_result(0)) + verdict


STARTED = frame(Kind.STARTED)
USED = frame(Kind.USED, encode_rows(Rows(0, 0, 0)))
OPENED = STARTED + USED
OUTPUT = frame(Kind.OUTPUT, b"1\n")
LINE = frame(Kind.LOG, {"level": "log", "text": "x"})


async def play(script: bytes, *, wall_ms: int = 10_000) -> tuple[object, bytes, Streamed]:
    """Let a process stand where a cell would be, which has sent `script` in advance."""
    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    async def input_() -> AsyncIterator[bytes]:
        yield INPUT

    async with open_cell() as (cell, theirs):
        loop = asyncio.get_running_loop()

        def reap() -> None:
            loop.remove_reader(cell.pidfd)
            theirs.close()
            cell.set_exited(Exit(status=-9, cpu_ns=0, peak_bytes=0))

        loop.add_reader(cell.pidfd, reap)
        theirs.sendall(script)
        what = job(SOURCE, wall_ms=wall_ms, memory_bytes=64 * MIB, output_bytes=1_000)
        async with asyncio.timeout(30):
            streamed = await run_stream(
                cell,
                what,
                PART,
                chunks=input_(),
                states=(),
                sink=sink,
                on_errors=None,
                oom_kills=OomKills(),
            )
        loop.remove_reader(cell.pidfd)
    outcome = classify(streamed.session.evidence, limits=what.limits, source=what.source)
    return outcome, bytes(output), streamed


async def test_a_valid_stream_succeeds() -> None:
    script = STARTED + LINE + USED + LINE + failed(1) + OUTPUT + failed(3) + OUTPUT + USED
    outcome, output, streamed = await play(script + OUTPUT + end(6, [3, 2, 2]))
    assert (outcome, output) == (Succeeded(output_bytes=6), b"1\n1\n1\n")
    assert (streamed.rows, streamed.line) == (Rows(3, 2, 2), None)


BREACHES = {
    "used before the start": USED,
    "output before the start": OUTPUT,
    "output of no bytes": OPENED + frame(Kind.OUTPUT),
    "a short count of rows": OPENED + frame(Kind.USED, b"1"),
    "output over the limit": OPENED + frame(Kind.OUTPUT, b"x" * 1_001),
    "output in crumbs": OPENED + OUTPUT * 5,
    "an error in a way that does not exist": OPENED + failed(1, "promoted"),
    "errors out of order": OPENED + failed(2) + failed(2),
    "an error before the chunk": OPENED + failed(0),
    "an error beyond the chunk": OPENED + failed(5),
    "more errors than may be": OPENED + failed(1) + failed(2) + failed(3),
    "used twice for the end": OPENED + USED + USED,
    "an error after the result": OPENED + USED + frame(Kind.RESULT, encode_result(1)) + failed(1),
    "less output than said": OPENED + USED + end(6, [0, 0, 0]),
    "rows that are no numbers": OPENED + frame(Kind.VERDICT, {"kind": "succeeded", "rows": [-1]}),
}


@pytest.mark.parametrize("script", BREACHES.values(), ids=BREACHES)
async def test_a_breach_is_a_crash(script: bytes) -> None:
    outcome, _, _ = await play(script)
    assert isinstance(outcome, Crashed), outcome


async def test_a_cell_that_does_not_use_its_chunk_up_is_killed() -> None:
    outcome, _, streamed = await play(OPENED, wall_ms=50)
    assert (outcome, streamed.line) == (TimedOut(limit_ms=50), 1)
